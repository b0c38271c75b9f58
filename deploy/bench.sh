#!/usr/bin/env bash
# Measures ingest and worker on this machine: real RabbitMQ and MongoDB (services.sh), the release
# binaries, `simulator bench` as load and as Meta and the AI, and beside them a reference in Python.
# Prints a table, says which of the project's ratios are reached, and writes report.json, report.md,
# report.svg and the processes' logs to target/bench.
#
# usage: bench.sh [--quick] [--debug] [--only SCENARIO]... [--judge] [--backlog MESSAGES] [--help]
#        --quick    everything small: shows that the benchmark works, its figures mean little
#        --debug    a debug build, as the tests have it: its figures mean nothing
#        --only     broker, ingest, reference, start, worker, end-to-end, growth or backlog; may be repeated
#        --judge    exit with 1 where a ratio is not reached
#
# Invariants: everything is on loopback; each scenario has queues and a database of its own, named
# bench_…, and deletes them, unless it is broken off; servers that were up stay up, and what was started
# is stopped, however this ends. For figures that mean something the machine must have nothing else to do.
# exit:  75 where the reference's packages could not be fetched, so that nothing was measured
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
services=deploy/services.sh
out=target/bench
# Servers of its own, as they are shipped: those of the tests boot faster, and take a core for it.
export SWITCHBOARD_SERVICES_DIR=${SWITCHBOARD_SERVICES_DIR:-$PWD/$out/services}
export SWITCHBOARD_SERVICES_CACHE=${SWITCHBOARD_SERVICES_CACHE:-$PWD/target/services/cache}
export SWITCHBOARD_SERVICES_AS_SHIPPED=1
state=$SWITCHBOARD_SERVICES_DIR
venv=$out/venv
reference=deploy/bench/reference
profile=release
started=()

main() {
  local argument arguments=()
  for argument; do
    case $argument in
      -h | --help) usage ;;
      --debug) profile=debug ;;
      *) arguments+=("$argument") ;;
    esac
  done
  local bin=${CARGO_TARGET_DIR:-target}/$profile
  command -v cargo >/dev/null || die "please install Rust (https://rustup.rs); rust-toolchain.toml names the version"
  mkdir -p "$out"
  exec 9>"$out/lock"
  flock -n 9 || die "another bench.sh is running"
  build
  make_reference
  start_servers
  "$bin/simulator" bench --out "$out" --python "$venv/bin/python" --reference "$reference" \
    "${arguments[@]}" 8>&- 9>&-
}

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 64
}

die() {
  printf 'bench: %s\n' "$1" >&2
  exit "${2-1}"
}

build() {
  local options=()
  [[ $profile == debug ]] || options=(--release)
  printf 'bench: building the %s binaries\n' "$profile" >&2
  # The lock file of the build says what is measured.
  cargo build "${options[@]}" --locked --workspace --bins 8>&- 9>&-
}

# What is pinned, in a place of its own; made once, and again when the pins change.
make_reference() {
  if ! cmp -s "$reference/requirements.txt" "$venv/requirements.txt"; then
    command -v python3 >/dev/null || die "please install Python 3.11 or later, with venv"
    printf 'bench: installing the reference'"'"'s packages from PyPI\n' >&2
    rm -rf "$venv"
    python3 -m venv "$venv" || die "please install Python's venv: apt-get install python3-venv"
    "$venv/bin/pip" --quiet --disable-pip-version-check install -r "$reference/requirements.txt" ||
      die "the reference's packages could not be fetched from PyPI" 75
    cp "$reference/requirements.txt" "$venv/requirements.txt"
  fi
}

# The lock is the one by which test.sh keeps its servers: whoever leaves last stops them.
start_servers() {
  local server environment
  mkdir -p "$state"
  exec 8>"$state/tests.lock"
  flock -s 8
  for server in rabbitmq mongodb; do
    "$services" status "$server" >/dev/null 2>&1 8>&- 9>&- || started+=("$server")
  done
  trap stop_servers EXIT
  "$services" up >&2 8>&- 9>&-
  environment=$("$services" env 8>&- 9>&-)
  eval "$environment"
}

stop_servers() {
  local server
  # Fails while somebody else holds it: then they are in use.
  if ((${#started[@]})) && flock -xn 8; then
    for server in "${started[@]}"; do
      "$services" down "$server" >/dev/null 2>&1 8>&- 9>&- || true
    done
  fi
}

main "$@"
