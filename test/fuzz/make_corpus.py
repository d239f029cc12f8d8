#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the seed corpora of test/fuzz/corpus from the messages of real conversations below.

Run it after a change here and commit what it writes: files 00, 01, ... of each target. Inputs that a fuzzer found are
named by their hash, as libFuzzer does it, and stay. The header comment of each target says how its inputs are laid out.
"""

import pathlib
import struct

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"

u16 = struct.Struct(">H").pack
u32 = struct.Struct(">I").pack


def message(kind, body=b""):
    return kind.encode() + u32(4 + len(body)) + body


def strings(*texts):
    return b"".join(text.encode() + b"\0" for text in texts)


def block(data):
    return u16(len(data)) + data


# --- what a server says
READY, READY_T, READY_E = (message("Z", status) for status in (b"I", b"T", b"E"))
ROWS = message("T", u16(1) + strings("id") + u32(0) + u16(0) + u32(23) + u16(4) + u32(0xffffffff) + u16(0))
ROW = message("D", u16(1) + u32(2) + b"42")
COMPLETE = message("C", strings("SELECT 1"))
ERROR = message("E", strings("SERROR", "VERROR", "C42601", "Msyntax error at or near \"x\"", "P8") + b"\0")
NOTICE = message("N", strings("SNOTICE", "C00000", "Mhello") + b"\0")
PARAMETER = message("S", strings("application_name", "psql"))
NOTIFY = message("A", u32(77) + strings("channel", "payload"))
COPY_IN = message("G", b"\0" + u16(1) + u16(0))
COPY_OUT = message("H", b"\0" + u16(1) + u16(0))
COPY_BOTH = message("W", b"\0" + u16(1) + u16(0))
PARSED, BOUND, CLOSED, NO_DATA, EMPTY, SUSPENDED = (message(kind) for kind in "123nIs")
PARAMETERS = message("t", u16(1) + u32(23))

# --- what is expected: request + 9 * (forward, skip, fake)
QUERY, CALL, PARSE, BIND, DESCRIBE, EXECUTE, CLOSE, SYNC, COPY_END = range(9)
SKIP, FAKE = 9, 18


def replies(*segments, cut=2):
    return u16(cut) + b"".join(bytes([len(expected), *expected]) + block(b"".join(data)) for expected, data in segments)


REPLIES = [
    replies(([QUERY], [ROWS, ROW, ROW, COMPLETE, READY])),
    replies(([QUERY], [ROWS, ROW, ERROR, READY]), ([QUERY], [EMPTY, READY])),
    replies(([PARSE, BIND, DESCRIBE, EXECUTE, SYNC], [PARSED, BOUND, ROWS, ROW, COMPLETE, READY_T])),
    replies(([PARSE, DESCRIBE, SYNC], [PARSED, PARAMETERS, NO_DATA, READY]), cut=9),
    replies(([PARSE, BIND, EXECUTE, SYNC], [ERROR, READY]), ([BIND, EXECUTE, EXECUTE, SYNC], [BOUND, SUSPENDED, COMPLETE, READY])),
    replies(([QUERY + SKIP, QUERY], [message("C", strings("SET")), PARAMETER, READY, ROWS, ROW, COMPLETE, READY])),
    replies(([QUERY + SKIP, QUERY], [ERROR, READY, ROWS, COMPLETE, READY])),
    replies(([PARSE + FAKE, BIND, EXECUTE, SYNC], [BOUND, ROW, COMPLETE, READY])),
    replies(([PARSE + SKIP, BIND, CLOSE + SKIP, EXECUTE, SYNC], [PARSED, BOUND, CLOSED, COMPLETE, READY])),
    replies(([QUERY], [COPY_IN]), ([COPY_END], [COMPLETE, READY])),
    replies(([QUERY], [COPY_OUT, message("d", b"1\n"), message("d", b"2\n"), message("c"), COMPLETE, READY])),
    replies(([BIND, EXECUTE, SYNC], [BOUND, COPY_IN]), ([SYNC, COPY_END, SYNC], [COMPLETE, READY])),
    replies(([EXECUTE, SYNC], [COPY_IN]), ([COPY_END, SYNC], [ERROR, READY])),
    replies(([QUERY], [COPY_BOTH, message("d", b"w"), message("c"), COMPLETE, READY_E])),
    replies(([], [NOTICE, NOTIFY, PARAMETER]), ([], [ERROR])),
    replies(([CALL], [message("V", u32(0xffffffff)), READY])),
    replies(([QUERY], [ROWS, ROW[:7]]), ([], [ROW[7:], COMPLETE, READY[:5]]), ([], [READY[5:]])),
    replies(([SYNC, QUERY], [b"Z" + u32(4), READY])),
    replies(([SYNC], [message("Z", b"Ixyz")])),
    replies(([QUERY], [message("?"), b"D" + u32(3)])),
    replies(([PARSE], [ERROR]), ([BIND, QUERY, SYNC], [READY])),
    replies(([QUERY], [message("d", bytes(300)), message("S", strings("search_path", "x" * 200)), COMPLETE, READY])),
    replies(([CLOSE + FAKE, COPY_END, PARSE + FAKE, BIND, SYNC], [BOUND, READY]), ([COPY_END], [])),
    replies(([CLOSE + FAKE, COPY_END, CLOSE + FAKE, EXECUTE, SYNC], [ERROR, READY])),
    replies(([EXECUTE], [ERROR, COPY_IN, COMPLETE])),
]

# --- what a client says
Q = message("Q", strings("SELECT 1"))
P, P_NAMED = message("P", strings("", "SELECT $1") + u16(0)), message("P", strings("s1", "SELECT 1") + u16(0))
B, B_NAMED = message("B", strings("", "") + u16(0) * 3), message("B", strings("portal", "s1") + u16(0) * 3)
D_S, D_P, D_NAMED = message("D", b"S\0"), message("D", b"P\0"), message("D", b"Ss1\0")
E, C_S = message("E", strings("") + u32(0)), message("C", b"Ss1\0")
S, H, X = message("S"), message("H"), message("X")
F = message("F", u32(1) + u16(0) * 3)
COPY, DONE, FAIL = message("d", b"1\n"), message("c"), message("f", strings("no"))
PINNED, LENT, SMALL, FEW = 1, 2, 4, 8
RETURN, ANSWER = 1, 2


def requests(flags, *segments, answers=b"\0" * 8, cut=2):
    return u16(cut) + bytes([flags]) + answers + b"".join(bytes([before]) + block(b"".join(data)) for before, data in segments)


REFUSE = b"\xff" * 8
REQUESTS = [
    requests(0, (0, [Q]), (RETURN, [Q, X])),
    requests(LENT, (0, [P, B, D_P, E, S]), (ANSWER, [B, E, S])),
    requests(0, (0, [P, B, E, S]), (RETURN, [B, E, S, D_S, S])),
    requests(0, (0, [P_NAMED, B_NAMED, E, S, Q])),
    requests(PINNED, (0, [P_NAMED, B_NAMED, D_NAMED, E, C_S, S])),
    requests(0, (0, [P, B, D_S, E, S, Q, F]), answers=REFUSE),
    requests(0, (0, [Q, F, E]), answers=b"\x55" * 8),
    requests(FEW | LENT, (0, [Q, Q, Q, P, B, E, S])),
    requests(SMALL, (0, [message("Q", strings("x" * 100))])),
    requests(0, (0, [S, S, H, S])),
    requests(LENT, (0, [Q, COPY, COPY, DONE, S]), (RETURN, [COPY, FAIL, S])),
    requests(0, (0, [Q[:3]]), (0, [Q[3:], Q[:7]]), (RETURN, [Q[7:]])),
    requests(LENT | PINNED, (0, [F, C_S, H, FAIL])),
    requests(0, (0, [message("B", b"p" * 300 + b"\0\0" + u16(0) * 3)])),
    requests(0, (0, [message("B", b"p" * 1100 + b"\0\0" + u16(0) * 3), S])),
    requests(0, (0, [message("?"), Q])),
    requests(0, (0, [b"Q" + u32(3)])),
    requests(0, (0, [message("P"), message("B"), message("D"), message("D", b"S"), S])),
    requests(0, (0, [message("D", b"S"), S])),
]

# --- first packets
def packet(code, body=b""):
    return u32(8 + len(body)) + u32(code) + body


SSL, GSS = packet(80877103), packet(80877104)
STARTUP = [
    packet(0x30000, strings("user", "app", "database", "shop") + b"\0"),
    SSL + packet(0x30000, strings("user", "app") + b"\0"),
    GSS + SSL + packet(0x30002, strings("user", "app", "options", "-c search_path=a,b --work-mem=4MB", "application_name", "psql") + b"\0"),
    packet(0x30003, strings("user", "app", "_pq_.command_tag", "1") + b"\0"),
    packet(0x30000, strings("user", "app", "replication", "true") + b"\0"),
    packet(0x30000, strings("user", "app", "replication", "database", "database", "shop") + b"\0"),
    packet(0x30000, strings("user", "app", "replication", "maybe") + b"\0"),
    packet(80877102, u32(4711) + u32(42)),
    packet(80877102, u32(4711) + bytes(256)),
    packet(80877102, u32(4711) + b"abc"),
    packet(0x20000, strings("user", "app") + b"\0"),
    packet(0x30000, strings("database", "shop") + b"\0"),
    packet(0x30000, strings("user", "app")),
    packet(0x30000, strings("user", "app", "options", "-x") + b"\0\0"),
    b"GET / HTTP/1.1\r\n\r\n",
    u32(4), u32(100000) + u32(0x30000),
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]

OPTIONS = ["", " ", "-c search_path=public", "-csearch_path=public", "--work-mem=4MB", "-c a.b=c\\ d --x=", "-c", "--",
           "-c x", "-c =1", "--=1", "-e", "a", "\\", "-c x=\\\\ \t -c y=\\'", "-c geqo=off  -c statement_timeout=5min\n",
           "-c x=y\\", "--a-b-c=-d--e", "-c -c=1", "-\\c x=1"]

COMMANDS = ["", ";", "SHOW POOLS", "show clients;", "SHOW HELP", " SHOW /* a /* b */ */ \"lists\" -- end\n ;", "SHOW 'servers'",
            "SET x = 1", "SET", "SHOW transaction isolation level", "SHOW TIMEZONE", "SELECT 1", "PAUSE db", "reload", "SHUTDOWN",
            "/* open", "'open", "\"open", "SHOW \"a\"\"b\"", "SHOW 'a''b'", "1.5.2 42x $x", "--", "SHOW a b c d e f g h i j", "é SHOW",
            "KILL_CLIENT " + "x" * 250 + "é", "SHOW;POOLS", "*=,;()"]

# --- parameters: pairs of set, name, value
WISH, HAS, BASE, REMOVED = 0, 1, 2, 4


def parameters(*pairs):
    return b"".join(bytes([which]) + strings(name) + (value.encode() if isinstance(value, str) else value) + b"\0" for which, name, value in pairs)


PARAMETERS_ = [
    parameters((WISH, "application_name", "psql"), (HAS, "application_name", ""), (BASE, "application_name", "")),
    parameters((WISH, "search_path", "public, \"My \"\"Schema\", b"), (HAS, "Search_Path", "public")),
    parameters((HAS, "TimeZone", "UTC"), (BASE, "timezone", "Europe/Berlin"), (HAS, "my.setting", "1")),
    parameters((WISH, "x", "a'b"), (WISH, "x", "a\\"), (WISH, "x", "\\'"), (WISH, "x", b"\x81\\")),
    parameters((WISH, "a\"b.c", b"\x81'"), (WISH, "x", b"\xe0\\'; DROP TABLE t; --")),
    parameters((WISH, "temp_tablespaces", ""), (WISH, "search_path", " "), (WISH, "search_path", ",")),
    parameters((WISH, "search_path", "\"open"), (WISH, "search_path", "A,b ,\"C\""), (WISH, "search_path", "$user\\")),
    parameters((HAS, "session_authorization", "bob"), (BASE, "session_authorization", "app"), (HAS, "is_superuser", "on")),
    parameters((WISH, "DateStyle", "ISO"), (WISH | REMOVED, "datestyle", ""), (HAS, "datestyle", "German"), (BASE, "DateStyle", "ISO, MDY")),
    parameters((WISH, "", ""), (WISH, ".", "."), (WISH, "a..b", "x")),
]

# --- bodies of a server's login: kind, body
SERVER_MESSAGES = [bytes([kind]) + body for kind, body in [
    (0, u32(0)), (0, u32(3)), (0, u32(5) + b"salt"), (0, u32(10) + strings("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS") + b"\0"),
    (0, u32(11) + b"r=abc,s=c2FsdA==,i=4096"), (0, u32(12) + b"v=c2lnbmF0dXJl"), (0, u32(7)), (0, u32(5) + b"sal"), (0, u32(10) + b"x"),
    (1, u32(0x30000) + u32(1) + strings("_pq_.x")), (1, u32(0x30002) + u32(0)), (1, u32(0x30000) + u32(0xffffffff)),
    (2, ERROR[5:]), (2, NOTICE[5:]), (2, b"\0"), (2, strings("SFEHLER", "VFATAL", "C57P01", "Mline\nbreak", "Ddetail\r", "Hhint", "Ffile", "L1")),
    (3, PARAMETER[5:]), (3, strings("", "")), (4, u32(1) + b"1234"), (4, u32(1) + bytes(256)), (4, u32(1) + b"123"), (5, b"I"), (5, b"T"), (5, b"x"),
    (6, COMPLETE[5:]), (6, b"INSERT 0 1")]]

# --- SCRAM with somebody in the middle: knowledge, iterations, edits
def edit(which, operation, position, count, text=b""):
    return bytes([which, operation]) + u16(position) + bytes([count, len(text)]) + text


REPLACE, INSERT, ERASE, FLIP = range(4)
SCRAM = [b"\0\0", b"\1\0", b"\0\7"] + [b"\0\1" + data for data in [
    edit(0, REPLACE, 0, 0, b"y"), edit(0, REPLACE, 0, 0, b"p=tls-unique,,"), edit(0, INSERT, 2, 0, b"a=root"), edit(0, INSERT, 3, 0, b"m=x,"),
    edit(0, REPLACE, 8, 0, b"evil"), edit(1, REPLACE, 3, 0, b"evil"), edit(1, ERASE, 0, 200) + edit(1, INSERT, 0, 0, b"r=clientNonce0123456789abcX,s=AAAA,i=1"),
    edit(1, INSERT, 78, 0, b"0"), edit(1, INSERT, 78, 0, b",x=y"), edit(2, REPLACE, 0, 0, b"c=eSws"), edit(2, FLIP, 70, 3), edit(2, INSERT, 58, 0, b"x=1,"),
    edit(2, ERASE, 60, 200), edit(3, REPLACE, 0, 0, b"e=other-error"), edit(3, FLIP, 5, 1), edit(3, INSERT, 46, 0, b",x=y"),
    edit(3, INSERT, 0, 0, b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    edit(0, REPLACE, 0, 0, b"y") + edit(2, REPLACE, 0, 0, b"c=eSws")]]

VERIFIER = "SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==$" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=:" + "MDEyMzQ1Njc4OUFCQ0RFRjAxMjM0NTY3ODlhYmNkZWY="
SECRETS = ["", "hunter2", "md5" + "0123456789abcdef" * 2, "md5" + "0123456789ABCDEF" * 2, "md5x", VERIFIER, VERIFIER[:-1], VERIFIER.replace("4096", "0"),
           VERIFIER.replace("4096", "10000001"), VERIFIER.replace("4096", "+4096"), VERIFIER.replace("4096", " 4096"), VERIFIER.replace("ZWY=:", "ZWZ=:"),
           VERIFIER.replace("MDEyMzQ1Njc4OWFiY2RlZg==", "MDEyMzQ1Njc4OWFiY2RlZh=="), VERIFIER.replace("MDEyMzQ1Njc4OWFiY2RlZg==$", "$"), "SCRAM-SHA-256$",
           VERIFIER + "\n", "QUJD", "QUI=", "QQ==", "QR==", "Q===", "QUJD\n", "====", "pass\0word"]

UNITS = ["0", "500ms", "30s", "1h30min", "5m", "10min", "1d", "1d2h3min4s5ms6us7ns", "99999999999999999999d", "9223372036854775807ns", "1.5s", "s", "16KiB", "64kB", "8192", "3GB",
         "7B", "99999999999999999999GiB", "0777", "0000", "0888", "07", "01000", "db.example:5432", "10.0.0.1", "[::1]:5432", "::1", "[::1]", "[fe80::1%eth0]:1",
         "/var/run/postgresql:5432", "/run/x", "a:", "a:0", "a:65536", "a b", "@name", "[a:b]", "[1.2.3.4]", "1.2.3.4:99", "::ffff:1.2.3.4", "x" * 120]

BASE = '{"listen":[{"host":"*"}],"storages":{"main":{"hosts":["db:5432"]}},"users":{"app":{"secret":"hunter2"}},"routes":[{"storage":"main"}]}'
CONFIG = [
    BASE, "", "{", "[]", "// nothing\n{}", BASE[:-1],
    BASE.replace('"hunter2"', '{"env":"SECRET"}'), BASE.replace('"hunter2"', '{"env":"SECRET5"}'), BASE.replace('"hunter2"', '{"file":"secret.txt"}'),
    BASE.replace('"hunter2"', '{"file":"open.txt"}'), BASE.replace('"hunter2"', '{"env":"MISSING"}'), BASE.replace('"hunter2"', '"' + VERIFIER + '"'),
    BASE.replace('"hunter2"', '"md5' + "a" * 32 + '","auth":"md5"'), BASE.replace('"hunter2"', '"md5x"'), BASE.replace('"app"', '"*"'),
    BASE.replace('{"host":"*"}', '{"unix_socket_dir":"@trireme","port":1,"unix_socket_mode":"0700"},{"host":"::1","backlog":7}'),
    BASE[:-1] + ',"cores":{"use":[0,2],"pin":false,"spin":"50us"},"sharing":{"policy":"isolated","victim":"random","placement":"kernel"}}',
    BASE[:-1] + ',"cores":2,"auth":"trust","scram_iterations":1,"pool":{"mode":"session","size":3,"server_lifetime":"5s","reset_query":""}}',
    BASE[:-1] + ',"limits":{"clients_max":1,"buffer_bytes":"16KiB"},"timeouts":{"client_idle":"1h"},"log":{"format":"json","level":"debug"}}',
    BASE[:-1] + ',"console":{"database":"adm","admin_users":["app"],"stats_users":["*"]},"ignore_startup_parameters":["extra_float_digits"]}',
    BASE.replace('{"storage":"main"}', '{"database":"d","user":"app","storage":"main","storage_user":"u","storage_secret":"p","clients_max":5,'
                 '"pool":{"size":1,"wait_timeout":"0"},"startup_parameters":{"search_path":"a, b","x.y":"z"}},{"storage":"main"}'),
    BASE.replace("listen", "listn"), BASE.replace('"*"', '"*","host":"x"'), BASE.replace("5432", "99999"), BASE.replace("hunter2", "a\\u0000b"),
    BASE.replace("app", "\\u00e9\\ud83d\\ude00"), BASE.replace("app", "\\ud83d"), "[" * 40, '{"a":1e999,"b":-0,"c":123456789012345678901234567890}',
]

# --- console: role, name, messages with 16-bit lengths
def console(role, *messages_, name="app"):
    return bytes([role]) + block(name.encode()) + b"".join(kind.encode() + block(body) for kind, body in messages_)


def simple(text):
    return "Q", strings(text)


VIEWS = ["clients", "servers", "pools", "databases", "users", "stats", "stats_totals", "stats_averages", "totals", "lists", "shards", "mem", "config", "state", "version"]
CONSOLE = [console(2, *[simple("SHOW " + view.upper()) for view in VIEWS], name="a\u00e9"), console(2, simple("SHOW HELP"), simple(""), simple("SET x=1"), simple("show timezone")),
           console(1, simple("SHOW POOLS;"), simple("RELOAD"), ("X", b"")), console(0, simple("SHOW POOLS"))] + [console(2, *messages_) for messages_ in [
    [("P", strings("", "SHOW LISTS") + u16(0)), ("B", strings("", "") + u16(0) * 3), ("D", b"P\0"), ("E", b"\0" + u32(0)), ("S", b"")],
    [("P", strings("s", "SHOW POOLS") + u16(0)), ("D", b"Ss\0"), ("B", strings("p", "s") + u16(0) * 2 + u16(1) + u16(1)), ("E", b"p\0" + u32(1)), ("E", b"p\0" + u32(1)), ("C", b"Ss\0"), ("S", b"")],
    [("P", strings("s", "SHOW CLIENTS") + u16(1) + u32(23)), ("B", strings("p", "s") + u16(0) + u16(1) + u32(1) + b"x" + u16(0)), ("E", b"p\0" + u32(0)), ("S", b"")],
    [("B", strings("", "none") + u16(0) * 3), ("P", strings("", "x") + u16(0)), ("S", b""), ("F", b""), ("d", b"x"), ("c", b""), ("H", b""), ("?", b"")],
    [("P", strings("", "SHOW TimeZone") + u16(0)), ("B", strings("", "") + u16(0) * 2 + u16(2) + u16(0) * 2), ("S", b""), ("Q", b"SHOW POOLS")],
    [("P", strings("", "") + u16(0)), ("B", strings("", "") + u16(0) * 3), ("D", b"P\0"), ("E", b"\0" + u32(0)), ("E", b"\0" + u32(0)), ("C", b"P\0"), ("S", b"")]]]

# --- a client logs in: method (trust, reject, password, md5, scram), secret (none, plain, md5, verifier), bodies
def login(method, secret, *bodies):
    return bytes([method, secret]) + b"".join(block(body) for body in bodies)


LOGIN = [login(method, secret, *bodies) for secret in range(4) for method, *bodies in [
    (2, b"\x09\0"), (3, b"\x07\0"), (3, b"\x08\0"), (4, b"\x01", b"\x03"), (4, b"\x04", b"\x05")]] + [
    login(0, 1), login(1, 1), login(4, 3, b"SCRAM-SHA-256\0\xff\xff\xff\xff", b"\x02", b"\x03"), login(4, 3, b"\x01", b"c=biws,r=\x06,p=" + b"A" * 43 + b"="),
    login(4, 3, b"SCRAM-SHA-256-PLUS\0\0\0\0\0"), login(2, 1, b"\0"), login(2, 1, b"x"), login(4, 1, b"SCRAM-SHA-256\0\0\0\0\x06n,,n=x", b""),
    login(4, 3, b"SCRAM-SHA-256\0\0\0\0\x0fy,,n=,r=abcdefg", b"c=eSws,r=\x06,p=" + b"A" * 43 + b"=")]


# --- we log in to a server: cut, secret (none, plain, md5, verifier), messages with 16-bit lengths
def server_login(secret, *messages_, cut=3):
    return u16(cut) + bytes([secret]) + b"".join(kind.encode() + block(body) for kind, body in messages_)


OK, SASL = ("R", u32(0)), ("R", u32(10) + strings("SCRAM-SHA-256") + b"\0")
CONTINUE, FINAL, FALSE_FINAL = ("R", u32(11) + b"\x02"), ("R", u32(12) + b"v=\x04"), ("R", u32(12) + b"v=\x03")
WELCOME = [("S", strings("server_version", "15.5")), ("S", strings("TimeZone", "UTC")), ("K", u32(99) + b"1234"), ("Z", b"I")]
SERVER_LOGIN = [server_login(secret, *before, *WELCOME) for secret in range(4) for before in [
    [OK], [("R", u32(3)), OK], [("R", u32(5) + b"salt"), OK], [SASL, CONTINUE, FINAL, OK], [SASL, CONTINUE, FALSE_FINAL, OK]]] + [
    server_login(1, SASL, OK), server_login(1, SASL, CONTINUE, OK), server_login(1, SASL, ("R", u32(11) + b"r=\x01x,s=AAAA,i=99999999"), FINAL),
    server_login(1, ("E", ERROR[5:])), server_login(1, ("N", NOTICE[5:]), ("v", u32(0x30000) + u32(0)), OK, ("Z", b"T")), server_login(1, ("R", b"\0")),
    server_login(1, ("R", u32(7))), server_login(1, OK, OK), server_login(1, OK, ("D", b"")), server_login(1, OK, ("K", b"")), server_login(1, OK, ("S", b"x")),
    server_login(1, ("R", u32(10) + strings("SCRAM-SHA-512") + b"\0"))]

# --- SQL that touches the session, and SQL that only looks so
SQL = [
    "SELECT 1", "BEGIN; SET LOCAL a.b TO 'c'; COMMIT AND CHAIN", "SET search_path TO a, \"B c\", '$user'", "SET x.y =-1.5",
    "SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE", "SET NAMES 'latin1';SET SCHEMA 'A';SET ROLE NONE;SET XML OPTION DOCUMENT",
    "SET SESSION AUTHORIZATION DEFAULT;RESET SESSION AUTHORIZATION;RESET ALL;RESET TIME ZONE",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, NOT DEFERRABLE",
    "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE READ WRITE;SET CONSTRAINTS ALL DEFERRED",
    "SELECT pg_catalog.set_config('a', $1, true), set_config('b', NULL, 't'::bool) FROM t",
    "SELECT U&\"set\\005fconfig\"(U&'\\0061', E'b\\n\\x41', false)", "DISCARD ALL;DISCARD TEMP;DISCARD PLANS;DISCARD SEQUENCES",
    "PREPARE \"P q\" (int, numeric(10, 2), text[]) AS INSERT INTO t VALUES ($1, $2, $3);EXECUTE p(1);DEALLOCATE ALL",
    "EXPLAIN (ANALYZE, COSTS off) EXECUTE p(1);CREATE TABLE t AS EXECUTE p", "LISTEN \"A b\";UNLISTEN a;UNLISTEN *",
    "CREATE LOCAL TEMP TABLE IF NOT EXISTS t (a int) ON COMMIT DROP", "CREATE TEMP VIEW v AS SELECT 1;CREATE TEMP SEQUENCE s",
    "SELECT 1 AS a INTO TEMPORARY TABLE t FROM x UNION SELECT 2", "SELECT * FROM pg_temp.t, \"pg_temp_3\".u",
    "DROP TABLE IF EXISTS t, pg_temp.u CASCADE;ALTER TABLE t RENAME TO u", "SELECT CASE WHEN a THEN pg_try_advisory_lock(1, -2) END FROM t",
    "SELECT pg_advisory_unlock(1), pg_advisory_unlock_all(), pg_advisory_xact_lock(1)", "DECLARE c CURSOR WITH HOLD FOR SELECT 1;CLOSE c;CLOSE ALL",
    "SAVEPOINT a;ROLLBACK TO a;RELEASE a;PREPARE TRANSACTION 'x';COMMIT PREPARED 'x'", "DO $$ BEGIN PERFORM set_config('a', 'b', false); END $$;CALL p(1)",
    "SELECT currval('s'), lastval(), nextval('s'::regclass), setseed(0.5)", "NEWSTATEMENT a b;SELEC 1;SET a TO", "LOAD 'auto_explain'",
    "SELECT 'a''b' -- c\n'd', $a$;$a$, $1, 1.5e-3, b'01', n'x' /* /* */ ; */;SELECT 'never; LISTEN a",
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE 1 WHEN 1 THEN 2 END; SELECT 2; END; LISTEN x",
    "CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT set_config('a','b',false); NOTIFY x)", "SELECT 'a\\'; SET x TO y; --'",
    "SET search_path TO E'\\uzzz''--'", "SET TRANSACTION TO a, 'pg_advisory_unlock_all()';SET constraints = 'LISTEN x'",
]
SQL_WORDS = [bytes([number % 4]) + u16(number % 7) + text.encode() for number, text in enumerate(SQL)]
SQL_EFFECTS = [bytes([number % 8 // 7]) + text.encode() for number, text in enumerate(SQL)]
SQL_QUOTE = [b"".join(block(name.encode()) for name in names) for names in [
    ["public"], ["$user", "public", "A b"], ["a\"b", "a'b", "", "select", "naïve"], ["x" * 70, "1", "a,b", " ", "\\"]]]

INPUTS = {
    "command": COMMANDS, "config": CONFIG, "console": CONSOLE, "login": LOGIN, "options": OPTIONS, "parameters": PARAMETERS_, "replies": REPLIES,
    "requests": REQUESTS, "scram": SCRAM, "secrets": SECRETS, "server_login": SERVER_LOGIN, "server_messages": SERVER_MESSAGES, "startup": STARTUP,
    "sql_effects": SQL_EFFECTS, "sql_quote": SQL_QUOTE, "sql_words": SQL_WORDS, "units": UNITS,
}

for target, inputs in INPUTS.items():
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("[0-9][0-9]"):
        old.unlink()
    for number, data in enumerate(inputs):
        (folder / f"{number:02}").write_bytes(data.encode() if isinstance(data, str) else data)
