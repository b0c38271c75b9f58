"""Reads each `run:` block of workflows as the script that it is, with shellcheck.

usage: run_blocks.py WORKFLOW...

A block may hold no `${{ }}`: what GitHub puts there becomes part of the script, and cannot be read here. Values come
by `env`. Exit 1 where something is wrong, and where there is no block at all.
"""

import subprocess
import sys

from ruamel.yaml import YAML


def blocks(workflow):
    """The line and the text of each."""
    for job in workflow["jobs"].values():
        for step in job.get("steps", []):
            if "run" in step:
                yield step.lc.data["run"][2] + 1, step["run"]


def wrong_shell(workflow):
    shell = workflow.get("defaults", {}).get("run", {}).get("shell")
    # The shell that GitHub takes where none is named goes on when a part of a pipe fails.
    return None if shell == "bash" else "defaults.run.shell must be bash"


def faults(script):
    if "${{" in script:
        return "a block may hold no ${{ }}: hand the value over by env"
    # With what GitHub sets for bash.
    script = f"set -eo pipefail\n{script}"
    command = ["shellcheck", "--shell=bash", "-"]
    read = subprocess.run(command, input=script, stdout=subprocess.PIPE, text=True, check=False)
    return read.stdout.strip()


def main(paths):
    found, told = 0, []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            workflow = YAML().load(file)
        told.append((path, 1, wrong_shell(workflow)))
        for line, script in blocks(workflow):
            found += 1
            told.append((path, line, faults(script)))
    wrong = [fault for fault in told if fault[2]]
    for path, line, what in wrong:
        print(f"{path}:{line}: {what}", file=sys.stderr)
    if found == 0:
        print("there is no run block, so nothing was read", file=sys.stderr)
    return 1 if wrong or found == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
