"""What refers to something finds it, and all of it is in one namespace."""

from rendering import matches

# On pods that cert-manager starts for a moment each, to prove to an authority whose name it is.
ACME_SOLVER = {"acme.cert-manager.io/http01-solver": "true"}
# On those of RabbitMQ, where an installation has it from elsewhere.
RABBITMQ = {"app.kubernetes.io/name": "switchboard-rabbitmq"}


def references_lead_somewhere(rendering, known, readme):
    """Services, budgets, policies, autoscalers and ConfigMaps that are referred to exist."""
    found = []
    # No manifest has pods of others, and who chooses them chooses somebody all the same.
    others = [ACME_SOLVER] if rendering.of("RabbitmqCluster") else [ACME_SOLVER, RABBITMQ]
    labelled = rendering.labelled() + others
    for service in rendering.of("Service"):
        pods = [pod for pod in rendering.pods if matches({"matchLabels": service["spec"]["selector"]}, pod.labels)]
        ports = {port["name"] for pod in pods for _, part in pod.containers() for port in part.get("ports", [])}
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in ports:
                found.append(f"Service/{service['metadata']['name']}: no pod has the port {port['targetPort']}")
    for kind, selector in (
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
        ("PodMonitor", "selector"),
    ):
        for document in rendering.of(kind):
            chosen = document["spec"][selector]
            if chosen and not any(matches(chosen, labels) for labels in labelled):
                found.append(f"{kind}/{document['metadata']['name']}: chooses no pod")
    for pod in rendering.pods:
        for where, container in pod.containers():
            for source in container.get("envFrom", []):
                name = source.get("configMapRef", {}).get("name")
                if name and rendering.find("ConfigMap", name) is None:
                    found.append(f"{where}: there is no ConfigMap {name}")
    for authentication in rendering.of("TriggerAuthentication"):
        for reference in authentication["spec"].get("configMapTargetRef", []):
            config = rendering.find("ConfigMap", reference["name"])
            if reference["key"] not in ((config or {}).get("data") or {}):
                found.append(
                    f"TriggerAuthentication: there is no ConfigMap {reference['name']} with {reference['key']}"
                )
    for ingress in rendering.of("Ingress"):
        secured = {host for part in ingress["spec"].get("tls", []) for host in part.get("hosts", [])}
        for rule in ingress["spec"].get("rules", []):
            if rule.get("host") not in secured:
                found.append(f"Ingress: {rule.get('host')} is served without TLS")
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                service = rendering.find("Service", backend["name"])
                names = {port["name"] for port in service["spec"]["ports"]} if service else set()
                if backend["port"].get("name") not in names:
                    found.append(f"Ingress: there is no port {backend['port']} of a Service {backend['name']}")
    return found


def namespace_is_restricted(rendering, known, readme):
    """One namespace, and nothing gets into it that has rights."""
    found = []
    names = {namespace["metadata"]["name"] for namespace in rendering.of("Namespace")}
    if len(names) != 1:
        return [f"not one Namespace but {len(names)}"]
    for document in rendering.documents:
        metadata = document["metadata"]
        if document["kind"] == "Namespace":
            if metadata.get("labels", {}).get("pod-security.kubernetes.io/enforce") != "restricted":
                found.append("Namespace: pod-security.kubernetes.io/enforce is not restricted")
        elif metadata.get("namespace") not in names:
            found.append(f"{document['kind']}/{metadata['name']}: is in no namespace of ours")
    return found
