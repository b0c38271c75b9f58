"""Breaks a copy of the manifests in every way that the rules know, one at a time, and wants each to be found.

breaches.py lists them. A rule without a breach is a failure, too.
"""

import pathlib
import shutil
import tempfile

import manifests
import rules
from breaches import BREACHES
from rendering import Rendering
from variables import known_variables


def found_in(kubectl, tree, known, rule):
    """What one rule says of a tree, in which everything is rendered at once."""
    readme = (tree / "README.md").read_text()
    if rule == "alerts":
        return manifests.prometheus_rule(tree)
    try:
        documents = manifests.render(kubectl, tree, manifests.renderings(tree)[manifests.EVERYTHING])
    except manifests.Broken as error:
        return [str(error)] if rule == "render" else [f"cannot be rendered: {error}"]
    if rule == "schema":
        return [error for error in manifests.examine(documents, known, readme) if "schema" in error]
    if rule == "render":
        return []
    return list(getattr(rules, rule)(Rendering(documents), known, readme))


def self_test(kubectl, tree, root):
    """Whether every breach is found, and nothing where there is none."""
    known = known_variables(root)
    names = {"render", "schema", "alerts", *(rule.__name__ for rule in rules.ALL)}
    failures = [f"no breach of {rule}" for rule in sorted(names - {breach[0] for breach in BREACHES})]
    failures += [
        f"{rule}, of files as they are: {error}" for rule in names for error in found_in(kubectl, tree, known, rule)
    ]
    for rule, name, old, new, words in BREACHES:
        with tempfile.TemporaryDirectory(prefix="switchboard-") as scratch:
            copy = pathlib.Path(scratch, "kubernetes")
            shutil.copytree(tree, copy)
            shutil.copytree(tree.parent / "prometheus", pathlib.Path(scratch, "prometheus"))
            path = copy / name
            text = path.read_text()
            if old not in text:
                failures.append(f"{rule}: {name} has no {old!r} any more")
                continue
            path.write_text(text.replace(old, new))
            found = found_in(kubectl, copy, known, rule)
        if not any(words in error for error in found):
            failures.append(f"{rule}: {old!r} became {new!r} in {name}, and no error has {words!r}: {found}")
    for failure in failures:
        print(failure)
    print(f"{len(BREACHES)} breaches, {len(failures)} failures")
    return not failures
