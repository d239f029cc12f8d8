# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the configuration with which Trireme serves the PostgreSQL that a libpq connection string names.

usage: config_for.py CONNECTION-STRING LISTEN-PORT [user|database|password]

libpq itself takes the string apart, so URIs and key=value lists, environment variables and service files mean what they
mean to psql. Clients log in as the same user; with the password when one is known, else freely from this machine.
"""

import ctypes
import ctypes.util
import json
import sys


class Option(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in ("keyword", "envvar", "compiled", "val", "label", "dispchar")] + [
        ("dispsize", ctypes.c_int)]


def parse(text):
    libpq = ctypes.CDLL(ctypes.util.find_library("pq") or "libpq.so.5")
    libpq.PQconninfoParse.restype = ctypes.POINTER(Option)
    libpq.PQconndefaults.restype = ctypes.POINTER(Option)
    message = ctypes.c_char_p()
    given = libpq.PQconninfoParse(text.encode(), ctypes.byref(message))
    if not given:
        sys.exit(f"not a connection string: {message.value.decode().strip()}")
    values = {}
    for options in (libpq.PQconndefaults(), given):
        i = 0
        while options[i].keyword:
            if options[i].val:
                values[options[i].keyword.decode()] = options[i].val.decode()
            i += 1
    return values


def address(host, port):
    host = host or "/var/run/postgresql"
    if ":" in host and not host.startswith("/"):
        host = f"[{host}]"
    return f"{host}:{port or 5432}"


def configuration(values, listen_port):
    user = values["user"]
    database = values.get("dbname", user)
    hosts = values.get("hostaddr", values.get("host", "/var/run/postgresql")).split(",")
    ports = values.get("port", "5432").split(",")
    password = values.get("password")
    return {
        "listen": [{"host": "127.0.0.1", "port": listen_port}],
        "auth": "scram-sha-256" if password else "trust",
        "storages": {"main": {"hosts": [
            address(host, ports[min(i, len(ports) - 1)]) for i, host in enumerate(hosts)]}},
        "users": {user: {"secret": password} if password else {}},
        "routes": [{"database": database, "storage": "main"}],
        "console": {"admin_users": [user]},
    }, user, database, password


if __name__ == "__main__":
    config, user, database, password = configuration(parse(sys.argv[1]), int(sys.argv[2]))
    if len(sys.argv) > 3:
        print({"user": user, "database": database, "password": password or ""}[sys.argv[3]])
    else:
        json.dump(config, sys.stdout, indent=2)
