# Sourced by services.sh: the servers as containers of a Docker engine.
#
# Every step of `up_docker` ends in `|| return 1`, because what fails here falls through to the
# packages. A container carries the state directory that it belongs to as its label, and one
# that belongs to another is never removed.

# `state` and the functions that are not here are those of services.sh.
# shellcheck shell=bash disable=SC2154

# Servers of another directory, or of another clone, have names of their own.
container() { echo "switchboard-test-$1-$(cksum <<<"$state" | cut -d' ' -f1)"; }

image() {
  case $1 in
    rabbitmq) echo "${SWITCHBOARD_RABBITMQ_IMAGE:-rabbitmq:4}" ;;
    mongodb) echo "${SWITCHBOARD_MONGODB_IMAGE:-mongo:8}" ;;
  esac
}

up_docker() {
  local server
  docker_usable "$@" || return 1
  need_python
  for server in "$@"; do
    claim_ports "$server"
    create_docker "$server" || { give_up_docker "$server" "$@" && return 1; }
  done
  for server in "$@"; do
    comes_up "$server" || { give_up_docker "$server" "$@" && return 1; }
  done
}

# An engine may answer and yet not run containers or publish their ports.
give_up_docker() {
  local culprit=$1 server
  shift
  say "Docker could not run $culprit (see $state/$culprit/log): using packages instead"
  for server in "$@"; do
    [[ $(kind "$server") == docker ]] || continue
    log_docker "$server" >"$state/$server/log/docker.log"
    remove_docker "$server"
    rm -f "$state/$server/kind"
  done
}

docker_usable() {
  local server image
  [[ ${SWITCHBOARD_SERVICES-} != packages ]] || return 1
  command -v docker >/dev/null || return 1
  # Ports published by an engine elsewhere are not on this machine's loopback.
  [[ ${DOCKER_HOST:-unix://} == unix://* ]] || return 1
  timeout 10 docker info >/dev/null 2>&1 || return 1
  for server in "$@"; do
    image=$(image "$server")
    docker image inspect "$image" >/dev/null 2>&1 && continue
    say "pulling $image"
    if ! timeout 120 docker pull -q "$image" >/dev/null 2>&1; then
      say "$image is neither here nor to be pulled: using packages instead"
      return 1
    fi
  done
}

create_docker() {
  local server=$1 name port image label=switchboard.services arguments=()
  name=$(container "$server")
  port=$(port "$server")
  image=$(image "$server")
  if [[ $(docker inspect -f "{{index .Config.Labels \"$label\"}}" "$name" 2>/dev/null) == "$state" ]]; then
    docker rm -f -v "$name" >/dev/null || return 1 # Ours, from a state directory since deleted.
  fi
  case $server in
    # A node's data belongs to its name, so the host name must not be the container's id.
    rabbitmq) arguments=(--hostname "$name" -p "127.0.0.1:$port:5672" "$image") ;;
    # The same port inside and outside: the replica set knows its member by it.
    mongodb)
      mapfile -t arguments < <(mongod_options)
      arguments=(-p "127.0.0.1:$port:$port" "$image" --bind_ip_all "${arguments[@]}")
      ;;
  esac
  docker create --name "$name" --label "$label=$state" "${arguments[@]}" >/dev/null || return 1
  record "$server" kind docker
  if [[ $server == rabbitmq ]]; then
    write_rabbitmq_conf 5672
    docker cp -q "$state/rabbitmq/rabbitmq.conf" "$name:/etc/rabbitmq/conf.d/90-switchboard.conf" || return 1
  fi
  start_docker "$server"
}

is_running_docker() {
  [[ $(docker inspect -f '{{.State.Running}}' "$(container "$1")" 2>/dev/null) == true ]]
}
start_docker() { timeout 60 docker start "$(container "$1")" >/dev/null; }
stop_docker() {
  thaw_docker "$1"
  timeout 60 docker stop -t 30 "$(container "$1")" >/dev/null
}
kill_docker() {
  thaw_docker "$1"
  docker kill "$(container "$1")" >/dev/null
}
freeze_docker() { docker pause "$(container "$1")" >/dev/null; }
thaw_docker() { docker unpause "$(container "$1")" >/dev/null 2>&1 || true; }
remove_docker() { docker rm -f -v "$(container "$1")" >/dev/null; }
ctl_docker() { docker exec "$(container rabbitmq)" rabbitmqctl "$@"; }
log_docker() { docker logs --tail 30 "$(container "$1")" 2>&1; }
