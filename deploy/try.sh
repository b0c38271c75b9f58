#!/usr/bin/env bash
# Switchboard running before your eyes: real servers (services.sh), the release binaries, two demo
# businesses, a simulator in place of Meta and, without GROQ_API_KEY, of the AI. A few customers
# write; what they receive is printed. Then it is your turn, until Ctrl-C.
#
# usage: try.sh [--once]     --once ends after the last answer: 0 if all came, else 1
#        TRY_PORT=18000      the first of five ports, which are free (8000)
#
# Invariants: everything is on loopback; the environment and a .env file have no say in what the
# processes are told, but for GROQ_API_KEY (with AI_API_URL, AI_CHAT_MODEL), RUST_LOG and LOG_FORMAT;
# no secret is an argument; whatever was started is stopped, however this ends, and servers that were
# up stay up. Runs share their data (database switchboard_try, queues try.*) but no customer, so that an
# earlier one cannot confuse a later one; what it left unanswered is answered then.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
services=deploy/services.sh
services_state=${SWITCHBOARD_SERVICES_DIR:-target/services}
out=target/try
bin=${CARGO_TARGET_DIR:-target}/release
[[ $bin == /* ]] || bin=$root/$bin

readonly ready_within_s=60
readonly answered_within_s=60
# By business: what deploy/demo/businesses.json says.
declare -rA number=([bikes]=1001 [taza]=1002)

once=
interrupted=130
started=()
declare -A pids=()
written=0
# To the beginning of an empty line.
fresh=
[[ ! -t 1 ]] || fresh=$'\r\e[K'

main() {
  case ${1-} in
    '') ;;
    --once) once=1 ;;
    *) usage ;;
  esac
  (($# <= 1)) || usage
  check_tools
  claim_directory
  choose_ports
  trap stop EXIT
  trap 'exit "$interrupted"' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP

  printf '\nSwitchboard, answering two demo businesses. Ctrl-C stops everything.\n\n'
  start_servers
  build
  make_secrets
  import_businesses
  start_processes
  play
  [[ -z $once ]] || return 0
  interrupted=0
  tell_what_next
  listen
}

# ---- What is needed ------------------------------------------------------------------------

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 64
}

die() {
  printf 'try: %s\n' "$*" >&2
  exit 1
}

# The end of a log, and out.
die_with() {
  local log=$1
  shift
  printf '\ntry: %s; the end of %s:\n' "$*" "$out/$log.log" >&2
  tail -n 15 "$out/$log.log" | sed 's/^/  /' >&2
  exit 1
}

row() { printf '%s  %-11s %s\n' "$fresh" "$1" "$2"; }

# A row that the next one replaces; only a terminal can.
passing_row() { [[ -z $fresh ]] || printf '  %-11s %s' "$1" "$2"; }

check_tools() {
  command -v cargo >/dev/null || die "please install Rust (https://rustup.rs); rust-toolchain.toml names the version"
  command -v cc >/dev/null || die "please install a C compiler: apt-get install gcc libc6-dev"
}

claim_directory() {
  mkdir -p "$out"
  chmod 700 "$out"
  exec 9>"$out/lock"
  flock -n 9 || die "another try.sh is running; stop it first"
  rm -f "$out"/*.log
}

choose_ports() {
  local first=${TRY_PORT:-8000} port
  if ! [[ $first =~ ^[0-9]{4,5}$ ]] || ((first < 1024 || first > 65531)); then
    die "TRY_PORT must be a port from 1024 to 65531"
  fi
  for ((port = first; port < first + 5; port++)); do
    ! tcp_opens "$port" || die "port $port is taken; choose five free ones in a row, such as TRY_PORT=$((first + 10000)) $0"
  done
  ingest_port=$first graph_port=$((first + 1)) ai_port=$((first + 2))
  ingest_metrics=127.0.0.1:$((first + 3)) worker_metrics=127.0.0.1:$((first + 4))
  webhook_url=http://127.0.0.1:$ingest_port/webhook
}

tcp_opens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# ---- Servers, binaries, businesses ---------------------------------------------------------

# The lock is the one by which test.sh keeps its servers: whoever leaves last stops them.
start_servers() {
  local server environment
  mkdir -p "$services_state"
  exec 8>"$services_state/tests.lock"
  flock -s 8
  for server in rabbitmq mongodb; do
    "$services" status "$server" >/dev/null 2>&1 8>&- 9>&- || started+=("$server")
  done
  if ((${#started[@]})); then row servers "starting ${started[*]} …"; fi
  "$services" up >"$out/services.log" 8>&- 9>&-
  environment=$("$services" env 8>&- 9>&-)
  eval "$environment"
  rabbitmq_url=$RABBITMQ_URL mongodb_uri=$MONGODB_URI
  row servers "RabbitMQ and MongoDB are up ($SWITCHBOARD_SERVICES)"
}

build() {
  local start=$SECONDS
  passing_row binaries "building (the first time takes minutes; see $out/build.log) …"
  # In the background, because only `wait` lets a signal through.
  set -m
  cargo build --release --locked -p ingest -p worker -p simulator >"$out/build.log" 2>&1 8>&- 9>&- &
  set +m
  pids[build]=$!
  wait "${pids[build]}" || die_with build "the build failed"
  unset 'pids[build]'
  row binaries "release builds, ready after $((SECONDS - start)) s"
}

make_secrets() {
  (umask 077 && secret >"$out/app-secret")
  verify_token=$(secret)
  encryption_secret=$(secret)
}

secret() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

import_businesses() {
  (as_worker business import "$root/deploy/demo/businesses.json") >"$out/import.log" 2>&1 ||
    die_with import "the demo businesses could not be imported"
  row businesses "bikes: Harbour Bikes, English, number id ${number[bikes]}"
  row '' "taza:  Taza Azul, Spanish, number id ${number[taza]}"
}

# ---- Processes: these run in subshells, and become the program ------------------------------

as_simulator() {
  bare
  export WHATSAPP_APP_SECRET_FILE=$root/$out/app-secret
  exec "$bin/simulator" "$@"
}

as_ingest() {
  bare
  export RABBITMQ_URL=$rabbitmq_url QUEUE_PREFIX=try STOP_TIMEOUT_SECS=10
  export INGEST_ADDR=127.0.0.1:$ingest_port METRICS_ADDR=$ingest_metrics
  export WHATSAPP_VERIFY_TOKEN=$verify_token WHATSAPP_APP_SECRET_FILE=$root/$out/app-secret
  exec "$bin/ingest" "$@"
}

as_worker() {
  local key=${GROQ_API_KEY-} url=${AI_API_URL-} model=${AI_CHAT_MODEL-}
  bare
  export RABBITMQ_URL=$rabbitmq_url QUEUE_PREFIX=try STOP_TIMEOUT_SECS=10
  export MONGODB_URI=$mongodb_uri MONGODB_DB_NAME=switchboard_try ENCRYPTION_SECRET=$encryption_secret
  export METRICS_ADDR=$worker_metrics GRAPH_API_URL=http://127.0.0.1:$graph_port/v25.0
  if [[ -n $key ]]; then
    # Blank counts as unset.
    export GROQ_API_KEY=$key AI_API_URL=$url AI_CHAT_MODEL=$model
  else
    # The demo has a voice, too; any key and any voice will do.
    export AI_API_URL=http://127.0.0.1:$ai_port/openai/v1
    export ELEVENLABS_API_URL=http://127.0.0.1:$ai_port ELEVENLABS_API_KEY=demo ELEVENLABS_VOICE_ID=demo
  fi
  exec "$bin/worker" "$@"
}

# Forgets every variable but a few, and goes where no .env file is.
bare() {
  local name
  for name in $(compgen -e); do
    case $name in
      PATH | HOME | LANG | TZ | RUST_LOG | LOG_FORMAT | HTTPS_PROXY | https_proxy) ;;
      *) unset "$name" 2>/dev/null || true ;;
    esac
  done
  export NO_COLOR=1
  cd "$root/$out"
}

# In a process group of its own (set -m), so that Ctrl-C reaches this script alone, which stops
# the processes in order. Disowned, so that the shell does not report their end. No lock is handed on.
start() {
  local name=$1
  shift
  set -m
  ("$@") </dev/null >"$out/$name.log" 2>&1 8>&- 9>&- &
  set +m
  pids[$name]=$!
  disown "$!"
}

start_processes() {
  local end=$((SECONDS + ready_within_s)) start=$SECONDS name
  if [[ -n ${GROQ_API_KEY-} ]]; then
    row AI "a real model, by GROQ_API_KEY"
  else
    row AI "the built-in demo, which is none; set GROQ_API_KEY for a real model"
  fi
  # --strict: a business is served with its own token only.
  start simulator as_simulator serve --strict --webhook-url "$webhook_url" \
    --graph-addr "127.0.0.1:$graph_port" --ai-addr "127.0.0.1:$ai_port" \
    --business "bikes=${number[bikes]}" --business "taza=${number[taza]}"
  start ingest as_ingest
  start worker as_worker
  until tcp_opens "$graph_port" && tcp_opens "$ai_port" &&
    (as_ingest healthcheck --ready) >/dev/null 2>&1 && (as_worker healthcheck --ready) >/dev/null 2>&1; do
    check_alive
    for name in ingest worker; do
      ((SECONDS < end)) || die_with "$name" "not all was ready within $ready_within_s s"
    done
    sleep 0.2
  done
  row processes "simulator, ingest and worker, ready after $((SECONDS - start)) s"
  printf '\n'
  follow
}

check_alive() {
  local name
  for name in simulator ingest worker; do
    kill -0 "${pids[$name]}" 2>/dev/null || die_with "$name" "$name has ended by itself"
  done
}

# Shows what the simulator tells, without its greeting. A group of two processes.
follow() {
  set -m
  tail -n +4 -f "$out/simulator.log" 2>/dev/null 8>&- 9>&- | show 8>&- 9>&- &
  set +m
  pids[follow]=$(jobs -p %+)
  disown "%+"
}

show() {
  local line dim='' plain=''
  if [[ -t 1 && -z ${NO_COLOR-} ]]; then dim=$'\e[2m' plain=$'\e[0m'; fi
  while IFS= read -r line; do
    case $line in
      *' has read'*) printf '%s%s%s\n' "$dim" "$line" "$plain" ;;
      *) printf '%s\n' "$line" ;;
    esac
  done
}

# ---- The conversation ----------------------------------------------------------------------

play() {
  local start=$SECONDS run ana lucia ben mia leo eva hidden
  # Customers nobody has heard of yet: 49151 and seven digits, the first five of which are the run's.
  run=$(printf '49151%05d' $((10#$(date +%s) % 100000)))
  ana=${run}01 lucia=${run}02 ben=${run}03 mia=${run}04 leo=${run}05 eva=${run}06 hidden=DE.$run

  write bikes "$ana" text "Hi! Do you hire out bikes for children?"
  write taza "$lucia" text "¡Hola! ¿Tenéis pan sin gluten?"
  await bikes "$ana" 1
  await taza "$lucia" 1

  printf '\nTwo messages in a row get one answer:\n\n'
  write bikes "$ana" text "How much is a day?"
  write bikes "$ana" text "And do you have helmets?"
  await bikes "$ana" 2

  printf '\nWhat customers say of themselves is remembered:\n\n'
  write bikes "$ana" text "My name is Ana."
  await bikes "$ana" 3
  write bikes "$ana" text "What do you know about me?"
  await bikes "$ana" 4

  printf '\nNot everything is text, and not everybody shows a number:\n\n'
  write bikes "$ben" location "Central Station"
  write bikes "$mia" sticker ""
  write taza "$leo" order "Para llevar"
  write taza "$eva" unsupported ""
  write bikes "$hidden" text "I keep my number to myself."
  await bikes "$ben" 1
  await bikes "$mia" 1
  await taza "$leo" 1
  await taza "$eva" 1
  await bikes "$hidden" 1
  me=${run}99
  printf '\n%d messages, all answered, in %d s.\n' "$written" $((SECONDS - start))
}

# One webhook, signed as Meta signs: business, customer, type, words.
write() {
  local business=$1 from=$2 type=$3 text=$4 what=$4
  [[ $type == text ]] || what="[$type]${text:+ $text}"
  printf '%(%H:%M:%S)T  %s → %s: %s\n' -1 "$from" "$business" "$what"
  post "$@"
  written=$((written + 1))
}

post() {
  local business=$1 from=$2 type=$3 text=$4
  (as_simulator send --webhook-url "$webhook_url" --business "$business=${number[$business]}" \
    --from "$from" --type "$type" -- "$text") >>"$out/send.log" 2>&1 8>&- 9>&- ||
    die_with send "ingest did not take the message"
}

# Until a customer has received so many messages of a business.
await() {
  local business=$1 to=$2 count=$3 end=$((SECONDS + answered_within_s))
  until (($(grep -c -- "  $business → $to: " "$out/simulator.log") >= count)); do
    check_alive
    ((SECONDS < end)) || die_with worker "$to got no answer from $business within $answered_within_s s"
    sleep 0.1
  done
  # It is on the screen a moment after it is in the log.
  sleep 0.2
}

# ---- Your turn -----------------------------------------------------------------------------

tell_what_next() {
  local command="WHATSAPP_APP_SECRET_FILE=$out/app-secret ${bin#"$root/"}/simulator send"
  ((ingest_port == 8000)) || command+=" --webhook-url $webhook_url"
  printf '\nYour turn:\n\n'
  [[ ! -t 0 ]] || row write 'type here, and press Enter: it goes to bikes (taza: begin with "taza ")'
  [[ -n ${GROQ_API_KEY-} ]] || row try 'menu / My name is Robin / What do you know about me? / Where are you?'
  row 'or run' "$command --business bikes=${number[bikes]} --from $me Hello"
  row logs "$out/ingest.log, worker.log, simulator.log"
  row metrics "http://$ingest_metrics/metrics (ingest), http://$worker_metrics/metrics (worker)"
  row stop 'Ctrl-C'
  printf '\n'
}

# Each line that is typed is a message. Where nobody can type, it only stays.
listen() {
  local line business
  while check_alive; do
    if [[ ! -t 0 ]]; then
      sleep 1
    elif IFS= read -r -t 1 line; then
      business=bikes
      if [[ $line == taza\ * ]]; then business=taza line=${line#taza }; fi
      [[ -z $line ]] || post "$business" "$me" text "$line"
    elif (($? <= 128)); then
      return 0 # The end of what is typed (Ctrl-D) is the end of all.
    fi
  done
}

# ---- The end -------------------------------------------------------------------------------

stop() {
  local code=$? name server
  trap '' INT TERM HUP
  printf '\nStopping … '
  end ingest worker
  for name in build follow; do
    [[ -z ${pids[$name]-} ]] || kill -- "-${pids[$name]}" 2>/dev/null || true
  done
  end simulator
  # Fails while somebody else holds it: then they are in use.
  if ((${#started[@]})) && flock -xn 8; then
    for server in "${started[@]}"; do
      "$services" down "$server" >/dev/null 2>&1 8>&- 9>&- || true
    done
  fi
  printf 'done.\n'
  exit "$code"
}

end() {
  local name pid until=$((SECONDS + 15))
  for name in "$@"; do
    [[ -z ${pids[$name]-} ]] || kill "${pids[$name]}" 2>/dev/null || true
  done
  for name in "$@"; do
    pid=${pids[$name]-}
    [[ -n $pid ]] || continue
    while kill -0 "$pid" 2>/dev/null; do
      if ((SECONDS >= until)); then
        printf 'try: %s does not stop; killing it\n' "$name" >&2
        kill -KILL "$pid" 2>/dev/null || true
      fi
      sleep 0.1
    done
  done
}

main "$@"
