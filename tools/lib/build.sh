# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# The kinds of build, each in build/<kind>, with the daemon at build/<kind>/trireme. Sourced. Needs common.sh.

build_kinds='release debug asan tsan clang fuzz sim'

# Prints Meson's arguments for a kind, one a line.
kind_arguments() {
  case $1 in
    # Whole-program: a tenth fewer instructions for each transaction.
    release) printf '%s\n' --buildtype=release -Db_lto=true -Dtests=false ;;
    debug) printf '%s\n' --buildtype=debug ;;
    # -Og: a third of the run time of -O0 under sanitizers, and stacks still tell the truth. -g1: lines, but no
    # variables; following these through sanitized code takes g++ three times as long as all the rest.
    # With marks and planted bugs (src/base/marks.h) for the simulator.
    asan) printf '%s\n' --buildtype=debug -Doptimization=g -Dcpp_args=-g1 -Dc_args=-g1 -Db_sanitize=address,undefined -Db_lundef=false -Dmarks=true -Dbench=false ;;
    tsan) printf '%s\n' --buildtype=debug -Doptimization=g -Dcpp_args=-g1 -Dc_args=-g1 -Db_sanitize=thread -Db_lundef=false -Dtls=system -Dbench=false ;;
    # Nobody runs it: no debug information, no wolfSSL of our own.
    clang) printf '%s\n' --buildtype=debug -Ddebug=false -Doptimization=0 -Dtls=system -Dbench=false ;;
    # Only read by clang, for tools/test: no object is worth anything.
    syntax) printf '%s\n' --buildtype=debug -Ddebug=false -Doptimization=0 -Dtls=system ;;
    # The simulator without sanitizers, with marks.
    sim) printf '%s\n' --buildtype=debugoptimized -Dmarks=true -Dbench=false ;;
    # Only wolfCrypt is used, and only for hashes: the packaged library spares two minutes of compiling.
    fuzz) printf '%s\n' --buildtype=debug -Doptimization=1 -Dcpp_args=-g1 -Dc_args=-g1 -Db_sanitize=address,undefined -Db_lundef=false -Dtests=false -Dbench=false -Dtls=system -Dfuzz=true ;;
    *) return 1 ;;
  esac
}

# Sets build/<kind> up, anew when its arguments or wolfSSL's version are no longer those it was set up with.
configure_kind() {
  local kind=$1 folder=build/$1 arguments stamp log compilers=(CC="${CC:-gcc}" CXX="${CXX:-g++}")
  mapfile -t arguments < <(kind_arguments "$kind")
  case $kind in
    clang | fuzz) compilers=(CC=clang CXX=clang++) ;;
    syntax) compilers=(CC=clang CXX="$root/tools/lib/clang_syntax") ;;
  esac
  stamp="${compilers[*]} ${arguments[*]} wolfssl $(sed -n 's/^#define LIBWOLFSSL_VERSION_STRING //p' \
    subprojects/wolfssl/wolfssl/version.h 2>/dev/null || true)"
  if [ -f "$folder/build.ninja" ] && [ "$(cat "$folder/setup-arguments" 2>/dev/null)" = "$stamp" ]; then
    return 0
  fi
  command -v meson >/dev/null && command -v ninja >/dev/null || die "meson or ninja is missing; run tools/setup"
  step "setting up $folder"
  rm -rf "$folder"
  mkdir -p build
  log=build/$kind-setup.log
  if ! env "${compilers[@]}" meson setup "$folder" "${arguments[@]}" >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    die "meson setup failed; the whole of it is in $log. Have you run tools/setup?"
  fi
  [ "$kind" = fuzz ] || grep -i 'WARNING: TLS' "$log" >&2 || true
  printf '%s\n' "$stamp" >"$folder/setup-arguments"
}

# build_kind KIND [NINJA-TARGET...]: everything of that kind when no target is named; of fuzz, the fuzz targets.
build_kind() {
  local kind=$1 folder=build/$1
  shift
  [ "$kind" != fuzz ] || [ $# -gt 0 ] || set -- fuzz-targets
  configure_kind "$kind"
  # Ninja stays silent when there is nothing to do.
  if ninja -C "$folder" -n "$@" | grep -q 'no work to do'; then
    link_daemon "$kind"
    return 0
  fi
  step "building $folder"
  NINJA_STATUS='    [%f/%t] ' ninja -C "$folder" "$@" >&2 || return 1
  link_daemon "$kind"
}

# Every source of ours through clang, but those that it has just compiled for the fuzz kind.
check_with_clang() {
  local object objects=() known=0
  configure_kind syntax
  while read -r object; do
    known=$((known + 1))
    [ -f "build/fuzz/$object" ] || objects+=("$object")
  done < <(ninja -C build/syntax -t targets all | sed -n 's/^\([^:]*\.cc\.o\): .*/\1/p')
  [ "$known" -gt 100 ] || die "build/syntax knows only $known sources"
  build_kind syntax "${objects[@]}"
}

link_daemon() {
  [ ! -x "build/$1/src/main/trireme" ] || ln -sfn src/main/trireme "build/$1/trireme"
}
