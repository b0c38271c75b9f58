#!/usr/bin/env python3
"""Makes a lone mongod the primary of a one-member replica set and waits until it takes writes.

usage: mongo-initiate.py HOST:PORT SET_NAME TIMEOUT_SECONDS

Safe to repeat: it acts on what the server says of itself (`hello`), so a set that exists
already is only waited for. Standard library only, because there is no shell for MongoDB in
Debian and a driver would be one more download. Exit 0: primary. Exit 1: not within the timeout.
"""

import re
import socket
import struct
import sys
import time


def bson(document):
    """Encodes the few types that the two commands below need."""
    body = b""
    for key, value in document.items():
        name = key.encode() + b"\0"
        if isinstance(value, str):
            text = value.encode() + b"\0"
            body += b"\x02" + name + struct.pack("<i", len(text)) + text
        elif isinstance(value, int):
            body += b"\x10" + name + struct.pack("<i", value)
        elif isinstance(value, dict):
            body += b"\x03" + name + bson(value)
        elif isinstance(value, list):
            body += b"\x04" + name + bson({str(i): item for i, item in enumerate(value)})
        else:
            raise TypeError(f"no encoding for {key}")
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def read_exactly(stream, length):
    data = stream.read(length)
    if len(data) < length:
        raise ConnectionError("the server closed the connection")
    return data


def command(address, document):
    """Sends one OP_MSG to the database `admin` and returns the reply's bytes."""
    body = struct.pack("<iB", 0, 0) + bson({**document, "$db": "admin"})
    message = struct.pack("<iiii", 16 + len(body), 1, 0, 2013) + body
    with socket.create_connection(address, timeout=3) as connection:
        connection.sendall(message)
        with connection.makefile("rb") as stream:
            (length,) = struct.unpack("<i", read_exactly(stream, 4))
            return read_exactly(stream, length - 4)


def is_true(reply, field):
    """A BSON boolean has one spelling, so the reply need not be decoded to find it."""
    return b"\x08" + field + b"\0\x01" in reply


def step(address, set_name):
    """Returns None once the server is primary, else what is still missing."""
    hello = command(address, {"hello": 1})
    if is_true(hello, b"isWritablePrimary"):
        return None
    if not is_true(hello, b"isreplicaset"):
        return "a member of a replica set, but not its primary yet"
    member = {"_id": 0, "host": f"{address[0]}:{address[1]}"}
    reply = command(address, {"replSetInitiate": {"_id": set_name, "members": [member]}})
    error = re.search(rb"\x02errmsg\0.{4}([^\0]*)", reply, re.DOTALL)
    return error.group(1).decode(errors="replace") if error else "initiated"


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    host, port = sys.argv[1].rsplit(":", 1)
    deadline = time.monotonic() + float(sys.argv[3])
    while True:
        try:
            missing = step((host, int(port)), sys.argv[2])
        except OSError as error:
            missing = str(error)
        if missing is None:
            return
        if time.monotonic() >= deadline:
            sys.exit(f"mongod at {sys.argv[1]} is not primary: {missing}")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
