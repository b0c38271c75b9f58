#!/usr/bin/env bash
# Proves that a backup of MongoDB brings Switchboard back: conversations go on with their memory, and no customer is
# answered twice. The real binaries answer a few customers (the simulator stands in for Meta and the AI), a backup is
# taken while one reply is in doubt and one message waits, life goes on, the database is destroyed and restored, and
# what was under way is settled by the very commands of docs/OPERATIONS.md, "After a restore".
#
# usage: drill.sh                  0 if everything held, else 1
#        drill.sh --unsettled      leaves those commands out, and succeeds if customers are then answered twice: so the
#                                  danger is real, and the drill would see it
#        DRILL_BIN=DIRECTORY       binaries to take instead of building them (ingest, worker, simulator)
#
# Dump and restore are by the first that is there: mongodump and mongorestore in PATH; those in the container of
# services.sh, both with the options that docs/OPERATIONS.md gives them; else the driver for Python, which copies each
# document and index of the database as it is, and tries nothing of those two commands.
#
# Invariants: servers are its own, because the commands of the guide take a whole one; those of the tests, and those
# that RABBITMQ_URL and MONGODB_URI name, are left alone; everything that was started is stopped, however this ends.
# State lies in target/drill.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
services=deploy/services.sh
guide=$root/docs/OPERATIONS.md
out=$root/target/drill
# Beside those of the tests, with the same downloads.
export SWITCHBOARD_SERVICES_DIR=$out/services
export SWITCHBOARD_SERVICES_CACHE=${SWITCHBOARD_SERVICES_CACHE:-$root/target/services/cache}
readonly database=switchboard_drill prefix=drill settling_prefix=drill-restore
readonly within_s=90

unsettled=
dump_options=() restore_options=()
declare -A pids=() ports=() expected=()
bin=

main() {
  case ${1-} in
    '') ;;
    --unsettled) unsettled=1 ;;
    *) usage ;;
  esac
  (($# <= 1)) || usage
  mkdir -p "$out"
  exec 9>"$out/lock"
  flock -n 9 || die "another drill is running"
  rm -f "$out"/*.log "$out"/backup*
  trap stop EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM

  find_binaries
  start_servers
  choose_tools
  prepare
  before_the_backup
  take_the_backup
  after_the_backup
  destroy_and_restore
  [[ -n $unsettled ]] || settle
  go_on
  judge
}

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 64
}

say() { printf 'drill: %s\n' "$*"; }

die() {
  printf 'drill: %s\n' "$*" >&2
  exit 1
}

# ---- Servers, binaries, tools --------------------------------------------------------------

find_binaries() {
  bin=${DRILL_BIN-}
  if [[ -z $bin ]]; then
    say "building (see $out/build.log)"
    cargo build --workspace --bins --locked >"$out/build.log" 2>&1 9>&- || die "the build failed"
    bin=${CARGO_TARGET_DIR:-target}/debug
  fi
  bin=$(cd "$bin" && pwd)
}

start_servers() {
  local environment
  unset RABBITMQ_URL MONGODB_URI
  "$services" up >"$out/services.log" 9>&-
  environment=$("$services" env 9>&-)
  eval "$environment"
  rabbitmq_url=$RABBITMQ_URL mongodb_uri=$MONGODB_URI
}

choose_tools() {
  local port
  if [[ ! -x $out/venv/bin/python ]] || ! "$out/venv/bin/python" -c 'import pymongo' 2>/dev/null; then
    python3 -m venv "$out/venv" >"$out/venv.log" 2>&1 || die "python3 with its venv is needed (see $out/venv.log)"
    "$out/venv/bin/pip" install -q 'pymongo>=4.6,<5' >>"$out/venv.log" 2>&1 || die "pymongo cannot be had (see $out/venv.log)"
  fi
  write_helper
  container=
  if command -v mongodump >/dev/null && command -v mongorestore >/dev/null; then
    tool=mongodump
  elif [[ $(cat "$SWITCHBOARD_SERVICES_DIR/mongodb/kind") == docker ]]; then
    port=$(cat "$SWITCHBOARD_SERVICES_DIR/mongodb/port")
    container=$(docker ps --filter publish="$port" --format '{{.Names}}' | head -n 1)
    [[ -n $container ]] || die "the container of MongoDB is not found"
    tool=container
  else
    tool=driver
    say "dump and restore by the driver for Python: mongodump and mongorestore are not here, and not tried"
    return
  fi
  read_options dump mongodump
  read_options restore mongorestore
  say "dump and restore as the guide says: mongodump ${dump_options[*]}, mongorestore ${restore_options[*]}"
}

# What the guide gives a tool between its name and where the archive goes to or comes from; into KIND_options.
read_options() {
  local words
  words=$(sed -nE "/^docker compose exec -T mongodb $2 ([-A-Za-z ]+) [<>] .*/{s//\1/p;q}" "$guide")
  [[ -n $words ]] || die "the guide has no command $2"
  read -ra "$1_options" <<<"$words"
}

# What is asked of MongoDB here, by its driver.
write_helper() {
  cat >"$out/mongo.py" <<'PY'
import os, re, sys
import bson, pymongo
from bson import json_util
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

client = pymongo.MongoClient(os.environ["MONGODB_URI"], serverSelectionTimeoutMS=20000, tz_aware=True)
db = client[os.environ["DRILL_DATABASE"]]
conversations = db["conversations"]


def names():
    return sorted(name for name in db.list_collection_names() if not name.startswith("system."))


def dump(path):
    """Each collection: a header with its name and indexes, then its documents, byte by byte."""
    with open(path, "wb") as file:
        for name in names():
            raw = db.get_collection(name, codec_options=CodecOptions(document_class=RawBSONDocument))
            indexes = [dict(index) for index in db[name].list_indexes() if index["name"] != "_id_"]
            documents = [document.raw for document in raw.find({}, sort=[("_id", 1)])]
            file.write(bson.encode({"collection": name, "indexes": indexes, "documents": len(documents)}))
            for document in documents:
                file.write(document)


def restore(path):
    with open(path, "rb") as file:
        items = bson.decode_file_iter(file, CodecOptions(document_class=RawBSONDocument))
        for header in items:
            name, count = header["collection"], header["documents"]
            collection = db.get_collection(name, write_concern=pymongo.WriteConcern("majority"))
            db.create_collection(name)
            batch = []
            for _ in range(count):
                batch.append(next(items))
                if len(batch) == 500:
                    collection.insert_many(batch)
                    batch = []
            if batch:
                collection.insert_many(batch)
            indexes = [bson.decode(index.raw) for index in header["indexes"]]
            if indexes:
                db.command({"createIndexes": name, "indexes": [without_version(index) for index in indexes]})


def without_version(index):
    return {field: value for field, value in index.items() if field not in ("v", "textIndexVersion")}


def fingerprint():
    """What the server says of every collection: documents by their hash, and the indexes."""
    hashes = db.command("dbHash")["collections"]
    for name in names():
        indexes = " ".join(sorted(index["name"] for index in db[name].list_indexes()))
        print(name, db[name].count_documents({}), hashes.get(name), indexes)


def one(session):
    return conversations.find_one({"_id": session}) or {}


def is_true(question, *arguments):
    if question == "waiting":
        found = one(arguments[0])
        return len(found.get("mailbox", [])) > 0 and "outbox" not in found
    if question == "sending":
        parts = one(arguments[0]).get("outbox", {}).get("parts", [])
        return any(part["state"] == "sending" for part in parts)
    if question == "lettered":
        return db["dead_letters"].count_documents({"replay": "when_served"}) == 1
    if question == "idle":
        busy = {"$or": [{"due_at": {"$exists": True}}, {"lease": {"$exists": True}}, {"outbox": {"$exists": True}}]}
        return conversations.count_documents({"waits_for": {"$exists": False}, **busy}) == 0
    if question == "remembers":
        return arguments[1] in json_util.dumps(one(arguments[0]).get("memory", {}), ensure_ascii=False)
    raise SystemExit(f"unknown question {question}")


def command_of_guide(label):
    """The command that stands in the guide under this comment, as `db.runCommand(…)`."""
    with open(os.environ["DRILL_GUIDE"], encoding="utf-8") as file:
        found = re.search(r"^// " + re.escape(label) + r"\ndb\.runCommand\((\{.*?^\})\)", file.read(), re.M | re.S)
    if not found:
        raise SystemExit(f"the guide has no command {label}")
    return json_util.loads(found.group(1))


def run(label):
    answer = db.command(command_of_guide(label))
    if answer.get("writeErrors") or not answer.get("ok"):
        raise SystemExit(f"{label}: {answer}")
    print(label, answer["nModified"])


what, arguments = sys.argv[1], sys.argv[2:]
if what == "drop":
    client.drop_database(db.name)
elif what == "is":
    sys.exit(0 if is_true(*arguments) else 1)
else:
    {"dump": dump, "restore": restore, "fingerprint": fingerprint, "run": run}[what](*arguments)
PY
}

mongo() {
  MONGODB_URI=$mongodb_uri DRILL_DATABASE=$database DRILL_GUIDE=$guide "$out/venv/bin/python" "$out/mongo.py" "$@" 9>&-
}

# ---- Processes -----------------------------------------------------------------------------

prepare() {
  local name next=18500
  # Customers nobody has heard of yet: 49152, five digits of the run, one of the customer.
  run=$(printf '49152%05d' $(($(date +%s) % 100000)))
  ana=${run}1 ben=${run}2 cleo=${run}3 dan=${run}4
  for name in ingest ingest_metrics worker_metrics graph ai unused_graph unused_ai; do
    while tcp_opens "$next"; do next=$((next + 1)); done
    ports[$name]=$next
    next=$((next + 1))
  done
  (umask 077 && secret >"$out/app-secret" && secret >"$out/encryption-secret")
  verify_token=$(secret)
  mongo drop
  (as_worker "$prefix" business import "$root/deploy/demo/businesses.json") >"$out/import.log" 2>&1 ||
    die "the businesses could not be imported (see $out/import.log)"
  # Two of them, because Meta alone is to be frozen.
  start meta as_simulator serve --strict --webhook-url "$(webhook_url)" --business bikes=1001 --business taza=1002 \
    --graph-addr "127.0.0.1:${ports[graph]}" --ai-addr "127.0.0.1:${ports[unused_ai]}"
  start ai as_simulator serve --webhook-url "$(webhook_url)" \
    --graph-addr "127.0.0.1:${ports[unused_graph]}" --ai-addr "127.0.0.1:${ports[ai]}"
  start ingest as_ingest
  start_worker worker "$prefix"
  within "ingest is ready" ready as_ingest
}

tcp_opens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
secret() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
webhook_url() { printf 'http://127.0.0.1:%s/webhook' "${ports[ingest]}"; }

as_simulator() {
  bare
  export WHATSAPP_APP_SECRET_FILE=$out/app-secret
  exec "$bin/simulator" "$@"
}

as_ingest() {
  bare
  export RABBITMQ_URL=$rabbitmq_url QUEUE_PREFIX=$prefix STOP_TIMEOUT_SECS=10
  export INGEST_ADDR=127.0.0.1:${ports[ingest]} METRICS_ADDR=127.0.0.1:${ports[ingest_metrics]}
  export WHATSAPP_VERIFY_TOKEN=$verify_token WHATSAPP_APP_SECRET_FILE=$out/app-secret
  exec "$bin/ingest" "$@"
}

# A send may take 15 s (0.6 of a lease): as long as it takes to bring about what the backup is to hold.
as_worker() {
  local queues=$1
  shift
  bare
  export RABBITMQ_URL=$rabbitmq_url QUEUE_PREFIX=$queues STOP_TIMEOUT_SECS=10
  export MONGODB_URI=$mongodb_uri MONGODB_DB_NAME=$database ENCRYPTION_SECRET_FILE=$out/encryption-secret
  export METRICS_ADDR=127.0.0.1:${ports[worker_metrics]} GRAPH_API_URL=http://127.0.0.1:${ports[graph]}/v25.0
  export AI_API_URL=http://127.0.0.1:${ports[ai]}/openai/v1
  export LEASE_SECS=25 SEND_EVIDENCE_SECS=20 QUIET_MILLIS=2000
  exec "$bin/worker" "$@"
}

# Forgets every variable but a few, and goes where no .env file is.
bare() {
  local name
  for name in $(compgen -e); do
    case $name in
      PATH | HOME | LANG | TZ | RUST_LOG) ;;
      *) unset "$name" 2>/dev/null || true ;;
    esac
  done
  export NO_COLOR=1
  cd "$out"
}

start() {
  local name=$1
  shift
  set -m
  ("$@") </dev/null >>"$out/$name.log" 2>&1 9>&- &
  set +m
  pids[$name]=$!
  disown "$!"
}

start_worker() {
  start "$1" as_worker "$2"
  within "$1 is ready" ready as_worker "$2"
}

ready() { ("$@" healthcheck --ready) >/dev/null 2>&1 9>&-; }

# Until a command succeeds.
within() {
  local what=$1 end=$((SECONDS + within_s))
  shift
  until "$@"; do
    ((SECONDS < end)) || die "not within $within_s s: $what (logs are in $out)"
    sleep 0.1
  done
}

end() {
  local signal=$1 name=$2 pid=${pids[$2]-} until=$((SECONDS + 20))
  [[ -n $pid ]] || return 0
  unset "pids[$name]"
  kill "-$signal" "$pid" 2>/dev/null || true
  # A frozen process hears a signal when it goes on.
  kill -CONT "$pid" 2>/dev/null || true
  while kill -0 "$pid" 2>/dev/null; do
    ((SECONDS < until)) || kill -KILL "$pid" 2>/dev/null || true
    sleep 0.1
  done
}

stop() {
  local code=$? name
  trap '' INT TERM
  for name in worker settling ingest meta ai; do end TERM "$name"; done
  "$services" down >/dev/null 2>&1 9>&- || true
  exit "$code"
}

# ---- The story -----------------------------------------------------------------------------

# A customer's message, signed as Meta signs; `expected` counts the answers that each is to have at the end.
write() {
  post 1001 "$@"
  expected[$1]=$((${expected[$1]-0} + 1))
}

post() {
  local number=$1 from=$2 text=$3
  (as_simulator send --webhook-url "$(webhook_url)" --business "$number" --from "$from" -- "$text") \
    >>"$out/send.log" 2>&1 9>&- || die "ingest did not take the message (see $out/send.log)"
}

answers_to() { grep -c -- "  bikes → $1: " "$out/meta.log" || true; }
has_answers() { (($(answers_to "$1") >= $2)); }
await_answer() { within "an answer to $1" has_answers "$1" "${expected[$1]}"; }

before_the_backup() {
  write "$ana" "My name is Robin."
  await_answer "$ana"
  write "$ben" "Hello!"
  await_answer "$ben"
  # Nobody has that number: a letter that would come back by itself.
  post 1003 "$ana" "Is this the bakery?"
  within "a dead letter" mongo is lettered
  within "all is settled" mongo is idle
  # One reply that may have reached Meta, and nobody here knows …
  kill -STOP "${pids[meta]}"
  write "$ben" "My name is Sam."
  within "a reply is on its way" mongo is sending "bikes:$ben"
  # … and one message to which there is no reply yet.
  kill -STOP "${pids[ai]}"
  write "$cleo" "How much is a day?"
  within "a message has landed" mongo is waiting "bikes:$cleo"
  # Meta takes the reply, and whom it tells that is frozen, and dies.
  kill -STOP "${pids[worker]}"
  kill -CONT "${pids[meta]}"
  await_answer "$ben"
  end KILL worker
  kill -CONT "${pids[ai]}"
  mongo is sending "bikes:$ben" || die "the reply is in doubt no more"
  mongo is waiting "bikes:$cleo" || die "the message waits no more"
  say "before the backup: a reply in doubt, a message waiting, a dead letter; the worker killed"
}

take_the_backup() {
  mongo fingerprint >"$out/backup.fingerprint"
  case $tool in
    mongodump) mongodump --uri "$mongodb_uri" "${dump_options[@]}" >"$out/backup" 9>&- ;;
    container) docker exec "$container" mongodump --uri "$mongodb_uri" "${dump_options[@]}" >"$out/backup" 9>&- ;;
    driver) mongo dump "$out/backup" ;;
  esac
  say "backup: $(stat -c %s "$out/backup") bytes of $(awk '{ n += $2 } END { print n }' "$out/backup.fingerprint") documents"
}

# A status tells that Meta has the reply; the message is answered; somebody else comes, and is answered, too.
after_the_backup() {
  start_worker worker "$prefix"
  await_answer "$cleo"
  write "$dan" "Do you have helmets?"
  await_answer "$dan"
  within "all is settled" mongo is idle
  (($(answers_to "$ben") == ${expected[$ben]})) || die "the reply in doubt was repeated before anything was destroyed"
  end TERM worker
  # This one waits in RabbitMQ while the database is destroyed.
  write "$ana" "What do you know about me?"
  say "after the backup: all answered, one more message queued, the worker stopped"
}

destroy_and_restore() {
  mongo drop
  [[ -z $(mongo fingerprint) ]] || die "the database is still there"
  case $tool in
    mongodump) mongorestore --uri "$mongodb_uri" "${restore_options[@]}" <"$out/backup" 9>&- ;;
    container)
      docker exec -i "$container" mongorestore --uri "$mongodb_uri" "${restore_options[@]}" <"$out/backup" 9>&-
      ;;
    driver) mongo restore "$out/backup" ;;
  esac
  mongo fingerprint >"$out/restored.fingerprint"
  diff "$out/backup.fingerprint" "$out/restored.fingerprint" >&2 || die "what was restored is not what was backed up"
  say "restored: every collection has the documents and indexes that it had"
}

settle() {
  local label
  for label in "settle: replies" "settle: messages" "settle: letters"; do mongo run "$label" >>"$out/settle.log"; done
  start_worker settling "$settling_prefix"
  within "what was under way is settled" mongo is idle
  end TERM settling
  mongo run "settle: end" >>"$out/settle.log"
  for label in "settle: replies" "settle: messages" "settle: letters" "settle: end"; do
    grep -qx "$label 1" "$out/settle.log" || die "one thing was to be changed by each command (see $out/settle.log)"
  done
  say "settled by the commands of the guide"
}

go_on() {
  start_worker worker "$prefix"
  await_answer "$ana"
  # Whatever is to come twice has come by then: leases, quiet times and doubts are over.
  within "all is settled" mongo is idle
  sleep 10
  within "all is settled" mongo is idle
  for customer in "$ben" "$cleo" "$dan"; do write "$customer" "What do you know about me?"; done
  for customer in "$ben" "$cleo" "$dan"; do await_answer "$customer"; done
  within "all is settled" mongo is idle
}

judge() {
  local customer repeated=0 faults=0
  for customer in "${!expected[@]}"; do
    repeated=$((repeated + $(answers_to "$customer") - ${expected[$customer]}))
  done
  if [[ -n $unsettled ]]; then
    ((repeated > 0)) || die "nothing was answered twice without the commands: this drill would not see it"
    say "as expected without the commands: $repeated answers came twice"
    return 0
  fi
  ((repeated == 0)) || { say "$repeated answers came twice" && faults=1; }
  last_answer "$ana" | grep -q Robin || { say "what was said before the backup is forgotten" && faults=1; }
  last_answer "$ben" | grep -q Sam || { say "what the reply in doubt had changed is lost" && faults=1; }
  mongo is remembers "bikes:$cleo" "How much is a day?" ||
    { say "the message that waited is not remembered" && faults=1; }
  (as_worker "$prefix" conversation list --handed-over --json) >"$out/handed-over.log" 2>/dev/null
  [[ ! -s $out/handed-over.log ]] || { say "a conversation is still handed over" && faults=1; }
  ((faults == 0)) || die "logs are in $out"
  say "nobody was answered twice, nobody was left out, and all is remembered that the backup had"
}

last_answer() { grep -- "  bikes → $1: " "$out/meta.log" | tail -n 1; }

main "$@"
