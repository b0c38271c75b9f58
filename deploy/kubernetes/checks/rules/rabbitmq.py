"""What the operator is asked for."""

from rendering import matches


def rabbitmq_is_a_quorum(rendering, known, readme):
    """Three nodes or more, oddly many, on nodes of their own, with a disk that it stops before it is full."""
    found = []
    for cluster in rendering.of("RabbitmqCluster"):
        spec, name = cluster["spec"], cluster["metadata"]["name"]
        if spec["replicas"] < 3 or spec["replicas"] % 2 == 0:
            found.append("RabbitmqCluster: not three nodes, or five")
        anti = (
            spec.get("affinity", {})
            .get("podAntiAffinity", {})
            .get("requiredDuringSchedulingIgnoredDuringExecution", [])
        )
        if not any(term["topologyKey"] == "kubernetes.io/hostname" for term in anti):
            found.append("RabbitmqCluster: two of its nodes may be on one machine")
        if not spec.get("persistence", {}).get("storage"):
            found.append("RabbitmqCluster: no size of its disk")
        if "disk_free_limit.absolute" not in spec.get("rabbitmq", {}).get("additionalConfig", ""):
            found.append("RabbitmqCluster: no disk_free_limit, so 50 MB")
        labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/component": "rabbitmq"}
        if not any(matches(budget["spec"]["selector"], labels) for budget in rendering.of("PodDisruptionBudget")):
            found.append("RabbitmqCluster: no PodDisruptionBudget")
    return found
