# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# What has to be installed, and how it gets there. Sourced. Needs common.sh.

packages=(
  # to build the daemon
  g++ meson ninja-build pkg-config dpkg-dev ca-certificates python3
  liburing-dev libabsl-dev nlohmann-json3-dev libidn-dev libwolfssl-dev libpg-query-dev libprotobuf-c-dev
  # to run and try it
  postgresql-15 postgresql-client-15
  # to test and measure it
  libgtest-dev libgmock-dev libbenchmark-dev libpq-dev clang libclang-rt-14-dev clang-format-14 python3-jsonschema spin
)

missing_packages() {
  local name
  for name in "${packages[@]}"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed || printf '%s\n' "$name"
  done
}

# Turns apt's status lines into one line for each tenth of the way.
follow_apt() {
  awk -F: '{ tenth = int($3 / 10); key = $1 tenth
             if (key != last) { printf "    %s %d%%\n", $1 == "dlstatus" ? "downloading" : "installing", tenth * 10; fflush() }
             last = key }' >&2
}

apt_install() {
  local log
  log=$(mktemp)
  if ! DEBIAN_FRONTEND=noninteractive apt-get -qq -o APT::Update::Error-Mode=any update >"$log" 2>&1; then
    warn "the package lists could not all be renewed: $(tail -n 1 "$log")"
  fi
  if ! { DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends -o APT::Status-Fd=3 \
    -o Acquire::Retries=3 -o Dpkg::Options::=--force-confold install "$@" 3>&1 >>"$log" 2>&1 </dev/null; } | follow_apt; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    die "the packages above could not be installed: $*"
  fi
  rm -f "$log"
}

install_packages() {
  local missing
  command -v dpkg-query >/dev/null ||
    die "this is not Debian or a relative of it. Install what README.md lists under Building, then run tools/build"
  mapfile -t missing < <(missing_packages)
  [ "${#missing[@]}" -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || die "missing packages; as root: apt-get install ${missing[*]}"
  step "installing ${#missing[@]} packages: ${missing[*]}"
  apt_install "${missing[@]}"
}
