# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# What every script in tools/ needs: where the project is, and how to speak to the person watching. Sourced,
# never run. Messages go to standard error so that standard output stays for results.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit 1

say() { printf '%s\n' "$*" >&2; }
step() { printf '==> %s\n' "$*" >&2; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
  printf '%s: %s\n' "tools/${0##*/}" "$*" >&2
  exit 1
}

# The comment that opens a script is its --help text: from the fourth line to the first that is no comment.
print_help() {
  sed -n "4,/^[^#]/{s/^# \{0,1\}//p}" "$root/tools/${0##*/}"
}

cpu_count() { nproc 2>/dev/null || echo 2; }
