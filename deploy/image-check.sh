#!/usr/bin/env bash
# Checks built images for what they promise: small, of nobody, read-only, and nothing in them but the program and the
# libraries that it links.
#
# usage: image-check.sh IMAGE...       such as switchboard-ingest:0.1.0; what it runs is the image's own command
#        MOST_MB=40                    what an image may be at most, unpacked, in millions of bytes
#
# Invariants: each image is run for its version only, without a network, and nothing of it stays; one image that fails
# does not keep the others from being checked; fails if any does.
set -euo pipefail

readonly most_mb=${MOST_MB:-40}
container=
work=

main() {
  if (($# == 0)) || [[ $1 == -* || ! $most_mb =~ ^[1-9][0-9]*$ ]]; then usage; fi
  work=$(mktemp -d)
  trap clean_up EXIT
  local image broken=0
  for image in "$@"; do
    check "$image" || broken=1
  done
  return "$broken"
}

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 64
}

clean_up() {
  forget_container
  rm -rf "$work"
}

forget_container() {
  [[ -z $container ]] || docker rm -f -v "$container" >/dev/null || true
  container=
}

# Says all that is wrong with an image, in one line each.
check() {
  local image=$1 program bytes=0 user version wrong=()
  if ! docker image inspect "$image" >"$work/inspected" 2>&1; then
    printf '%s: there is no such image\n' "$image" >&2
    return 1
  fi
  program=$(field '{{with .Config.Entrypoint}}{{index . 0}}{{else}}{{index .Config.Cmd 0}}{{end}}')
  program=${program##*/}
  check_user
  check_files
  check_run
  if ((${#wrong[@]})); then
    printf "$image: %s\n" "${wrong[@]}" >&2
    return 1
  fi
  printf '%-40s %4d.%d MB, of user %s, %s\n' "$image" $((bytes / 1000000)) $((bytes / 100000 % 10)) "$user" "$version"
}

field() { docker image inspect -f "$1" "$image"; }

# By number, so that Kubernetes can see that it is not root.
check_user() {
  user=$(field '{{.Config.User}}')
  [[ $user =~ ^[1-9][0-9]*(:[1-9][0-9]*)?$ ]] || wrong+=("its user is \"$user\", no number of somebody but root")
}

# The files themselves, because engines do not agree on what the size of an image is.
check_files() {
  local mode name
  # Called in a condition, where bash carries on after a failure.
  if ! { container=$(docker create "$image") && docker export -o "$work/root.tar" "$container"; }; then
    wrong+=("it cannot be unpacked")
    return
  fi
  forget_container
  bytes=$(stat -c %s "$work/root.tar")
  ((bytes <= most_mb * 1000000)) || wrong+=("it has $bytes bytes, and may have $most_mb MB")
  # A library cannot be run by itself, nor what is empty, as what the engine puts into every container.
  while read -r mode size name; do
    [[ $mode != *[sS]* ]] || wrong+=("/$name runs as somebody else, by its mode $mode")
    case $name in
      "usr/local/bin/$program" | lib*/*.so | lib*/*.so.* | usr/lib*/*.so | usr/lib*/*.so.*) ;;
      *) ((size == 0)) || [[ $mode != *[xs]* ]] || wrong+=("/$name can be run, and only the program may") ;;
    esac
  done < <(LC_ALL=C tar -tvf "$work/root.tar" | sed -nE 's/^([-h][^ ]*) +[^ ]+ +([0-9]+) +[^ ]+ +[^ ]+ +/\1 \2 /p')
}

check_run() {
  local told label
  version=
  told=$(timeout 60 docker run --rm --read-only --network none --cap-drop ALL --security-opt no-new-privileges \
    "$image" "$program" --version 2>&1) || { wrong+=("it does not run read-only and without rights: $told") && return; }
  [[ $told == "$program "[0-9]* ]] || { wrong+=("$program --version says: $told") && return; }
  version=${told#* }
  label=$(field '{{index .Config.Labels "org.opencontainers.image.version"}}')
  # A build that was told no version has said so.
  [[ $label == "$version" || $label == unknown ]] || wrong+=("its label says version \"$label\", the program $version")
}

main "$@"
