"""The entry of check.sh, which says how to call it."""

import argparse
import sys

from manifests import ROOT, TREE, Broken, check
from self_test import self_test


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubectl", required=True)
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    try:
        if arguments.self_test:
            return 0 if self_test(arguments.kubectl, TREE, ROOT) else 1
        return 0 if check(arguments.kubectl, TREE) else 1
    except Broken as error:
        print(f"check: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
