#!/usr/bin/env bash
# Makes .env, the settings of docker-compose.yml, with fresh secrets.
#
# usage: env.sh                   for a real deployment; says what is still to be filled in
#        env.sh --simulator       for the whole system without Meta, an AI or a key: nothing is to be filled in
#
# Invariants: an .env that is there is left alone; nobody but you can read the new one; no secret is printed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() {
  printf 'env: %s\n' "$*" >&2
  exit 1
}

main() {
  local simulator=
  case ${1-} in
    '') ;;
    --simulator) simulator=1 ;;
    *) usage ;;
  esac
  (($# <= 1)) || usage
  [[ ! -e .env ]] || die ".env is there already; edit it, or move it away first (ENCRYPTION_SECRET in it may be the only key to the businesses' tokens)"
  umask 077
  settings=$(<.env.example)
  set_to WHATSAPP_VERIFY_TOKEN "$(secret)"
  set_to ENCRYPTION_SECRET "$(secret)"
  set_to DASHBOARD_SECRET "$(secret)"
  set_to GRAFANA_PASSWORD "$(secret)"
  if [[ -n $simulator ]]; then
    simulate
  else
    # One that is restarted keeps nobody waiting.
    set_to WORKERS 2
  fi
  printf '%s\n' "$settings" >.env.new
  # Whole or not at all, and never over another one.
  ln .env.new .env || die ".env could not be made: is there one by now, or a file system without links?"
  rm .env.new
  if [[ -n $simulator ]]; then
    printf 'env: .env is ready. Next: docker compose up -d --build, then http://127.0.0.1:8202/\n'
  else
    printf 'env: .env is made. Fill in WHATSAPP_APP_SECRET and GROQ_API_KEY; if a back end writes the businesses,\n'
    printf 'env: ENCRYPTION_SECRET must be its own. WHATSAPP_VERIFY_TOKEN goes into the Meta app as it stands there.\n'
  fi
}

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 64
}

secret() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

# The line of the example that gives the variable no value gets one.
set_to() {
  local name=$1 value=$2
  [[ $settings == *$'\n'"$name="$'\n'* ]] || die "$name is not in .env.example"
  settings=${settings/$'\n'"$name="$'\n'/$'\n'"$name=$value"$'\n'}
}

# The stand-ins' addresses on the network of the compose file. Any key and any voice will do.
simulate() {
  set_to COMPOSE_PROFILES simulator
  set_to WHATSAPP_APP_SECRET "$(secret)"
  set_to GRAPH_API_URL http://simulator:8200/v25.0
  set_to AI_API_URL http://simulator:8201/openai/v1
  set_to ELEVENLABS_API_URL http://simulator:8201
  set_to ELEVENLABS_API_KEY demo
  set_to ELEVENLABS_VOICE_ID demo
}

main "$@"
