"""A rendering's documents, and how its parts are found."""


class Pod:
    """A template of pods, wherever it stands, and what its containers are given."""

    def __init__(self, rendering, owner, template):
        self.rendering = rendering
        self.owner = f"{owner['kind']}/{owner['metadata']['name']}"
        self.labels = template.get("metadata", {}).get("labels", {})
        self.spec = template.get("spec", {})

    def containers(self):
        """All of them, with a name for errors."""
        for kind in ("initContainers", "containers"):
            for container in self.spec.get(kind, []):
                yield f"{self.owner}: {container['name']}", container

    def binary(self, container):
        """Which of the two a container runs; its arguments say so."""
        return (container.get("args") or [None])[0]

    def settings(self, container):
        """Names and values that a container gets in plain: of ConfigMaps, then its own."""
        values = {}
        for source in container.get("envFrom", []):
            config = self.rendering.find("ConfigMap", source.get("configMapRef", {}).get("name"))
            values.update((config or {}).get("data") or {})
        values.update((entry["name"], entry["value"]) for entry in container.get("env", []) if "value" in entry)
        return values


def template_of(document):
    """The pods that an object of Kubernetes makes, or none."""
    kind, spec = document["kind"], document.get("spec", {})
    if kind == "Pod":
        return document
    if kind == "CronJob":
        return spec["jobTemplate"]["spec"]["template"]
    return spec["template"] if kind in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job") else None


class Rendering:
    """All documents of one."""

    def __init__(self, documents):
        self.documents = documents
        self.pods = [Pod(self, document, template) for document in documents if (template := template_of(document))]

    def of(self, kind):
        """All of a kind."""
        return [document for document in self.documents if document["kind"] == kind]

    def find(self, kind, name):
        """One by its name, or none."""
        return next((document for document in self.of(kind) if document["metadata"]["name"] == name), None)

    def labelled(self):
        """Labels of every pod that there will be, those of RabbitMQ by what its operator gives them."""
        labels = [pod.labels for pod in self.pods]
        for cluster in self.of("RabbitmqCluster"):
            labels.append(
                {"app.kubernetes.io/name": cluster["metadata"]["name"], "app.kubernetes.io/component": "rabbitmq"}
            )
        return labels


def matches(selector, labels):
    """Whether a selector of labels takes these."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for expression in selector.get("matchExpressions") or []:
        value, values = labels.get(expression["key"]), expression.get("values", [])
        holds = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not holds[expression["operator"]]:
            return False
    return True
