# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# Puts wolfSSL's source into subprojects/wolfssl, from the archive that this machine's apt already uses, by apt's
# own `source` command: the archive's signature covers the index and the index covers the tarball. Lists live in
# a temporary folder; nothing under /etc/apt is read as root or changed. Order: the pinned newest release,
# then the next Debian's with its security patches; when neither can be had, the build uses the packaged library.
#
# Sourced. Needs common.sh and debian_source.sh. fetch_wolfssl never fails the caller.

wolfssl_dir=$root/subprojects/wolfssl
wolfssl_overlay=$root/subprojects/packagefiles/wolfssl
wolfssl_pinned_suite=sid
wolfssl_pinned_sha256=2f4ef3d4fd387a9b3191d36a6316d69116c46ff69bb9583b6c82b36d7b8ca114  # 5.9.2
wolfssl_second_suite=trixie                                                             # 5.7.2

# Prints the version in a wolfSSL source tree.
wolfssl_version() {
  sed -n 's/^#define LIBWOLFSSL_VERSION_STRING "\(.*\)"$/\1/p' "$1/wolfssl/version.h" 2>/dev/null
}

# The pinned release: the tarball alone, since the archive's packaging files for it come and go.
unpack_pinned_wolfssl() {
  local folder=$1 tarball
  # Signed, but perhaps old: of no matter to a tarball whose hash we know.
  check_valid_until=false fetch_from_suite "$wolfssl_pinned_suite" "$folder" --tar-only wolfssl || return 1
  tarball=$(find "$folder/source" -maxdepth 1 -name 'wolfssl_*.orig.tar.gz' -print -quit)
  [ -n "$tarball" ] || return 1
  printf '%s  %s\n' "$wolfssl_pinned_sha256" "$tarball" | sha256sum --check --status || return 1
  tar -xzf "$tarball" -C "$folder/source" || return 1
}

unpack_second_wolfssl() {
  fetch_from_suite "$wolfssl_second_suite" "$1" wolfssl
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
