"""Variables, the files that they name, and secrets."""

import json
import re

from rules.every import every_container

# A password in a URL.
PASSWORD = re.compile(r"[a-z][a-z0-9+]*://[^\s/:@]*:[^\s/@]+@")


def variables_are_known(rendering, known, readme):
    """Names that the container's binary reads; METRICS_ADDR where probes and Prometheus get to."""

    def of_container(pod, where, container):
        binary = pod.binary(container)
        names = [entry["name"] for entry in container.get("env", [])]
        if len(set(names)) != len(names):
            yield f"{where}: a variable stands there twice"
        for source in container.get("envFrom", []):
            if "secretRef" in source:
                yield f"{where}: takes a whole Secret as variables; take keys"
        settings = pod.settings(container)
        for name in {*names, *settings}:
            variable = known.get(name)
            if variable is None and name.endswith("_FILE"):
                variable = known.get(name.removesuffix("_FILE"))
                variable = variable if variable and variable.secret else None
            if variable is None:
                yield f"{where}: no binary knows the variable {name}"
            elif binary not in variable.readers:
                yield f"{where}: {name} is not read by {binary}"
            if f"{name}_FILE" in names:
                yield f"{where}: {name} and {name}_FILE are both set"
        if any(port.get("name") == "metrics" for port in container.get("ports", [])):
            (port,) = (port for port in container["ports"] if port["name"] == "metrics")
            if settings.get("METRICS_ADDR") != f"0.0.0.0:{port['containerPort']}":
                yield f"{where}: METRICS_ADDR is not 0.0.0.0 and the port `metrics`"

    return every_container(rendering, of_container)


def files_are_mounted(rendering, known, readme):
    """A variable that names a file names one that a volume brings."""

    def of_container(pod, where, container):
        there = set()
        for mount in container.get("volumeMounts", []):
            volume = next((v for v in pod.spec.get("volumes", []) if v["name"] == mount["name"]), {})
            for source in volume.get("projected", {}).get("sources", []):
                for item in source.get("secret", {}).get("items", []):
                    there.add(f"{mount['mountPath']}/{item['path']}")
        for name, value in pod.settings(container).items():
            if name.endswith("_FILE") and value not in there:
                yield f"{where}: {name} names {value}, which no volume brings"

    return every_container(rendering, of_container)


def secrets_are_only_referred_to(rendering, known, readme):
    """No value of a secret anywhere, and every key that is referred to explained."""
    found = [f"Secret/{secret['metadata']['name']}: secrets do not belong here" for secret in rendering.of("Secret")]
    for config in rendering.of("ConfigMap"):
        for name in config.get("data") or {}:
            if name in known and known[name].secret:
                found.append(f"ConfigMap: {name} is a secret")

    def of_container(pod, where, container):
        for entry in container.get("env", []):
            variable = known.get(entry["name"])
            if variable and variable.secret and "value" in entry:
                yield f"{where}: {entry['name']} is a secret, in plain"

    found += every_container(rendering, of_container)
    for scaled in rendering.of("ScaledObject"):
        for trigger in scaled["spec"].get("triggers", []):
            for name in {"password", "username", "connectionString"} & set(trigger.get("metadata", {})):
                found.append(f"ScaledObject: {name} is a secret, in plain")
    for document in rendering.documents:
        for password in PASSWORD.findall(json.dumps(document)):
            found.append(f"{document['kind']}/{document['metadata']['name']}: a password in a URL, {password[:12]}…")
    for name, key in sorted(_references(rendering)):
        if f"`{name}`" not in readme or f"`{key}`" not in readme:
            found.append(f"README.md does not explain the key {key} of the Secret {name}")
    return found


def _references(rendering):
    """Names and keys of Secrets that something refers to."""
    for pod in rendering.pods:
        for _, container in pod.containers():
            for entry in container.get("env", []):
                reference = entry.get("valueFrom", {}).get("secretKeyRef")
                if reference:
                    yield reference["name"], reference["key"]
        for volume in pod.spec.get("volumes", []):
            for source in volume.get("projected", {}).get("sources", []):
                secret = source.get("secret", {})
                for item in secret.get("items", []):
                    yield secret["name"], item["key"]
    for authentication in rendering.of("TriggerAuthentication"):
        for reference in authentication["spec"].get("secretTargetRef", []):
            yield reference["name"], reference["key"]
    for monitor in rendering.of("PodMonitor"):
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            reference = endpoint.get("tlsConfig", {}).get("ca", {}).get("secret")
            if reference:
                yield reference["name"], reference["key"]
