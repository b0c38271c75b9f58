"""Who may talk to whom."""

import ipaddress

from rendering import matches

# Nothing of a cloud or of the cluster itself is outside.
PRIVATE = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")]
PRIVATE += [ipaddress.ip_network(text) for text in ("169.254.0.0/16", "127.0.0.0/8", "fc00::/7", "fe80::/10")]
METADATA = [ipaddress.ip_network("169.254.169.254/32")]


def network_is_closed(rendering, known, readme):
    """All is denied; what is allowed has a peer and a port; nothing leads to the metadata service or into the cluster."""
    found = []
    rules = rendering.of("NetworkPolicy")
    if not any(
        rule["spec"]["podSelector"] == {}
        and sorted(rule["spec"]["policyTypes"]) == ["Egress", "Ingress"]
        and not rule["spec"].get("ingress")
        and not rule["spec"].get("egress")
        for rule in rules
    ):
        found.append("NetworkPolicy: none denies everything")
    for rule in rules:
        where = f"NetworkPolicy/{rule['metadata']['name']}"
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for part in rule["spec"].get(direction) or []:
                if not part.get(peers):
                    found.append(f"{where}: {direction} with everybody")
                if not part.get("ports"):
                    found.append(f"{where}: {direction} at every port")
                ports = {port.get("port") for port in part.get("ports") or []}
                for peer in part.get(peers) or []:
                    found += [f"{where}: {error}" for error in _block(peer.get("ipBlock"), ports)]
    for rule in rules:
        for port in (port for part in rule["spec"].get("ingress") or [] for port in part.get("ports") or []):
            if isinstance(port["port"], str):
                pods = [pod for pod in rendering.pods if matches(rule["spec"]["podSelector"], pod.labels)]
                names = {one["name"] for pod in pods for _, part in pod.containers() for one in part.get("ports", [])}
                if port["port"] not in names:
                    found.append(f"NetworkPolicy/{rule['metadata']['name']}: no pod has the port {port['port']}")
    return found


def _block(block, ports):
    if block is None:
        return
    try:
        whole = ipaddress.ip_network(block["cidr"])
        excepted = [ipaddress.ip_network(text) for text in block.get("except", [])]
    except ValueError as error:
        yield str(error)
        return
    for part in excepted:
        if part.version != whole.version or part == whole or not part.subnet_of(whole):
            yield f"{part} is no part of {whole}"
    # Names are asked for at the address of the metadata service in some clouds, and at no other port of it.
    closed = PRIVATE if 443 in ports else [] if ports == {53} else METADATA
    for private in closed:
        if private.version != whole.version or not private.overlaps(whole):
            continue
        if not any(part.version == private.version and private.subnet_of(part) for part in excepted):
            yield f"{whole} is not closed to {private}"
