"""How long a stop may take."""

from rendering import matches
from rules.every import every_container

# What it may take where nothing is said (README.md at the top, "Configure it").
DEFAULT_STOP_SECONDS = 40.0


def pods_have_time_to_stop(rendering, known, readme):
    """More than preStop and STOP_TIMEOUT_SECS together; and a preStop that an image without programs can do."""

    def of_container(pod, where, container):
        handler = container.get("lifecycle", {}).get("preStop", {})
        if "exec" in handler:
            yield f"{where}: preStop runs a program, and the image has none"
        seconds = float(pod.settings(container).get("STOP_TIMEOUT_SECS", DEFAULT_STOP_SECONDS))
        seconds += handler.get("sleep", {}).get("seconds", 0)
        if pod.spec.get("terminationGracePeriodSeconds", 30) <= seconds:
            yield f"{where}: terminationGracePeriodSeconds is not more than the {seconds:g} s that a stop may take"
        served = any(
            matches({"matchLabels": service["spec"]["selector"]}, pod.labels) for service in pod.rendering.of("Service")
        )
        if served and pod.binary(container) == "ingest" and not handler:
            yield f"{where}: no preStop, so the Service still sends connections to a pod that stops"

    return every_container(rendering, of_container)
