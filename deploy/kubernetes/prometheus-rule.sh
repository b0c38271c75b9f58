#!/usr/bin/env bash
# Prints the alerts as a PrometheusRule of the Prometheus Operator: deploy/prometheus/rules.yml as it is, under `spec`,
# so that there is one file of rules, with its tests.
#
# usage: prometheus-rule.sh | kubectl apply -f -
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"

cat <<'EOF'
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: switchboard
  namespace: switchboard
  labels:
    app.kubernetes.io/name: switchboard
    app.kubernetes.io/part-of: switchboard
spec:
EOF
sed 's/^\(.\)/  \1/' ../prometheus/rules.yml
