#!/usr/bin/env bash
# Checks what operators are shown and woken by: the rules and their tests, Prometheus's configuration, and every query of
# the dashboards. Needs promtool (Debian: prometheus) and jq.
#
# usage: check.sh
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"

die() {
  printf 'check: %s\n' "$*" >&2
  exit 1
}

for tool in promtool jq; do
  command -v "$tool" >/dev/null || die "please install $tool: apt-get install prometheus jq"
done

promtool check config prometheus.yml
promtool test rules rules_test.yml

# Prometheus reads a query where it is a rule.
queries=$(mktemp --suffix=.yml)
trap 'rm -f "$queries"' EXIT
jq --slurp '{ groups: [{ name: "dashboards", rules: [
    [.[].panels[].targets[]?.expr] | to_entries[] | { record: "query:\(.key)", expr: .value } ] }] }' \
  ../grafana/dashboards/*.json >"$queries"
found=$(jq '.groups[0].rules | length' "$queries")
((found > 0)) || die "the dashboards have no queries"
promtool check rules "$queries" >/dev/null || die "a query of the dashboards cannot be read"
printf 'The dashboards have %d queries that can be read.\n' "$found"
