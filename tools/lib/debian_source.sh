# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# The source of a Debian package, from the archive that this machine's apt already uses, by apt's own `source` command:
# the archive's signature covers the index and the index covers the tarball. Lists live in a folder of the
# caller's; nothing under /etc/apt is read as root or changed. Sourced.

# Prints the address of the Debian archive among this machine's configured sources: as apt knows it, or, before the
# first apt-get update, by the usual last part of such an address.
debian_archive() {
  # shellcheck disable=SC2016  # the dollars are apt's
  {
    apt-get indextargets --format '$(REPO_URI)|$(LABEL)' 'Created-By: Packages' 2>/dev/null |
      awk -F'|' '$2 == "Debian" { print $1 }'
    sed '/^[[:space:]]*#/d' /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null |
      grep -oE '[a-z+]+://[^[:space:]]+/debian/?([[:space:]]|$)' | tr -d '[:space:]'
  } | sed -n 1p
}

# fetch_from_suite SUITE FOLDER [APT-OPTION...] PACKAGE: the package's source, as apt verified it, into FOLDER/source. What
# apt said is in FOLDER/log. With check_valid_until=false an index may be older than it says it is good for.
fetch_from_suite() {
  local suite=$1 folder=$2 archive keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  shift 2
  archive=$(debian_archive)
  [ -n "$archive" ] || return 1
  mkdir -p "$folder/parts" "$folder/lists/partial" "$folder/source"
  {
    printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\n' "$archive" "$suite"
    [ ! -r "$keyring" ] || printf 'Signed-By: %s\n' "$keyring"
  } >"$folder/parts/archive.sources"
  local options=(-qq
    -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$folder/parts"
    -o "Dir::State::lists=$folder/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
    -o APT::Sandbox::User= -o Acquire::Languages=none
    -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 -o Acquire::Retries=2)
  (
    cd "$folder/source" &&
      timeout 180 apt-get "${options[@]}" -o APT::Update::Error-Mode=any -o "Acquire::Check-Valid-Until=${check_valid_until:-true}" update &&
      timeout 300 apt-get "${options[@]}" source "$@"
  ) >"$folder/log" 2>&1
}
