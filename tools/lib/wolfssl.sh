# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# Puts wolfSSL's source into subprojects/wolfssl, from the archive that this machine's apt already uses, by apt's
# own `source` command: the archive's signature covers the index and the index covers the tarball. Lists live in
# a temporary folder; nothing under /etc/apt is read as root or changed. Order: the pinned newest release,
# then the next Debian's with its security patches; when neither can be had, the build uses the packaged library.
#
# Sourced. Needs common.sh. fetch_wolfssl never fails the caller.

wolfssl_dir=$root/subprojects/wolfssl
wolfssl_overlay=$root/subprojects/packagefiles/wolfssl
wolfssl_pinned_suite=sid
wolfssl_pinned_sha256=2f4ef3d4fd387a9b3191d36a6316d69116c46ff69bb9583b6c82b36d7b8ca114  # 5.9.2
wolfssl_second_suite=trixie                                                             # 5.7.2

# Prints the version in a wolfSSL source tree.
wolfssl_version() {
  sed -n 's/^#define LIBWOLFSSL_VERSION_STRING "\(.*\)"$/\1/p' "$1/wolfssl/version.h" 2>/dev/null
}

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

# fetch_from_suite SUITE FOLDER APT-OPTION...: the package's source, as apt verified it, into FOLDER.
fetch_from_suite() {
  local suite=$1 folder=$2 archive valid_until=true keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  shift 2
  # Signed, but perhaps old: of no matter to a tarball whose hash we know.
  [ "$suite" != "$wolfssl_pinned_suite" ] || valid_until=false
  archive=$(debian_archive)
  [ -n "$archive" ] || return 1
  mkdir -p "$folder/parts" "$folder/lists/partial" "$folder/source"
  {
    printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\n' "$archive" "$suite"
    [ ! -r "$keyring" ] || printf 'Signed-By: %s\n' "$keyring"
  } >"$folder/parts/wolfssl.sources"
  local options=(-qq
    -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$folder/parts"
    -o "Dir::State::lists=$folder/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
    -o APT::Sandbox::User= -o Acquire::Languages=none
    -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 -o Acquire::Retries=2)
  (
    cd "$folder/source" &&
      timeout 180 apt-get "${options[@]}" -o APT::Update::Error-Mode=any -o "Acquire::Check-Valid-Until=$valid_until" update &&
      timeout 300 apt-get "${options[@]}" source "$@" wolfssl
  ) >"$folder/log" 2>&1
}

# The pinned release: the tarball alone, since the archive's packaging files for it come and go.
unpack_pinned_wolfssl() {
  local folder=$1 tarball
  fetch_from_suite "$wolfssl_pinned_suite" "$folder" --tar-only || return 1
  tarball=$(find "$folder/source" -maxdepth 1 -name 'wolfssl_*.orig.tar.gz' -print -quit)
  [ -n "$tarball" ] || return 1
  printf '%s  %s\n' "$wolfssl_pinned_sha256" "$tarball" | sha256sum --check --status || return 1
  tar -xzf "$tarball" -C "$folder/source" || return 1
}

unpack_second_wolfssl() {
  fetch_from_suite "$wolfssl_second_suite" "$1"
}

# install_wolfssl FOLDER: moves what the build needs out of FOLDER/source, all or nothing.
install_wolfssl() {
  local tree next=$wolfssl_dir.next
  tree=$(find "$1/source" -maxdepth 1 -type d -name 'wolfssl-*' -print -quit)
  [ -n "$tree" ] && [ -n "$(wolfssl_version "$tree")" ] || return 1
  rm -rf "$next"
  mkdir -p "$next/wolfcrypt"
  cp -r "$tree"/{src,wolfssl,COPYING,LICENSING} "$next/" && cp -r "$tree/wolfcrypt/src" "$next/wolfcrypt/" || return 1
  cp "$wolfssl_overlay"/* "$next/"
  rm -rf "$wolfssl_dir"
  mv "$next" "$wolfssl_dir"
}

# Leaves files that have not changed alone, so that a second run rebuilds nothing.
refresh_wolfssl_overlay() {
  local file
  for file in "$wolfssl_overlay"/*; do
    cmp -s "$file" "$wolfssl_dir/${file##*/}" || cp "$file" "$wolfssl_dir/"
  done
}

fetch_wolfssl() {
  local scratch way
  if [ -n "$(wolfssl_version "$wolfssl_dir")" ]; then
    refresh_wolfssl_overlay
    return 0
  fi
  if ! command -v apt-get >/dev/null || ! command -v dpkg-source >/dev/null; then
    warn "apt-get or dpkg-source is missing: TLS will use the packaged wolfSSL (slow, no ALPN for clients)"
    return 0
  fi
  step "wolfSSL's source, from the archive this machine's apt uses"
  for way in pinned second; do
    scratch=$(mktemp -d)
    if "unpack_${way}_wolfssl" "$scratch" && install_wolfssl "$scratch"; then
      rm -rf "$scratch"
      say "    wolfSSL $(wolfssl_version "$wolfssl_dir") in subprojects/wolfssl"
      return 0
    fi
    say "    the $way choice cannot be had: $(tail -n 1 "$scratch/log" 2>/dev/null || echo 'no Debian archive configured')"
    rm -rf "$scratch"
  done
  warn "wolfSSL's source cannot be had here: TLS will use the packaged library (slow, no ALPN for clients)"
}
