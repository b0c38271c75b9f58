# Sourced by services.sh: the servers as processes of our own, from packages.
#
# A server is one process, leader of its own process group. Its record is
# "PID START_TIME", so that a number used again after a reboot is never taken for ours. Nothing
# is shared with servers that the system itself may run.

# `state` and the functions that are not here are those of services.sh.
# shellcheck shell=bash disable=SC2154

up_packages() {
  local server
  need_python
  for server in "$@"; do
    "install_$server"
  done
  for server in "$@"; do
    claim_ports "$server"
    record "$server" kind packages
    start_packages "$server"
  done
}

start_packages() {
  mkdir -p "$state/$1/home"
  # The usual soft limit of 1,024 files is too few for either server; an unlimited one makes
  # Erlang reserve a table for a thousand million.
  ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"
  "launch_$1" </dev/null >>"$state/$1/log/console.log" 2>&1 9>&- &
  record "$1" pid "$! $(start_time "$!")"
}

launch_rabbitmq() {
  local dir=$state/rabbitmq rabbitmq_env
  mkdir -p "$dir/data"
  write_rabbitmq_conf "127.0.0.1:$(port rabbitmq)"
  echo '[].' >"$dir/enabled_plugins"
  echo '[].' >"$dir/advanced.config"
  : >"$dir/env.conf"
  load_rabbitmq_env
  exec "${rabbitmq_env[@]}" setsid "$(rabbitmq_bin)/rabbitmq-server"
}

ctl_packages() {
  local rabbitmq_env
  load_rabbitmq_env
  "${rabbitmq_env[@]}" "$(rabbitmq_bin)/rabbitmqctl" "$@"
}

# Sets `rabbitmq_env`: the prefix that makes a command of RabbitMQ one of our node, which has its
# own name, epmd, cookie (in HOME), directories and ports. The environment is emptied so that
# neither the caller's settings nor its secrets reach the server.
load_rabbitmq_env() {
  local dir=$state/rabbitmq
  # A boot reads thousands of files through threads that hand over to each other. RabbitMQ lets
  # none of them spin, and where waking one is dear (virtual machines) that doubles the time of
  # every restart. It takes a core, though, which a measurement cannot spare.
  local erl='-kernel inet_dist_use_interface {127,0,0,1}'
  as_shipped || erl="+sbwt medium +sbwtdio long $erl"
  rabbitmq_env=(
    env -i PATH="$PATH" LANG=C.UTF-8 HOME="$dir/home"
    ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="$(recall rabbitmq epmd.port)"
    ERL_CRASH_DUMP="$dir/log/erl_crash.dump"
    RABBITMQ_NODENAME=switchboard@localhost
    RABBITMQ_DIST_PORT="$(recall rabbitmq dist.port)"
    RABBITMQ_CONF_ENV_FILE="$dir/env.conf"
    RABBITMQ_CONFIG_FILE="$dir/rabbitmq.conf"
    RABBITMQ_CONFIG_FILES="$dir/conf.d"
    RABBITMQ_ADVANCED_CONFIG_FILE="$dir/advanced.config"
    RABBITMQ_ENABLED_PLUGINS_FILE="$dir/enabled_plugins"
    RABBITMQ_MNESIA_BASE="$dir/data"
    RABBITMQ_LOG_BASE="$dir/log"
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="$erl"
    # The script then becomes the server, instead of staying as its parent.
    RUNNING_UNDER_SYSTEMD=true
  )
}

launch_mongodb() {
  local options data
  # The set knows its member by port: another port is another set.
  data=$state/mongodb/data-$(port mongodb)
  mkdir -p "$data"
  mapfile -t options < <(mongod_options)
  exec env -i PATH="$PATH" HOME="$state/mongodb/home" LD_LIBRARY_PATH="$cache/libssl1.1" \
    setsid "$cache/mongod" --bind_ip 127.0.0.1 --nounixsocket --dbpath "$data" \
    --logpath "$state/mongodb/log/mongod.log" --logappend "${options[@]}"
}

# Fields 3 (state) and 22 (start time) of /proc/PID/stat; field 2 may contain spaces.
proc_stat() {
  local stat
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  read -ra stat <<<"${stat##*) }"
  echo "${stat[0]} ${stat[19]}"
}
start_time() { proc_stat "$1" | cut -d' ' -f2; }

is_running_packages() {
  local pid started code now
  read -r pid started <<<"$(recall "$1" pid)"
  [[ -n $pid ]] && read -r code now <<<"$(proc_stat "$pid")" && [[ $code != Z && $now == "$started" ]]
}

signal_packages() {
  local server=$1 signal=$2 pid
  is_running_packages "$server" || return 0
  read -r pid _ <<<"$(recall "$server" pid)"
  # The whole group, or the process alone in the instant before it leads one.
  kill "-$signal" -- "-$pid" 2>/dev/null || kill "-$signal" "$pid" 2>/dev/null || true
}

gone_packages() {
  local end=$((SECONDS + $2))
  while is_running_packages "$1"; do
    ((SECONDS < end)) || return 1
    sleep 0.05
  done
}

stop_packages() {
  signal_packages "$1" CONT
  signal_packages "$1" TERM
  gone_packages "$1" 30 || kill_packages "$1"
}
kill_packages() {
  signal_packages "$1" KILL
  gone_packages "$1" 10 || die "$1 survives SIGKILL"
}
freeze_packages() { signal_packages "$1" STOP; }
thaw_packages() { signal_packages "$1" CONT; }
log_packages() { tail -n 15 "$state/$1"/log/*.log; }

remove_packages() {
  stop_packages "$1"
  # The node started an epmd that serves no other; it refuses to go while a node is registered.
  [[ $1 != rabbitmq ]] || ERL_EPMD_PORT=$(recall rabbitmq epmd.port) epmd -kill >/dev/null 2>&1 || true
  # The logs stay, for whoever asks why.
  rm -rf "${state:?}/$1"/{pid,home,data,data-*}
}
