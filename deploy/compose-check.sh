#!/usr/bin/env bash
# Brings up docker-compose.yml with the simulator in Meta's and the AI's place, and judges whether it keeps its
# promises: customers write and are answered, workers become three, RabbitMQ is restarted while everybody writes, and
# in the end nothing was lost, nothing was said twice, and no secret and no customer is in a log (`simulator check`).
#
# usage: compose-check.sh [--no-build]     --no-build takes the images that are there
#        SWITCHBOARD_VERSION=0.1.0         their tag, as for docker-compose.yml
#
# Works with `docker compose` and with docker-compose 1.29.
#
# Invariants: a project, settings and ports of its own, so that neither an .env nor a stack that is up is touched; what
# it brought up it takes down with its data, however this ends; every wait ends. Fails if any promise is broken.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

readonly workers=3
# Of each of the two businesses.
readonly customers=20
readonly ready_within_s=180
# Longer than a lease and the wait for evidence of a send in doubt (LEASE_SECS, SEND_EVIDENCE_SECS).
readonly answered_within_s=240
# By business: what deploy/demo/businesses.json says.
readonly numbers=(1001 1002)

project=switchboard-check-$$
build=1
compose=()
files=(-f docker-compose.yml)
work=
rounds=0
written=0

main() {
  case ${1-} in
    '') ;;
    --no-build) build= ;;
    *) usage ;;
  esac
  (($# <= 1)) || usage
  check_tools
  work=$(mktemp -d)
  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
  make_settings
  bring_up

  say "one worker: everybody writes"
  everybody_writes
  everybody_is_answered

  say "$workers workers: everybody writes"
  sed -i "s/^WORKERS=.*/WORKERS=$workers/" "$work/.env"
  dc up -d --no-build --no-recreate
  # What an operator does next keeps them, though it says no number.
  dc up -d --no-build worker
  await_ready worker "$workers"
  everybody_writes
  everybody_is_answered

  say "RabbitMQ is restarted: everybody writes meanwhile"
  restart_rabbitmq_under_traffic
  everybody_is_answered

  say "after it: everybody writes"
  everybody_writes
  everybody_is_answered

  judge
}

# ---- What is needed ------------------------------------------------------------------------

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 64
}

say() { printf 'compose-check: %s\n' "$*"; }
die() {
  say "$*" >&2
  exit 1
}

check_tools() {
  command -v curl >/dev/null || die "please install curl"
  if docker compose version >/dev/null 2>&1; then
    compose=(docker compose)
  elif docker-compose version >/dev/null 2>&1; then
    compose=(docker-compose)
  else
    die "please install Docker with its Compose"
  fi
  docker info >/dev/null 2>&1 || die "no Docker engine answers"
}

# Settings as deploy/env.sh makes them, elsewhere, and nothing of the environment's: RABBITMQ_URL, say, would win.
make_settings() {
  local name
  mkdir "$work/deploy"
  cp deploy/env.sh "$work/deploy/"
  cp .env.example "$work/"
  "$work/deploy/env.sh" --simulator >/dev/null
  while read -r name; do
    [[ $name == SWITCHBOARD_VERSION ]] || unset "$name"
  done < <(sed -nE 's/^([A-Z_]+)=.*/\1/p' .env.example)
  unset COMPOSE_FILE COMPOSE_PROJECT_NAME COMPOSE_ENV_FILES
  # Free ones, which the engine chooses.
  export INGEST_PORT=0 PHONE_PORT=0
  # The images' user has to write there, and nobody else gets this far.
  mkdir -m 777 "$work/journal"
}

dc() {
  timeout --foreground "${limit_s:-600}" "${compose[@]}" --project-name "$project" --project-directory "$root" \
    --env-file "$work/.env" "${files[@]}" --profile simulator "$@"
}

# The containers of a service, of whatever version of Compose.
containers() {
  docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$project" \
    --filter "label=com.docker.compose.service=$1"
}

# ---- Up and down ---------------------------------------------------------------------------

bring_up() {
  local command code
  if [[ -n $build ]]; then
    say "building the images"
    limit_s=5400 dc build ingest worker simulator
  fi
  say "bringing up the project $project"
  # What the simulator is started with, and its journal besides.
  dc up --no-start --no-build simulator
  command=$(docker inspect -f '{{json .Config.Cmd}}' "$(containers simulator)")
  cat >"$work/journal.yml" <<YAML
services:
  simulator:
    command: ${command%]},"--journal=/journal/run.jsonl"]
    volumes: ["$work/journal:/journal"]
YAML
  files+=(-f "$work/journal.yml")
  dc up -d --no-build
  simulator=$(containers simulator)
  code=$(timeout "$ready_within_s" docker wait "$(containers demo-businesses)") || die "the businesses are not there"
  ((code == 0)) || die "the businesses could not be imported"
  await_ready ingest 1
  await_ready worker 1
  [[ $(docker inspect -f '{{.State.Status}} {{.RestartCount}}' "$simulator") == 'running 0' ]] ||
    die "the simulator does not run"
  phone=$(docker port "$simulator" 8202/tcp | head -n 1)
}

# Until so many containers of a service say that they are ready.
await_ready() {
  local service=$1 count=$2 end=$((SECONDS + ready_within_s)) container ready
  while true; do
    ready=0
    for container in $(containers "$service"); do
      ! docker exec "$container" "$service" healthcheck --ready >/dev/null 2>&1 || ready=$((ready + 1))
    done
    ((ready != count)) || return 0
    ((SECONDS < end)) || die "of $service $ready are ready instead of $count, after $ready_within_s s"
    sleep 0.5
  done
}

finish() {
  local code=$?
  trap '' INT TERM HUP
  if ((code != 0)); then
    say "failed with $code; the ends of the logs:" >&2
    dc ps >&2 || true
    dc logs --no-color --tail 40 >&2 || true
  fi
  say "taking the project down"
  dc down -v --remove-orphans -t 20 >/dev/null 2>&1 || say "docker could not take all of $project down" >&2
  rm -rf "$work"
  exit "$code"
}

# ---- Traffic -------------------------------------------------------------------------------

# Each customer writes once; with a pause after each, in seconds.
everybody_writes() {
  local pause=${1-} customer number
  rounds=$((rounds + 1))
  for ((customer = 0; customer < customers; customer++)); do
    for number in "${numbers[@]}"; do
      written=$((written + 1))
      write "$number" "$(printf '49151%04d%03d' "$number" "$customer")" "$written"
      [[ -z $pause ]] || sleep "$pause"
    done
  done
}

# By the phone's page, as a person would, and not by `simulator send`: so the webhook is in the journal, and is posted
# again, as Meta does, until it is taken. What is sent is a place whose name is the message's tag, because the demo that
# stands in for the AI repeats the name of a place: the judge sees by it which message an answer answers.
write() {
  local business=$1 from=$2 tag=$3 person place
  person=$(printf '{"number":"%s","name":"Ana","hidden":false}' "$from")
  place=$(printf '{"type":"location","latitude":52.4,"longitude":4.9,"name":"#m%06d"}' "$tag")
  curl -fsS --noproxy '*' --max-time 10 -o /dev/null -H "origin: http://$phone" -H 'content-type: application/json' \
    --data "{\"business\":\"$business\",\"person\":$person,\"content\":$place}" "http://$phone/phone/messages" ||
    die "the phone's page did not take a message"
}

# Before the next round, because two messages at once would get one answer. Whether each got its own, the judge says.
everybody_is_answered() {
  local end=$((SECONDS + answered_within_s)) start=$SECONDS answered
  while true; do
    answered=$(docker logs "$simulator" 2>&1 | grep -cE ' → [0-9]+: ' || true)
    ((answered < written)) || break
    ((SECONDS < end)) || die "$answered of $written messages were answered within $answered_within_s s"
    sleep 0.5
  done
  say "$written messages in $rounds rounds are answered, the last after $((SECONDS - start)) s"
}

# Slowly enough that some write before it goes, some while it is away, and some when it is back.
restart_rabbitmq_under_traffic() {
  local restart
  (sleep 2 && dc restart rabbitmq) &
  restart=$!
  everybody_writes 0.4
  wait "$restart" || die "RabbitMQ could not be restarted"
}

# ---- The verdict ---------------------------------------------------------------------------

judge() {
  local service container image arguments=() code=0
  for service in ingest worker; do
    for container in $(containers "$service"); do
      docker logs "$container" >"$work/journal/$service-${container:0:12}.log" 2>&1
      arguments+=(--log "/journal/$service-${container:0:12}.log")
    done
  done
  # What the app secrets are, it reads from the environment.
  grep -E '^(WHATSAPP_VERIFY_TOKEN|ENCRYPTION_SECRET)=.' "$work/.env" >"$work/journal/secrets"
  # The journal itself is the simulator's, which can read it.
  chmod 644 "$work/journal"/*.log "$work/journal/secrets"
  image=$(docker inspect -f '{{.Config.Image}}' "$simulator")
  dc stop simulator >/dev/null 2>&1
  docker run --rm --read-only --network none --env-file "$work/.env" -v "$work/journal:/journal:ro" "$image" \
    simulator check /journal/run.jsonl "${arguments[@]}" --secret-file /journal/secrets | tee "$work/verdict" || code=$?
  ((code == 0)) || die "promises were broken"
  # A run in which nothing happened would break none.
  grep -q " $written acknowledged of $written posted: $written answered, 0 apologised, 0 excused, 0 not judged" \
    "$work/verdict" || die "$written messages were written, and something else was judged"
  grep -q '^residual *0$' "$work/verdict" || die "something was sent again, and nobody had reason to be in doubt"
  say "$written messages, each answered once"
}

main "$@"
