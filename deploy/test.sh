#!/usr/bin/env bash
# Builds the workspace and runs all of its tests against real servers (deploy/services.sh), and those
# of the phone page in a real browser (deploy/browser.sh).
#
# usage: test.sh [ARGUMENTS...]     the arguments go to `cargo nextest run`, or `cargo test`
#
# Invariants: servers that were up already stay up, as they do with KEEP_SERVICES=1 or while
# another test.sh uses them; what it started, it stops. The summary of the main run is the last
# thing printed. Fails if any of the tests does.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
services=deploy/services.sh
state=${SWITCHBOARD_SERVICES_DIR:-target/services}
started=()

die() {
  printf 'test: %s\n' "$*" >&2
  exit 1
}

stop_services() {
  [[ ${KEEP_SERVICES-} != 1 ]] || return 0
  # Fails while another holds it too: then that one is still testing.
  flock -xn 8 || return 0
  local server
  for server in "${started[@]}"; do
    "$services" down "$server" >/dev/null 2>&1 8>&- || true
  done
}

check_tools() {
  command -v cargo >/dev/null || die "please install Rust (https://rustup.rs); rust-toolchain.toml names the version"
  command -v cc >/dev/null || die "please install a C compiler: apt-get install gcc libc6-dev"
  deploy/browser.sh
}

start_services() {
  local server environment
  mkdir -p "$state"
  # Held by this shell alone (8>&-): no server and no stray test may outlive it with the lock.
  exec 8>"$state/tests.lock"
  flock -s 8
  for server in rabbitmq mongodb; do
    "$services" status "$server" >/dev/null 2>&1 8>&- || started+=("$server")
  done
  trap stop_services EXIT
  "$services" up 8>&-
  environment=$("$services" env 8>&-)
  eval "$environment"
}

run_tests() {
  local code=0
  # Tests of processes start the binaries of other crates, which a test build does not bring.
  cargo build --workspace --bins
  # Doc tests go first, and a failure waits, so that one run tells all there is to tell.
  cargo test --doc --workspace || code=$?
  if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --workspace "$@" || code=$?
  else
    # `--tests` is everything but the doc tests.
    cargo test --workspace --tests "$@" || code=$?
  fi
  return "$code"
}

check_tools
start_services
run_tests "$@" 8>&-
