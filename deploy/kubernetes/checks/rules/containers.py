"""What containers may do and take, and how they are asked how they are."""

from rules.every import every_container


def containers_have_no_rights(rendering, known, readme):
    """Not root, nothing to write to, nothing to call, nowhere to escalate to."""

    def of_container(pod, where, container):
        context = container.get("securityContext", {})
        return _rights(where, pod.spec.get("securityContext", {}), context)

    found = every_container(rendering, of_container)
    for pod in rendering.pods:
        if pod.spec.get("automountServiceAccountToken") is not False:
            found.append(f"{pod.owner}: automountServiceAccountToken is not false")
        if pod.spec.get("enableServiceLinks") is not False:
            found.append(f"{pod.owner}: enableServiceLinks is not false")
        for name in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.spec.get(name):
                found.append(f"{pod.owner}: {name} is set")
        for volume in pod.spec.get("volumes", []):
            if "hostPath" in volume:
                found.append(f"{pod.owner}: volume {volume['name']} is of the host")
    for cluster in rendering.of("RabbitmqCluster"):
        spec = (
            cluster["spec"]
            .get("override", {})
            .get("statefulSet", {})
            .get("spec", {})
            .get("template", {})
            .get("spec", {})
        )
        by_name = {part["name"]: part for kind in ("initContainers", "containers") for part in spec.get(kind, [])}
        for name in ("setup-container", "rabbitmq"):
            context = by_name.get(name, {}).get("securityContext", {})
            found += _rights(f"RabbitmqCluster: {name}", spec.get("securityContext", {}), context)
    return found


def _rights(where, pod, container):
    both = {**pod, **container}
    if both.get("runAsNonRoot") is not True or not both.get("runAsUser"):
        yield f"{where}: may be root (runAsNonRoot, runAsUser)"
    if both.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield f"{where}: seccompProfile is not RuntimeDefault"
    if container.get("readOnlyRootFilesystem") is not True:
        yield f"{where}: readOnlyRootFilesystem is not true"
    if container.get("allowPrivilegeEscalation") is not False or container.get("privileged"):
        yield f"{where}: may escalate its privileges"
    capabilities = container.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
        yield f"{where}: has capabilities"


def containers_are_bounded(rendering, known, readme):
    """Requests and limits of both resources."""

    def of_container(pod, where, container):
        return _bounds(where, container.get("resources", {}))

    found = every_container(rendering, of_container)
    for cluster in rendering.of("RabbitmqCluster"):
        resources = cluster["spec"].get("resources", {})
        found += _bounds("RabbitmqCluster", resources)
        if resources.get("requests", {}).get("memory") != resources.get("limits", {}).get("memory"):
            found.append("RabbitmqCluster: memory's request is not its limit")
    return found


def _bounds(where, resources):
    for kind in ("requests", "limits"):
        for name in ("cpu", "memory"):
            if name not in resources.get(kind, {}):
                yield f"{where}: no {kind} of {name}"


def images_have_versions(rendering, known, readme):
    """A tag that is not `latest`, or a digest."""

    def of_image(where, image):
        if "@sha256:" in image:
            return []
        tag = image.rpartition("/")[2].partition(":")[2]
        return [] if tag and tag != "latest" else [f"{where}: image {image} has no tag of a version"]

    found = every_container(rendering, lambda pod, where, container: of_image(where, container["image"]))
    for cluster in rendering.of("RabbitmqCluster"):
        found += of_image("RabbitmqCluster", cluster["spec"].get("image", ""))
    return found


def containers_are_asked_how_they_are(rendering, known, readme):
    """All three probes, at ports that the container names."""

    def of_container(pod, where, container):
        ports = {port.get("name") for port in container.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            port = container.get(probe, {}).get("httpGet", {}).get("port")
            if port not in ports:
                yield f"{where}: {probe} asks no port of the container"
        ready = container.get("readinessProbe", {}).get("httpGet", {}).get("path")
        if "metrics" in ports and ready != "/readyz":
            yield f"{where}: readinessProbe does not ask /readyz"

    return every_container(rendering, of_container)
