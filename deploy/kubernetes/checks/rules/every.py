"""A rule of containers, applied to every one."""


def every_container(rendering, rule):
    """All errors that a function of a pod, words for where, and a container finds."""
    return [error for pod in rendering.pods for where, part in pod.containers() for error in rule(pod, where, part)]
