"""What Prometheus scrapes."""

from rendering import matches

# Of RabbitMQ's pods, as its operator names them: without TLS, and with it.
PLAIN, BY_TLS = {"prometheus": 15692}, {"prometheus-tls": 15691}
PROMETHEUS = {"matchLabels": {"switchboard/metrics": "allowed"}}


def monitors_get_to_what_they_scrape(rendering, known, readme):
    """A PodMonitor names a port that the pods which it chooses have, and a policy lets Prometheus get there."""
    found = []
    for monitor in rendering.of("PodMonitor"):
        where = f"PodMonitor/{monitor['metadata']['name']}"
        for labels, ports in _scraped(rendering):
            if not matches(monitor["spec"]["selector"], labels):
                continue
            for endpoint in monitor["spec"]["podMetricsEndpoints"]:
                name = endpoint["port"]
                if name not in ports:
                    found.append(f"{where}: its pods have no port {name}")
                elif not _lets_in(rendering, labels, {name, ports[name]}):
                    found.append(f"{where}: no policy lets Prometheus get to the port {name}")
                if (ports == BY_TLS) != (endpoint.get("scheme", "http").lower() == "https"):
                    found.append(f"{where}: {name} does not speak {endpoint.get('scheme', 'http')}")
    return found


def _scraped(rendering):
    """Labels of pods, and their ports by name."""
    for pod in rendering.pods:
        ports = [port for _, part in pod.containers() for port in part.get("ports", [])]
        yield pod.labels, {port["name"]: port["containerPort"] for port in ports}
    for cluster in rendering.of("RabbitmqCluster"):
        labels = {"app.kubernetes.io/name": cluster["metadata"]["name"], "app.kubernetes.io/component": "rabbitmq"}
        yield labels, BY_TLS if cluster["spec"].get("tls", {}).get("disableNonTLSListeners") else PLAIN


def _lets_in(rendering, labels, ports):
    return any(
        matches(policy["spec"]["podSelector"], labels)
        and any(peer.get("namespaceSelector") == PROMETHEUS for peer in part.get("from", []))
        and any(port.get("port") in ports for port in part.get("ports", []))
        for policy in rendering.of("NetworkPolicy")
        for part in policy["spec"].get("ingress") or []
    )
