#!/usr/bin/env bash
# Builds the fuzz targets and runs them one after the other, each with its corpus of fuzz/corpus and with what earlier
# runs have found (target/fuzz/corpus). README.md beside says what each of them promises.
#
#   fuzz/run.sh [--seconds N] [--sanitizer none|address] [TARGET…]
#
#   --seconds N    how long each target runs; 30. With 0 the corpora are run once, and nothing else.
#   --sanitizer    none; address finds misuse of memory in dependencies, at half the speed. (None of our own code is
#                  unsafe.)
#
# The first finding ends the run and fails it, and says how to repeat it. Everything that is made stays under target/.
#
# No nightly toolchain is needed: the instruments of libFuzzer are plain code generation options, so that the toolchain
# of rust-toolchain.toml builds the same everywhere. The address sanitizer is not: RUSTC_BOOTSTRAP opens the stable
# compiler for that one flag, instead of a second toolchain that changes every night.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly cargo_fuzz_version=0.13.1
tools=$PWD/target/tools
seconds=30
sanitizer=none
targets=()

main() {
  parse "$@"
  build_dir=$PWD/target/fuzz
  if [[ $sanitizer == address ]]; then
    build_dir=$PWD/target/fuzz-address
    export RUSTC_BOOTSTRAP=1
  fi
  ((${#targets[@]} > 0)) || mapfile -t targets < <(all_targets)
  install_cargo_fuzz
  build
  for target in "${targets[@]}"; do
    run "$target"
  done
}

parse() {
  while (($# > 0)); do
    case $1 in
      --seconds) seconds=${2-} && shift ;;
      --sanitizer) sanitizer=${2-} && shift ;;
      -*) usage ;;
      *) targets+=("$1") ;;
    esac
    shift
  done
  [[ $seconds =~ ^[0-9]+$ && $sanitizer =~ ^(none|address)$ ]] || usage
  for target in "${targets[@]}"; do
    if [[ ! -f fuzz/fuzz_targets/$target.rs ]]; then
      printf 'no such target: %s; there are:\n%s\n' "$target" "$(all_targets)" >&2
      exit 64
    fi
  done
}

usage() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 64
}

all_targets() { for file in fuzz/fuzz_targets/*.rs; do basename "$file" .rs; done; }

# Another version may pass other flags to the compiler, so only this one will do.
install_cargo_fuzz() {
  for cargo_fuzz in "$(command -v cargo-fuzz)" "$tools/bin/cargo-fuzz"; do
    [[ $("$cargo_fuzz" --version 2>/dev/null) != "cargo-fuzz $cargo_fuzz_version" ]] || return 0
  done
  CARGO_TARGET_DIR=$tools/build CARGO_PROFILE_DEV_DEBUG=0 \
    cargo install --locked --debug --root "$tools" "cargo-fuzz@$cargo_fuzz_version"
  rm -rf "$tools/build"
}

# cargo-fuzz passes no --locked on; so that fuzz/Cargo.lock is not mended silently, it is asked for first.
build() {
  if ! cargo fetch --locked --manifest-path fuzz/Cargo.toml; then
    printf 'fuzz/Cargo.lock is not that of the workspace any more; fuzz/README.md, "A target", says how it becomes so\n'
    exit 1
  fi
  local one=()
  ((${#targets[@]} != 1)) || one=("${targets[0]}")
  "$cargo_fuzz" fuzz build --fuzz-dir fuzz --target-dir "$build_dir" --sanitizer "$sanitizer" "${one[@]}"
}

run() {
  local target=$1 found=$build_dir/corpus/$1 artifacts=$build_dir/artifacts/$1 log=$build_dir/$1.log
  local program
  program=$build_dir/$(rustc -vV | sed -n 's/^host: //p')/release/$target
  mkdir -p "$found" "$artifacts"
  # The first directory takes what is new; the others are only read.
  local corpora=("$found" "fuzz/corpus/$target")
  [[ $target != webhook ]] || corpora+=(ingest/tests/fixtures)
  # Bodies, answers and documents are much larger; but what is decided is decided in few bytes, and quickly.
  local longest=8192
  [[ $target != markdown && $target != document ]] || longest=16384
  # Seconds and megabytes that no input may take. Leaks are not looked for: what lives as long as the process is none.
  local options=(-timeout=10 -rss_limit_mb=2048 -max_len="$longest" -detect_leaks=0)
  options+=(-artifact_prefix="$artifacts/" -print_final_stats=1)
  [[ ! -f fuzz/dictionaries/$target.dict ]] || options+=(-dict="fuzz/dictionaries/$target.dict")
  if ((seconds > 0)); then options+=(-max_total_time="$seconds"); else options+=(-runs=0); fi
  if ! "$program" "${corpora[@]}" "${options[@]}" >"$log" 2>&1; then
    tail -n 60 "$log"
    report_finding "$target" "$artifacts" "$program"
    exit 1
  fi
  local runs coverage
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  coverage=$(grep -oE 'cov: [0-9]+ ft: [0-9]+ corp: [0-9]+' "$log" | tail -n 1)
  printf '%-14s %10s runs in %d s, %s\n' "$target" "$runs" "$seconds" "$coverage"
}

report_finding() {
  local target=$1 artifacts=$2 program=$3 newest
  newest=$(find "$artifacts" -type f -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-)
  printf '\n!!!! fuzz target %s has a finding.\n' "$target"
  printf '  input:     %s\n' "${newest:-none was written}"
  printf '  once more: %s %s\n' "$program" "$newest"
  printf '  smaller:   %s -minimize_crash=1 -max_total_time=60 -artifact_prefix=%s/ %s\n' \
    "$program" "$artifacts" "$newest"
  printf '  What to do with it: fuzz/README.md, "A finding".\n'
}

main "$@"
