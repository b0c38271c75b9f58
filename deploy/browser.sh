#!/usr/bin/env bash
# Chromium and its driver, in which the phone page is tested: the ones that are there, else Debian's.
#
# usage: browser.sh     succeeds once both are there
# CHROMIUM and CHROMEDRIVER name programs to be used instead; the tests heed them, too.
#
# Invariants: what is there is left alone; with neither root nor sudo it says what to install, and
# fails. A log of what apt-get did lies in SWITCHBOARD_SERVICES_DIR (target/services).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# `apt_install` logs there.
state=${SWITCHBOARD_SERVICES_DIR:-$(dirname "$here")/target/services}

say() { printf 'browser: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# shellcheck source-path=SCRIPTDIR source=services/fetch.sh
. "$here/services/fetch.sh"

# Succeeds if any of these programs is there.
any() {
  local name
  for name in "$@"; do
    ! command -v "$name" >/dev/null || return 0
  done
  return 1
}

# The names are those that standalone/tests/it/browser/driver.rs looks for.
have_browser() { any "${CHROMIUM:-chromium}" chromium-browser google-chrome-stable google-chrome; }
have_driver() { any "${CHROMEDRIVER:-chromedriver}"; }

wanted=()
have_browser || wanted+=(chromium)
have_driver || wanted+=(chromium-driver)
((${#wanted[@]})) || exit 0

command -v apt-get >/dev/null || die "please install Chromium and chromedriver, or name them in CHROMIUM and CHROMEDRIVER"
mkdir -p "$state"
apt_install "${wanted[@]}"
if ! have_browser || ! have_driver; then
  die "apt-get installed ${wanted[*]}, and still there is no Chromium with a driver"
fi
