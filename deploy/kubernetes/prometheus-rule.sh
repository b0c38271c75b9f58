#!/usr/bin/env bash
# Prints the alerts as a PrometheusRule of the Prometheus Operator: deploy/prometheus/rules.yml under `spec`, so that there
# is one file of rules, with its tests. One thing is added to it: `up`, which all targets of a Prometheus have, is asked
# of one namespace, because somebody else's job may be called `worker`, too, and would hide that ours are gone.
#
# usage: prometheus-rule.sh | kubectl apply -f -
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
readonly namespace=switchboard

cat <<EOF
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: switchboard
  namespace: $namespace
  labels:
    app.kubernetes.io/name: switchboard
    app.kubernetes.io/part-of: switchboard
spec:
EOF
sed -e "s/\([^a-z_]\)up{/\1up{namespace=\"$namespace\",/g" -e 's/^\(.\)/  \1/' ../prometheus/rules.yml
