// SPDX-License-Identifier: GPL-3.0-or-later
//
// The configuration as one immutable value. Built and validated off the cores (config/load.h);
// shards read it through a shared pointer to const and never write it. Every default here is the
// default: the table in config/fields.cc names the same members for the loader, the JSON schema,
// --print-config and the documentation, and a test holds them together.
//
// Durations are Duration (0 = off where the field says so); sizes are bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log_level.h"
#include "base/time.h"

namespace trireme {

// A password or what proves it. Never printed, never logged.
struct Secret {
  enum class Kind : uint8_t {
    kNone,       // no secret known: password methods can never succeed
    kPlaintext,  // "hunter2"
    kMd5,        // "md5" + 32 hex digits, as in pg_authid
    kScram,      // "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>", as in pg_authid
  };
  Kind kind = Kind::kNone;
  std::string text;
};

enum class AuthMethod : uint8_t { kTrust, kReject, kPassword, kMd5, kScramSha256 };
enum class PoolMode : uint8_t { kSession, kTransaction, kStatement };
// What becomes of statements that leave in the session what cannot move to another server.
enum class OnSessionState : uint8_t { kPin, kReject, kAllow };
// What is asked of servers: 3.2 (PostgreSQL 18) has longer cancel keys. Older ones answer with 3.0.
enum class ServerProtocol : uint8_t { k30, k32 };
// Clients that ask for a replication connection.
enum class ReplicationPolicy : uint8_t { kAllow, kRefuse };
// When the reset query runs: after each client of session mode, only when the client may have left
// something, after each client of any mode.
enum class ResetPolicy : uint8_t { kSession, kWhenDirty, kAlways };
enum class Placement : uint8_t { kLeastLoaded, kKernel };
enum class Sharing : uint8_t { kSteal, kIsolated, kSharedMutex };
enum class VictimChoice : uint8_t { kMostIdle, kNearest, kRandom };

struct ListenerConfig {
  // Exactly one of the two: TCP (host "*", an address or a name) or a Unix socket directory.
  std::string host;
  std::string unix_socket_dir;  // the socket is <dir>/.s.PGSQL.<port>; "@name" = abstract
  uint16_t port = 6432;
  uint32_t unix_socket_mode = 0777;  // "0777" in JSON
  uint32_t backlog = 4096;           // connections waiting for accept, per core
};

struct HostConfig {
  std::string host;  // address, name, or a directory starting with '/' (Unix socket)
  uint16_t port = 5432;
};

// One database at a storage, where it differs from the others there.
struct StorageDatabaseConfig {
  std::string name;
  uint32_t connections_max = 0;  // server connections of all pools in it; 0 = no limit
};

struct StorageConfig {
  std::string name;
  std::vector<HostConfig> hosts;                  // tried in order, first that accepts
  ServerProtocol protocol = ServerProtocol::k30;  // the newest that is asked for
  uint32_t connections_max = 0;  // all pools on this storage together; 0 = no limit
  uint32_t database_connections_max =
      0;  // … in each database, unless it has an entry; 0 = no limit
  std::vector<StorageDatabaseConfig> databases;  // sorted by name
  uint32_t cancels_max = 32;             // connections with a cancel request at once; 0 = no limit
  Duration connect_timeout = 15s;        // TCP connect and login together
  uint32_t connecting_max = 4;           // connections being opened at once, per pool and core
  Duration connect_backoff_min = 100ms;  // after a failed connect: doubled up to the maximum,
  Duration connect_backoff_max = 15s;    //   with jitter
};

struct UserConfig {
  std::string name;
  Secret secret;
  std::optional<AuthMethod> auth;       // overrides the global method
  std::optional<PoolMode> pool_mode;    // overrides the route's
  std::optional<uint32_t> clients_max;  // client connections; overrides limits.user_clients_max
  // Of the pools whose servers log in as this user; they override the route's.
  std::optional<uint32_t> pool_size;
  std::optional<uint32_t> reserve_size;
  std::optional<uint32_t> connections_max;  // overrides limits.user_connections_max
  // Of the clients that log in as this user; they override the route's. 0 = off.
  std::optional<Duration> wait_timeout;
  std::optional<Duration> query_timeout;
  std::optional<Duration> transaction_timeout;
  std::optional<Duration> idle_in_transaction_timeout;
  std::optional<Duration> client_idle_timeout;
};

struct PoolConfig {
  PoolMode mode = PoolMode::kTransaction;
  uint32_t size = 20;         // server connections per (route, user, database), all cores
  uint32_t min_size = 0;      // kept open, idle ones included
  uint32_t reserve_size = 0;  // beyond size, while somebody has waited for reserve_timeout
  Duration reserve_timeout = 5s;
  Duration idle_timeout = 600s;      // close a server idle for longer; 0 = never
  Duration server_lifetime = 3600s;  // close a server older than this when it is free; 0 = never
  Duration server_lifetime_jitter = 360s;  // each server subtracts a random part of this
  Duration wait_timeout = 120s;            // a client waits this long for a server; 0 = for ever
  Duration wait_notify = 5s;               // then it is told that it waits; 0 = never
  // Of clients; 0 = no limit.
  Duration query_timeout = 0s;                // then the query is cancelled
  Duration transaction_timeout = 0s;          // then the client is ended
  Duration idle_in_transaction_timeout = 0s;  // likewise
  std::string connect_query;                  // once on each new server; "" = none
  ResetPolicy reset = ResetPolicy::kSession;  // when the reset query runs
  std::string reset_query = "DISCARD ALL";    // "" = none
  Duration reset_timeout = 10s;        // cancel, rollback, reset and check must settle within this
  bool cancel_on_disconnect = true;    // else a server whose client left in mid-query is closed
  bool rollback_on_disconnect = true;  // … in a transaction
  std::string check_query;             // before a server idle for check_delay is lent; "" = none
  Duration check_delay = 30s;          // 0 = each time
  bool deferred_begin = false;         // in transaction mode: BEGIN waits for the next statement
  uint32_t prepared_statements_max = 200;  // kept on each server; 0 = named ones are refused
  bool plan_cache = false;  // unnamed ones with parameters are prepared under names, too
  OnSessionState on_session_state = OnSessionState::kPin;  // in transaction and statement mode
};

// A pool that several routes share: one size for all of them.
struct SharedPoolConfig {
  std::string name;
  PoolConfig pool;
};

struct RouteConfig {
  std::string database = "*";  // as the client names it; "*" = any other
  std::string user = "*";
  uint32_t storage_index = 0;    // into Config::storages
  std::string storage_database;  // "" = the client's
  std::string storage_user;      // "" = the client's; set = all clients of the route share one pool
  Secret storage_secret;         // kNone = the storage user's secret, or pass-through of its keys
  uint32_t clients_max = 0;      // 0 = no limit
  std::optional<Duration> client_idle_timeout;  // overrides timeouts.client_idle
  PoolConfig pool;                              // its own, or what is written for the shared one
  std::optional<uint32_t> shared_pool;          // into Config::shared_pools
  std::vector<std::pair<std::string, std::string>>
      startup_parameters;  // sent to the server at login
  ReplicationPolicy replication = ReplicationPolicy::kAllow;
};

struct LimitsConfig {
  uint32_t clients_max = 10000;  // client connections over all cores
  // Of each, unless its own entry says otherwise; 0 = no limit.
  uint32_t user_clients_max = 0;      // client connections of a user
  uint32_t database_clients_max = 0;  // client connections to a database, as clients name it
  uint32_t user_connections_max = 0;  // server connections that log in as one user
  uint32_t pools_max = 4096;          // distinct (route, user, database)
  uint32_t startup_packet_bytes_max = 10000;  // PostgreSQL's own limit
  uint32_t auth_packet_bytes_max = 65535;
  uint32_t message_bytes_max = 0x3fffffff;  // PostgreSQL's MaxAllocSize
  uint32_t backlog_bytes_max = 65536;       // owed to one slow peer before its source is paused
  uint32_t expected_replies_max = 65536;    // pipelined requests one server may owe answers for
  uint32_t client_statements_max = 10000;   // prepared statements of one client
  uint32_t client_statement_bytes_max = 16u << 20;  // … and their texts together
  uint32_t buffer_bytes = 16384;                    // one receive buffer
  uint32_t buffers_max = 16384;  // receive buffers per core (memory is touched on use)
  uint32_t mail_slots = 1024;    // messages in flight per ordered pair of cores
};

struct TimeoutsConfig {
  Duration client_login = 60s;        // from accept to ReadyForQuery
  Duration client_idle = 0s;          // between transactions; 0 = never
  Duration half_close = 1s;           // a query whose client sends no more is cancelled after this
  Duration cancel = 10s;              // a forwarded cancel must be finished within this
  Duration shutdown = 30s;            // SIGTERM: after this, remaining clients are ended; 0 = wait
  Duration tcp_keepalive_idle = 60s;  // 0 = off
  Duration tcp_keepalive_interval = 10s;
  uint32_t tcp_keepalive_count = 3;
};

struct LogConfig {
  LogFormat format = LogFormat::kText;
  LogLevel level = LogLevel::kInfo;
  std::string file;  // "" = standard error
  bool connections = true;
  bool disconnections = true;
};

struct ConsoleConfig {
  std::string database = "trireme";      // also answers to "pgbouncer"
  std::vector<std::string> admin_users;  // may run every command
  std::vector<std::string> stats_users;  // may run SHOW
};

struct CoresConfig {
  // Exactly one: automatic (all CPUs of the affinity mask), a count, or an explicit list of CPUs.
  enum class Kind : uint8_t { kAuto, kCount, kList } kind = Kind::kAuto;
  uint32_t count = 0;
  std::vector<uint32_t> cpus;
  bool pin = true;   // pin shard i to its CPU when there are enough
  Duration spin{0};  // poll this long before sleeping; 0 = sleep at once
};

struct SharingConfig {
  Sharing policy = Sharing::kSteal;
  VictimChoice victim = VictimChoice::kMostIdle;
  Duration fairness_window =
      1ms;  // a freed server goes to another core whose waiter is older by more
  Placement placement = Placement::kLeastLoaded;
};

struct Config {
  std::vector<ListenerConfig> listeners;
  CoresConfig cores;
  SharingConfig sharing;
  AuthMethod auth = AuthMethod::kScramSha256;  // for users that do not say otherwise
  uint32_t scram_iterations = 4096;            // for verifiers made from plaintext secrets
  std::vector<StorageConfig> storages;
  std::vector<UserConfig> users;  // sorted by name; "*" matches any user that has no entry
  PoolConfig pool;                // what a route's pool settings start from
  std::vector<SharedPoolConfig> shared_pools;
  std::vector<RouteConfig> routes;  // most specific first after loading
  LimitsConfig limits;
  TimeoutsConfig timeouts;
  LogConfig log;
  ConsoleConfig console;
  std::string run_as_user;  // drop privileges to this user after binding; "" = stay
  std::vector<std::string> ignore_startup_parameters;  // accepted and dropped
  bool application_name_add_host = false;
};

}  // namespace trireme
