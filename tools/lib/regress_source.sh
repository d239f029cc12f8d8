# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# PostgreSQL's own tests: their source, from the archive that this machine's apt uses, and what has to be compiled of it
# against the headers of postgresql-server-dev, which is unpacked, not installed. All in build/pg-regress; what is
# there already stays. The programs pg_regress and pg_isolation_regress come with the server's packages. Sourced.
# Needs common.sh, debian_source.sh and postgres.sh.

regress_dir=$root/build/pg-regress

postgres_major() { basename "$(dirname "$(postgres_programs)")"; }

# The tests of the installed major version; the minor may differ, since results are compared with those of the same server.
fetch_regress_source() {
  local major=$1 scratch tarball
  [ ! -d "$regress_dir/source/src/test/regress" ] || return 0
  step "the source of PostgreSQL $major's tests, from the archive this machine's apt uses"
  scratch=$(mktemp -d)
  # shellcheck source=/dev/null
  if ! fetch_from_suite "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$scratch" --download-only --tar-only "postgresql-$major"; then
    tail -n 3 "$scratch/log" >&2
    rm -rf "$scratch"
    die "the source of postgresql-$major cannot be had here"
  fi
  tarball=$(find "$scratch/source" -name '*.orig.tar.*' -print -quit)
  rm -rf "$regress_dir/source.next"
  mkdir -p "$regress_dir/source.next"
  tar -xf "$tarball" -C "$regress_dir/source.next" --strip-components=1 --wildcards \
    '*/src/test/regress' '*/src/test/isolation' '*/src/test/modules/libpq_pipeline'
  mv "$regress_dir/source.next" "$regress_dir/source"
  rm -rf "$scratch"
}

fetch_regress_headers() {
  local major=$1 scratch
  [ ! -d "$regress_dir/dev/usr/include" ] || return 0
  step "the headers of postgresql-server-dev-$major"
  scratch=$(mktemp -d)
  if ! (cd "$scratch" && apt-get -qq -o APT::Sandbox::User= download "postgresql-server-dev-$major") >"$scratch/log" 2>&1; then
    tail -n 3 "$scratch/log" >&2
    rm -rf "$scratch"
    die "postgresql-server-dev-$major cannot be downloaded; apt-get update may help"
  fi
  mkdir -p "$regress_dir/dev.next"
  dpkg-deb -x "$scratch"/*.deb "$regress_dir/dev.next"
  rm -rf "$regress_dir/dev" "$scratch"
  mv "$regress_dir/dev.next" "$regress_dir/dev"
}

# compile_regress TARGET COMPILER-ARGUMENT...
compile_regress() {
  local target=$1
  shift
  [ ! -e "$target" ] || return 0
  "${CC:-gcc}" -O1 -w "$@" -o "$target.next" && mv "$target.next" "$target"
}

# The C functions of the tests, isolationtester and libpq_pipeline. isolationtester is changed: it asks the server for the
# process id of each session, since behind a pooler the key that the client got names no backend; and it tells the version of the
# driver that starts it. The drivers are copied: they look for it beside themselves.
build_regress_programs() {
  local major=$1 library=$regress_dir/lib tests=$regress_dir/source/src/test name version
  local pgxs=/usr/lib/postgresql/$major/lib/pgxs/src/test
  local headers=(-I "$regress_dir/dev/usr/include/postgresql/$major/server" -I /usr/include/postgresql -I /usr/include/postgresql/internal)
  local archives=$regress_dir/dev/usr/lib/postgresql/$major/lib
  local libraries=("$archives/libpgfeutils.a" "$archives/libpgcommon.a" "$archives/libpgport.a" -lpq -lm)
  mkdir -p "$library"
  compile_regress "$library/regress.so" -shared -fPIC "${headers[@]}" "$tests/regress/regress.c"
  for name in refint autoinc; do
    ln -sfn "/usr/lib/postgresql/$major/lib/$name.so" "$library/$name.so"
  done
  cp -f "$pgxs/regress/pg_regress" "$pgxs/isolation/pg_isolation_regress" "$library/"
  version=$("$library/pg_isolation_regress" --version | sed 's/^[^)]*) //')
  sed -e "s/\bPG_VERSION\b/\"$version\"/" -e 's/\bPQbackendPID(\([^)]*\)\.conn)/atoi(PQgetvalue(PQexec(\1.conn, "SELECT pg_backend_pid()"), 0, 0))/' \
    "$tests/isolation/isolationtester.c" >"$library/isolationtester.c"
  compile_regress "$library/isolationtester" "${headers[@]}" -I "$tests/isolation" "$library/isolationtester.c" \
    "$tests/isolation/specparse.c" "${libraries[@]}"
  compile_regress "$library/libpq_pipeline" "${headers[@]}" "$tests/modules/libpq_pipeline/libpq_pipeline.c" "${libraries[@]}"
}

prepare_regress() {
  local major
  major=$(postgres_major)
  fetch_regress_source "$major"
  fetch_regress_headers "$major"
  build_regress_programs "$major"
}
