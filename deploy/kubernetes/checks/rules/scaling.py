"""How many there are, and by what that is decided."""

import json
import re

from rendering import matches


def workers_and_ingests_scale(rendering, known, readme):
    """Two at least, by a scaler that nothing sets back; with a budget of disruptions; spread out."""
    found = []
    targets = {}
    for kind, least in (("HorizontalPodAutoscaler", "minReplicas"), ("ScaledObject", "minReplicaCount")):
        for scaler in rendering.of(kind):
            name = scaler["spec"]["scaleTargetRef"]["name"]
            targets[name] = scaler["spec"].get(least, 0)
            if rendering.find("Deployment", name) is None:
                found.append(f"{kind}: there is no Deployment {name}")
    for deployment in rendering.of("Deployment"):
        name, template = deployment["metadata"]["name"], deployment["spec"]["template"]
        labels = template["metadata"]["labels"]
        if labels.get("app.kubernetes.io/component") not in ("ingest", "worker"):
            continue
        if targets.get(name, 0) < 2:
            found.append(f"Deployment/{name}: no scaler with a minimum of two")
        if "replicas" in deployment["spec"]:
            found.append(f"Deployment/{name}: `replicas` would set back what its scaler has set")
        if not any(matches(budget["spec"]["selector"], labels) for budget in rendering.of("PodDisruptionBudget")):
            found.append(f"Deployment/{name}: no PodDisruptionBudget")
        spread = {part["topologyKey"] for part in template["spec"].get("topologySpreadConstraints", [])}
        if not {"kubernetes.io/hostname", "topology.kubernetes.io/zone"} <= spread:
            found.append(f"Deployment/{name}: not spread over nodes and zones")
    return found


def triggers_fit_the_settings(rendering, known, readme):
    """What KEDA asks is what the workers work on."""
    found = []
    worker = next((pod for pod in rendering.pods if pod.labels.get("app.kubernetes.io/component") == "worker"), None)
    settings = worker.settings(worker.spec["containers"][0]) if worker else {}
    for scaled in rendering.of("ScaledObject"):
        for trigger in scaled["spec"]["triggers"]:
            metadata = trigger["metadata"]
            name = trigger.get("authenticationRef", {}).get("name")
            if rendering.find("TriggerAuthentication", name) is None:
                found.append(f"ScaledObject: there is no TriggerAuthentication {name}")
            if trigger["type"] == "mongodb":
                found += _mongodb_trigger(metadata, settings)
            if trigger["type"] == "rabbitmq":
                found += _rabbitmq_trigger(metadata, settings, scaled["metadata"].get("namespace"), rendering)
    return found


def _mongodb_trigger(metadata, settings):
    if metadata["dbName"] != settings.get("MONGODB_DB_NAME", "switchboard"):
        yield "ScaledObject: dbName is not MONGODB_DB_NAME"
    try:
        query = json.loads(metadata["query"])
    except ValueError as error:
        yield f"ScaledObject: the query is no JSON: {error}"
        return
    if _has_numbers(query):
        yield "ScaledObject: a number in the query, which canonical extended JSON has not"
    if float(metadata["queryValue"]) > float(settings.get("MAX_CONVERSATIONS", 256)):
        yield "ScaledObject: queryValue is more than MAX_CONVERSATIONS, so no worker would ever be added in time"


def _has_numbers(value):
    if isinstance(value, dict):
        return any(map(_has_numbers, value.values()))
    if isinstance(value, list):
        return any(map(_has_numbers, value))
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _rabbitmq_trigger(metadata, settings, namespace, rendering):
    prefix = re.escape(settings.get("QUEUE_PREFIX", "whatsapp")) + r"\."
    if not metadata["queueName"].startswith(f"^{prefix}"):
        yield "ScaledObject: queueName does not begin with QUEUE_PREFIX"
    try:
        pattern = re.compile(metadata["queueName"])
    except re.error as error:
        yield f"ScaledObject: queueName is no expression: {error}"
        return
    plain = settings.get("QUEUE_PREFIX", "whatsapp")
    queues = {
        f"{plain}.inbound.0": True,
        f"{plain}.inbound.255": True,
        f"{plain}.status.3": True,
        f"{plain}.dead": False,
    }
    for queue, wanted in queues.items():
        if bool(pattern.search(queue)) != wanted:
            yield f"ScaledObject: queueName {'does not take' if wanted else 'takes'} {queue}"
    if metadata.get("protocol") != "http":
        yield "ScaledObject: only http knows a sum over queues"
    for cluster in rendering.of("RabbitmqCluster"):
        tls = cluster["spec"].get("tls", {})
        scheme, port = ("https", 15671) if tls.get("disableNonTLSListeners") else ("http", 15672)
        wanted = f"{scheme}://{cluster['metadata']['name']}.{namespace}.svc:{port}/"
        if metadata.get("host") != wanted:
            yield f"ScaledObject: host is not {wanted}, where the RabbitmqCluster is"
