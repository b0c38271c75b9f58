"""Renders the manifests, validates them, and holds them to the rules."""

import functools
import json
import pathlib
import re
import shutil
import subprocess
import tempfile

import jsonschema
import kubernetes_validate
import yaml

import rules
from rendering import Rendering
from variables import known_variables

HERE = pathlib.Path(__file__).resolve().parent
# The manifests, and the repository.
TREE = HERE.parent
ROOT = TREE.parent.parent

# The oldest Kubernetes that has all that is used here (the preStop action `sleep`), and the newest whose schemas there
# are.
VERSIONS = ["1.30", "1.37"]

# What is rendered: directories as they are, and components on top of the base, with those that they need.
DIRECTORIES = ["base", "production"]
COMPONENTS = {
    "rabbitmq": ["rabbitmq"],
    "dashboard": ["rabbitmq", "dashboard"],
    "certificates": ["rabbitmq", "dashboard", "certificates"],
    "traces": ["rabbitmq", "traces"],
    "monitoring": ["rabbitmq", "monitoring"],
    "rabbitmq-tls": ["rabbitmq", "monitoring", "rabbitmq-tls"],
}
# Those that an installation leaves out whose RabbitMQ is another one.
OF_OUR_RABBITMQ = {"rabbitmq", "rabbitmq-tls"}
EVERYTHING = "production with every example"
ELSEWHERE = "production with every example and another RabbitMQ"


class Broken(Exception):
    """Something that cannot be rendered at all."""


def renderings(tree):
    """The name of each rendering, and what makes it: a directory, or a directory and the kustomization that goes in."""
    on_disk = {path.name for path in (tree / "components").iterdir()}
    if on_disk != set(COMPONENTS):
        raise Broken(f"components on disk and in checks/manifests.py differ: {sorted(on_disk ^ set(COMPONENTS))}")
    found = {name: name for name in DIRECTORIES}
    for name, needed in COMPONENTS.items():
        components = [f"../components/{part}" for part in needed]
        found[f"base with {name}"] = {"overlay": {"resources": ["../base"], "components": components}}
    examples = with_examples((tree / "production/kustomization.yaml").read_text())
    listed = [pathlib.PurePath(path).name for path in examples.get("components") or []]
    if listed != [name for name in COMPONENTS if name in listed]:
        raise Broken(f"components in production/kustomization.yaml are unknown, or in another order than here: {listed}")
    for name, left_out in ((EVERYTHING, set()), (ELSEWHERE, OF_OUR_RABBITMQ)):
        components = [f"../components/{part}" for part in COMPONENTS if part not in left_out]
        found[name] = {"production": {**examples, "components": components}}
    return found


def with_examples(text):
    """A kustomization as who takes all examples in it would have it: they are the lines whose # has no space after it."""
    try:
        return yaml.safe_load(re.sub(r"^( *)#(?=\S)", r"\1", text, flags=re.MULTILINE))
    except yaml.YAMLError as error:
        raise Broken(f"production/kustomization.yaml, with its examples, is no yaml: {error}") from error


def render(kubectl, tree, what):
    """The documents of a rendering."""
    with tempfile.TemporaryDirectory(prefix="switchboard-") as scratch:
        if isinstance(what, str):
            directory = tree / what
        else:
            # Paths in a kustomization are relative, so it is rendered where it would be.
            copy = shutil.copytree(tree, pathlib.Path(scratch, "tree"))
            ((place, kustomization),) = what.items()
            directory = copy / place
            directory.mkdir(exist_ok=True)
            (directory / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        run = subprocess.run([kubectl, "kustomize", str(directory)], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise Broken(run.stderr.strip())
    return [document for document in yaml.safe_load_all(run.stdout) if document]


@functools.lru_cache(maxsize=None)
def schemas():
    """Schemas of what the operators bring, by version and kind."""
    found = {}
    for path in sorted((HERE / "schemas").glob("*.json")):
        schema = json.loads(path.read_text())
        jsonschema.Draft7Validator.check_schema(schema)
        found[schema["properties"]["apiVersion"]["const"], schema["properties"]["kind"]["const"]] = schema
    return found


@functools.lru_cache(maxsize=None)
def invalid(text):
    """What the schemas find wrong in one document. By its text, since most documents are in several renderings."""
    document = json.loads(text)
    schema = schemas().get((document.get("apiVersion"), document.get("kind")))
    if schema is not None:
        errors = list(jsonschema.Draft7Validator(schema).iter_errors(document))
        return [f"schema: {'/'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in errors]
    found = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"schema of {version}: {'/'.join(map(str, error.path))}: {error.message[:300]}")
        except kubernetes_validate.SchemaNotFoundError as error:
            found.append(f"no schema: {error.message}")
    return found


def name_of(document):
    return f"{document.get('kind')}/{document.get('metadata', {}).get('name')}"


def examine(documents, known, readme):
    """Everything that is wrong with a rendering. The rules may count on what the schemas promise."""
    found = [f"{name_of(document)}: {error}" for document in documents for error in invalid(json.dumps(document))]
    if found:
        return found
    rendering = Rendering(documents)
    for rule in rules.ALL:
        found += rule(rendering, known, readme)
    return found


def prometheus_rule(tree):
    """What is wrong with the alerts as an object of the cluster."""
    script = tree / "prometheus-rule.sh"
    run = subprocess.run([str(script)], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        return [f"prometheus-rule.sh: {run.stderr.strip()}"]
    document = yaml.safe_load(run.stdout)
    found = [f"PrometheusRule: {error}" for error in invalid(json.dumps(document))]
    ours = f'{{namespace="{document["metadata"]["namespace"]}",'
    for rule in (rule for group in document["spec"]["groups"] for rule in group["rules"]):
        if re.search(rf"\bup\b(?!{re.escape(ours)})", rule.get("expr", "")):
            found.append(f"PrometheusRule: {rule.get('alert')} asks `up` of other namespaces, too")
    alerts = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())
    if yaml.safe_load(run.stdout.replace(f"up{ours}", "up{"))["spec"] != alerts:
        found.append("PrometheusRule: its groups are not those of deploy/prometheus/rules.yml")
    return found


def check(kubectl, tree):
    """Checks a tree of manifests and says what it found; true where all holds."""
    readme = (tree / "README.md").read_text()
    known = known_variables(ROOT)
    failed = False
    for name, what in renderings(tree).items():
        documents = render(kubectl, tree, what)
        found = examine(documents, known, readme)
        print(f"{name}: {len(documents)} objects" + (f", {len(found)} errors" if found else ""))
        for error in found:
            print(f"  {error}")
        failed = failed or bool(found)
    found = prometheus_rule(tree)
    for error in found:
        print(error)
    return not failed and not found
