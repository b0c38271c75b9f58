#!/usr/bin/env bash
# Checks the workflows and dependabot.yml beside it: their form by GitHub's schemas, and a time limit for every job
# (check-jsonschema); what could be turned against the repository, such as an action that is not pinned (zizmor); each
# `run:` block as the script that it is (shellcheck). Offline, but for fetching its tools.
#
# Its tools are those of requirements.txt, in target/tools/github, and shellcheck of the system.
#
# usage: check.sh
# exit:  0 all holds; 1 something does not; 75 the tools could not be fetched, so nothing was checked
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
root=$(cd .. && pwd)
readonly tools=$root/target/tools/github

main() {
  (($# == 0)) || die "usage: check.sh"
  command -v shellcheck >/dev/null || die "please install shellcheck: apt-get install shellcheck" 75
  install_tools
  local workflows=(workflows/*.yml) broken=0
  tool check-jsonschema --builtin-schema vendor.github-workflows "${workflows[@]}" || broken=1
  tool check-jsonschema --builtin-schema custom.github-workflows-require-timeout "${workflows[@]}" || broken=1
  tool check-jsonschema --builtin-schema vendor.dependabot dependabot.yml || broken=1
  tool zizmor --quiet --offline --strict-collection --pedantic --no-progress . || broken=1
  tool python run_blocks.py "${workflows[@]}" || broken=1
  ((broken == 0)) || die "something in .github is to be mended"
}

die() {
  printf 'check: %s\n' "$1" >&2
  exit "${2:-1}"
}

tool() {
  local name=$1
  shift
  "$tools/venv/bin/$name" "$@"
}

install_tools() {
  command -v python3 >/dev/null || die "please install Python with its venv: apt-get install python3-venv"
  local wanted
  wanted=$(python3 --version; cat requirements.txt)
  [[ $(cat "$tools/installed" 2>/dev/null) == "$wanted" ]] && return
  rm -rf "$tools"
  mkdir -p "$tools"
  python3 -m venv "$tools/venv" >"$tools/log" 2>&1 || { cat "$tools/log"; die "please install apt-get's python3-venv"; }
  if ! tool pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt \
    >"$tools/log" 2>&1; then
    cat "$tools/log" >&2
    # Only the want of a network is no fault; a hash that is another one is.
    local lost='NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ProxyError'
    grep -qE "$lost" "$tools/log" || die "pip failed"
    die "the tools could not be fetched: no network" 75
  fi
  printf '%s' "$wanted" >"$tools/installed"
}

main "$@"
