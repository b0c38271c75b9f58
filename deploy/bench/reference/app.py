"""The benchmark's reference: what ingest does with a customer's messages, in the stack that it replaces.

FastAPI on uvicorn with uvloop and httptools, orjson for JSON, aio-pika with publisher confirms. As ingest it checks
Meta's signature over the raw body, makes one envelope of each message, publishes them to the same queues, persistent,
and answers 200 when all of them are confirmed, else 503. The messages of one body are written one after the other, so
that they keep their order, and their confirms are awaited together. It reads nothing but messages and statuses, which
is less than ingest does, and keeps no count of anything.

Run by `simulator bench`, for which the queues are declared already.
"""

import asyncio
import hashlib
import hmac
import itertools
import logging
import os
import secrets
import time
from contextlib import asynccontextmanager

import aio_pika
import orjson
from fastapi import FastAPI, Request, Response

APP_SECRET = os.environ["WHATSAPP_APP_SECRET"].encode()
PREFIX = os.environ["QUEUE_PREFIX"]
PARTITIONS = int(os.environ["QUEUE_PARTITIONS"])
STATUS_PARTITIONS = 4
# As many as ingest has.
CHANNELS = 4
PUBLISH_TIMEOUT_S = 5.0

log = logging.getLogger("reference")


class Publisher:
    """A connection with a few channels; the messages of one body share a channel, so they keep their order."""

    def __init__(self):
        self.connection = None
        self.exchanges = []

    async def open(self):
        self.connection = await aio_pika.connect_robust(os.environ["RABBITMQ_URL"])
        channels = []
        for _ in range(CHANNELS):
            channel = await self.connection.channel(publisher_confirms=True, on_return_raises=False)
            names = {"message": f"{PREFIX}.inbound", "status": f"{PREFIX}.status"}
            channels.append({kind: await channel.get_exchange(name, ensure=False) for kind, name in names.items()})
        self.exchanges = itertools.cycle(channels)

    async def close(self):
        await self.connection.close()

    async def publish(self, messages):
        exchanges = next(self.exchanges)
        # Tasks begin in the order in which they are made, and each writes its frames before it first waits.
        confirms = [
            exchanges[kind].publish(message, routing_key, mandatory=False) for kind, routing_key, message in messages
        ]
        await asyncio.wait_for(asyncio.gather(*confirms), PUBLISH_TIMEOUT_S)


publisher = Publisher()


@asynccontextmanager
async def lifespan(_):
    await publisher.open()
    yield
    await publisher.close()


app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)


def is_signed(body: bytes, header: str | None) -> bool:
    if header is None or not header.startswith("sha256="):
        return False
    expected = hmac.new(APP_SECRET, body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, header[7:])


_partitions = {}


def partition(number_id: str, partitions: int) -> int:
    """The same as ingest's; the few numbers that there are need not be hashed again each time."""
    key = (number_id, partitions)
    if (found := _partitions.get(key)) is None:
        digest = hashlib.sha256(number_id.encode()).digest()
        found = _partitions[key] = int.from_bytes(digest[:8], "big") % partitions
    return found


def messages_of(body: dict) -> list:
    received = time.time()
    headers = {"traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"}
    messages = []
    for entry in body["entry"]:
        for change in entry["changes"]:
            value = change["value"]
            number_id = value["metadata"]["phone_number_id"]
            contacts = {contact.get("wa_id"): contact for contact in value.get("contacts", ())}
            for kind, updates in (("message", value.get("messages", ())), ("status", value.get("statuses", ()))):
                partitions = PARTITIONS if kind == "message" else STATUS_PARTITIONS
                routing_key = f"{partition(number_id, partitions)}.{number_id}"
                for update in updates:
                    envelope = {
                        "v": 1,
                        "kind": kind,
                        "phone_number_id": number_id,
                        "waba_id": entry["id"],
                        "received_at": int(received * 1000),
                        "index": len(messages),
                        "payload": update,
                    }
                    if (contact := contacts.get(update.get("from"))) is not None:
                        envelope["contact"] = contact
                    message = aio_pika.Message(
                        orjson.dumps(envelope),
                        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                        content_type="application/json",
                        message_id=update["id"],
                        type=kind,
                        timestamp=int(received),
                        headers=headers,
                    )
                    messages.append((kind, routing_key, message))
    return messages


@app.post("/webhook")
async def webhook(request: Request) -> Response:
    body = await request.body()
    if not is_signed(body, request.headers.get("x-hub-signature-256")):
        return Response(status_code=401)
    try:
        messages = messages_of(orjson.loads(body))
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        log.exception("a signed body is no webhook")
        return Response(status_code=400)
    try:
        await publisher.publish(messages)
    except (aio_pika.exceptions.AMQPError, ConnectionError, asyncio.TimeoutError):
        log.exception("a webhook could not be published")
        return Response(status_code=503)
    return Response(status_code=200)


@app.get("/healthz")
async def healthz() -> Response:
    return Response(status_code=200)
