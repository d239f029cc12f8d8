# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# A private PostgreSQL in a folder of its own, run as an ordinary user (PostgreSQL refuses root). Sourced. Needs common.sh.

# Prints the folder with initdb, pg_ctl and pgbench of the newest PostgreSQL installed.
postgres_programs() {
  local folder
  folder=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
  if [ -x "$folder/initdb" ]; then
    printf '%s\n' "$folder"
  elif command -v pg_config >/dev/null && [ -x "$(pg_config --bindir)/initdb" ]; then
    pg_config --bindir
  else
    die "PostgreSQL's server programs are not installed; run tools/setup"
  fi
}

# as_ordinary_user USER COMMAND...: runs it as USER when we are root, else as ourselves.
as_ordinary_user() {
  local user=$1
  shift
  if [ "$(id -u)" = 0 ]; then
    (cd / && setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups -- "$@")
  else
    "$@"
  fi
}

# Prints whom PostgreSQL runs as.
ordinary_user() {
  if [ "$(id -u)" != 0 ]; then
    id -un
  elif id postgres >/dev/null 2>&1; then
    echo postgres
  else
    echo nobody
  fi
}

port_in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Prints the first port from $1 on that nobody listens to.
free_port() {
  local port
  for ((port = $1; port < $1 + 100; port++)); do
    if ! port_in_use "$port"; then
      printf '%s\n' "$port"
      return 0
    fi
  done
  die "ports $1 to $((port - 1)) are all in use"
}

# start_postgres FOLDER PORT: makes a cluster in FOLDER/data and starts it on 127.0.0.1:PORT. Passwords are required
# over TCP; the Unix socket in FOLDER, which only the user can enter, trusts.
start_postgres() {
  local folder=$1 port=$2 user programs
  user=$(ordinary_user)
  programs=$(postgres_programs)
  [ "$(id -u)" != 0 ] || chown "$user" "$folder"
  as_ordinary_user "$user" "$programs/initdb" -D "$folder/data" -U postgres --auth-local=trust \
    --auth-host=scram-sha-256 --encoding=UTF8 --no-locale --no-sync >"$folder/initdb.log" 2>&1 ||
    { cat "$folder/initdb.log" >&2; return 1; }
  # It holds nothing that must survive a power cut, so it need not wait for the disk.
  as_ordinary_user "$user" "$programs/pg_ctl" -D "$folder/data" -l "$folder/data/log" -w -t 60 -s \
    -o "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$folder -c fsync=off" start >&2 ||
    { cat "$folder/data/log" >&2; return 1; }
}

# stop_postgres FOLDER: ends the server of FOLDER/data, if it runs.
stop_postgres() {
  [ ! -f "$1/data/postmaster.pid" ] ||
    as_ordinary_user "$(ordinary_user)" "$(postgres_programs)/pg_ctl" -D "$1/data" -m fast -w -t 60 -s stop >&2 || true
}
