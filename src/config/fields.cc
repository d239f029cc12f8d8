// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/fields.h"

#include "config/units.h"

namespace trireme {
namespace {

constexpr int64_t kConnectionsMax = 1'000'000;
constexpr Duration kHour = 3600s;
constexpr Duration kYear = 365 * 24 * kHour;
constexpr Duration kKeepaliveMax = 32767s;  // the kernel's limit, in whole seconds

constexpr Count kPort{.least = 1, .most = 65535};
constexpr Count kClientsMax{.least = 0, .most = kConnectionsMax};
constexpr Count kConnections{.least = 0, .most = kConnectionsMax};
constexpr Count kPoolSize{.least = 1, .most = 100'000};
constexpr Count kReserve{.least = 0, .most = 100'000};
constexpr TimeSpan kAnyTime{.least = 0s, .most = kYear};
constexpr TimeSpan kSomeTime{.least = 1ms, .most = kYear};  // where 0 would make no sense
constexpr Text kText{};
constexpr Text kTextOrEmpty{.empty = Text::Empty::kAllowed};

template <typename Owner, typename T, typename Codec>
std::unique_ptr<const Field<Owner>> Make(T Owner::*member, Codec codec, FieldInfo info) {
  return std::make_unique<MemberField<Owner, T, Codec>>(member, std::move(codec), info);
}

template <typename... Fields>
auto List(Fields... fields) {
  using First = std::tuple_element_t<0, std::tuple<Fields...>>;
  std::vector<First> list;
  list.reserve(sizeof...(fields));
  (list.push_back(std::move(fields)), ...);
  return list;
}

void FinishListener(const JsonValue& json, Reader& reader, ListenerConfig&) {
  const bool tcp = json.Find("host") != nullptr;
  const bool unix_socket = json.Find("unix_socket_dir") != nullptr;
  if (tcp == unix_socket) {
    reader.Error(json.position,
                 absl::StrCat("expected exactly one of \"host\" and \"unix_socket_dir\", found ",
                              tcp ? "both" : "neither"));
  }
  const JsonMember* mode = json.Find("unix_socket_mode");
  if (mode != nullptr && tcp && !unix_socket) {
    reader.Error(mode->position, "\"unix_socket_mode\" has no meaning beside \"host\"; remove it");
  }
}

void FinishStorage(const JsonValue& json, Reader& reader, StorageConfig& storage) {
  if (storage.connect_backoff_min > storage.connect_backoff_max) {
    reader.Error(json.position, absl::StrCat("expected \"connect_backoff_min\" (",
                                             FormatDuration(storage.connect_backoff_min),
                                             ") to be at most \"connect_backoff_max\" (",
                                             FormatDuration(storage.connect_backoff_max), ")"));
  }
}

// A short lifetime alone must not be an error: a jitter that nobody wrote beside it gives way.
void FinishPool(const JsonValue& json, Reader& reader, PoolConfig& pool) {
  if (pool.min_size > pool.size) {
    reader.Error(json.position, absl::StrCat("expected \"min_size\" (", pool.min_size,
                                             ") to be at most \"size\" (", pool.size, ")"));
  }
  if (pool.reset == ResetPolicy::kAlways && pool.reset_query.empty()) {
    reader.Error(json.position, "\"reset\" is \"always\", but \"reset_query\" is empty");
  }
  const bool limited = pool.server_lifetime.count() > 0;
  if (!limited || pool.server_lifetime_jitter <= pool.server_lifetime) return;
  const JsonMember* written = json.Find("server_lifetime_jitter");
  if (written == nullptr) {
    pool.server_lifetime_jitter = pool.server_lifetime / 10;
    return;
  }
  const Reader::Step step(reader, written->key);
  reader.Error(
      written->value.position,
      absl::StrCat("expected at most \"server_lifetime\" (", FormatDuration(pool.server_lifetime),
                   "), found ", FormatDuration(pool.server_lifetime_jitter)));
}

void FinishRoute(const JsonValue& json, Reader& reader, RouteConfig& route) {
  const JsonMember* secret = json.Find("storage_secret");
  if (secret != nullptr && route.storage_secret.kind == Secret::Kind::kScram) {
    const Reader::Step step(reader, "storage_secret");
    reader.Error(
        secret->value.position,
        "a SCRAM verifier cannot log in to a server; put the password here, or leave it out "
        "to pass the client's keys through");
  }
  if (!route.shared_pool) return;
  if (const JsonMember* own = json.Find("pool")) {
    const Reader::Step step(reader, "pool");
    reader.Error(own->position,
                 "a route has a \"pool\" of its own or a \"shared_pool\", not both; write the "
                 "settings under \"shared_pools\"");
  }
  route.pool = reader.config().shared_pools[*route.shared_pool].pool;
}

// {"name": {the settings of a pool}, …}
struct SharedPools {
  using Pools = std::vector<SharedPoolConfig>;
  static constexpr size_t kMost = 4096;

  void Read(const JsonValue& json, Reader& reader, Pools& value) const {
    if (json.kind != JsonValue::Kind::kObject || json.members.size() > kMost) {
      return reader.Expected(absl::StrCat("an object of at most ", kMost, " pools by name"), json);
    }
    value.clear();
    for (const JsonMember& member : json.members) {
      if (member.duplicate) continue;
      const Reader::Step step(reader, member.key);
      if (member.key.empty()) reader.Error(member.position, "expected the name of a pool");
      SharedPoolConfig shared{.name = member.key, .pool = reader.config().pool};
      Object<PoolConfig>().Read(member.value, reader, shared.pool);
      value.push_back(std::move(shared));
    }
  }
  Json Print(const Pools& value, const Config& config) const {
    Json object = Json::object();
    for (const SharedPoolConfig& shared : value) {
      object[shared.name] = Object<PoolConfig>().Print(shared.pool, config);
    }
    return object;
  }
  Json Schema(SchemaBuilder& schemas) const {
    Json schema{{"type", "object"}, {"maxProperties", kMost}};
    schema["propertyNames"]["minLength"] = 1;
    schema["additionalProperties"] = Object<PoolConfig>().Schema(schemas);
    return schema;
  }
  std::string Form() const { return "object of pools by name"; }
  void Rows(const std::string& key, const Pools& value, const Pools&,
            const RowContext& context) const {
    for (const SharedPoolConfig& shared : value) {
      Object<PoolConfig>().Rows(absl::StrCat(key, ".", shared.name), shared.pool,
                                context.config.pool, context);
    }
  }
  std::string Describe(Catalogue& catalogue) const {
    return Object<PoolConfig>().Describe(catalogue);
  }
};

// The name of a shared pool ⇄ its index in Config::shared_pools, which have been read before.
struct SharedPoolName {
  void Read(const JsonValue& json, Reader& reader, std::optional<uint32_t>& index) const {
    const std::vector<SharedPoolConfig>& pools = reader.config().shared_pools;
    std::vector<std::string> names;
    for (const SharedPoolConfig& shared : pools) {
      if (json.kind == JsonValue::Kind::kString && shared.name == json.text) {
        index = static_cast<uint32_t>(names.size());
        return;
      }
      names.push_back(shared.name);
    }
    reader.Expected("the name of a pool under \"shared_pools\"", json,
                    json.kind == JsonValue::Kind::kString ? DidYouMean(json.text, names) : "");
  }
  Json Print(const std::optional<uint32_t>& index, const Config& config) const {
    return index && *index < config.shared_pools.size() ? Json(config.shared_pools[*index].name)
                                                        : Json();
  }
  Json Schema(SchemaBuilder&) const { return {{"type", "string"}, {"minLength", 1}}; }
  std::string Form() const { return "name of a shared pool"; }
};

// The pool of a route, which is not its own to print when it is shared.
class OwnPool final : public Field<RouteConfig> {
 public:
  OwnPool()
      : Field({.key = "pool", .description = "settings that differ from the top-level `pool`"}) {}

  void Read(const JsonValue& json, Reader& reader, RouteConfig& route) const override {
    Object<PoolConfig>().Read(json, reader, route.pool);
  }
  Json Print(const RouteConfig& route, const Config& config) const override {
    return route.shared_pool ? Json() : Object<PoolConfig>().Print(route.pool, config);
  }
  Json Schema(SchemaBuilder& schemas) const override {
    return Object<PoolConfig>().Schema(schemas);
  }
  void Rows(const std::string& key, const RouteConfig& route, const RouteConfig& normal,
            const RowContext& context) const override {
    if (!route.shared_pool) Object<PoolConfig>().Rows(key, route.pool, normal.pool, context);
  }
  OptionView Describe(Catalogue& catalogue) const override {
    OptionView view{.info = info, .form = "object"};
    view.section_path = Object<PoolConfig>().Describe(catalogue);
    return view;
  }
};

// What a route starts from: the pool settings of the whole configuration.
RouteConfig MakeRoute(const Config& config) {
  RouteConfig route;
  route.pool = config.pool;
  return route;
}

// "$schema": editors want it, we do not.
class SchemaLink final : public Field<Config> {
 public:
  SchemaLink() : Field({.key = "$schema", .description = "for editors; ignored"}) {}

  void Read(const JsonValue& json, Reader& reader, Config&) const override {
    std::string ignored;
    kTextOrEmpty.Read(json, reader, ignored);
  }
  Json Print(const Config&, const Config&) const override { return nullptr; }
  Json Schema(SchemaBuilder&) const override { return {{"type", "string"}}; }
  void Rows(const std::string&, const Config&, const Config&, const RowContext&) const override {}
  OptionView Describe(Catalogue&) const override { return {.info = info, .form = "string"}; }
};

}  // namespace

template <>
const Section<Config>& SectionOf() {
  static const auto& section = *new Section<Config>{
      .name = "config",
      .path = "",
      .description = "The configuration of Trireme, a connection pooler for PostgreSQL.",
      .fields = List(
          std::unique_ptr<const Field<Config>>(std::make_unique<SchemaLink>()),
          Make(&Config::listeners,
               ListOf<ListenerConfig, Object<ListenerConfig>>{
                   .what = "listeners", .least = 1, .most = 64},
               {.key = "listen",
                .description = "where clients connect; at least one",
                .presence = Presence::kRequired}),
          Make(&Config::cores, Object<CoresConfig>{},
               {.key = "cores", .description = "how many cores to use, and how"}),
          Make(&Config::sharing, Object<SharingConfig>{},
               {.key = "sharing", .description = "how cores share clients and servers"}),
          Make(&Config::auth, Choice<AuthMethod>{},
               {.key = "auth",
                .description =
                    "how clients prove who they are, for users that do not say otherwise; "
                    "\"md5\" with a stored SCRAM verifier means SCRAM",
                .pgbouncer = "auth_type"}),
          Make(&Config::scram_iterations, Count{.least = 1, .most = 1'000'000},
               {.key = "scram_iterations",
                .description = "for SCRAM verifiers made from secrets in plain text"}),
          Make(&Config::storages,
               NamedObjects<StorageConfig>{.what = "storages", .least = 1, .most = 1024},
               {.key = "storages",
                .description = "the PostgreSQL servers, by a name of your choice; at least one",
                .presence = Presence::kRequired}),
          Make(&Config::users,
               NamedObjects<UserConfig>{.what = "users", .least = 1, .most = 1'000'000},
               {.key = "users",
                .description = "who may log in, by name; \"*\" is any user without an entry",
                .presence = Presence::kRequired}),
          Make(&Config::pool, Object<PoolConfig>{},
               {.key = "pool", .description = "pool settings that routes start from"}),
          Make(&Config::shared_pools, SharedPools{},
               {.key = "shared_pools",
                .description = "pools that several routes share, by a name of your choice; each "
                               "has the settings of a `pool` and starts from it"}),
          Make(&Config::routes,
               ListOf<RouteConfig, Object<RouteConfig>>{
                   .what = "routes", .least = 1, .most = 4096, .make = &MakeRoute},
               {.key = "routes",
                .description = "which clients go to which storage; the most specific one counts, "
                               "whatever the order; at least one",
                .presence = Presence::kRequired}),
          Make(&Config::limits, Object<LimitsConfig>{},
               {.key = "limits", .description = "bounds on memory and connections"}),
          Make(&Config::timeouts, Object<TimeoutsConfig>{},
               {.key = "timeouts", .description = "bounds on waiting"}),
          Make(&Config::log, Object<LogConfig>{}, {.key = "log", .description = "the log"}),
          Make(&Config::console, Object<ConsoleConfig>{},
               {.key = "console", .description = "the virtual database for administrators"}),
          Make(&Config::run_as_user, kTextOrEmpty,
               {.key = "run_as_user",
                .description = "drop privileges to this system user after binding; \"\" = stay",
                .pgbouncer = "user"}),
          Make(&Config::ignore_startup_parameters,
               ListOf<std::string, Text>{.codec = kText, .what = "names", .most = 256},
               {.key = "ignore_startup_parameters",
                .description =
                    "startup parameters to accept and drop instead of refusing the client",
                .pgbouncer = "ignore_startup_parameters"}),
          Make(&Config::application_name_add_host, Flag{},
               {.key = "application_name_add_host",
                .description = "at login, append the client's address to its application_name: "
                               "\"app - 10.0.0.7:51234\", \"app - unix\"",
                .pgbouncer = "application_name_add_host"})),
  };
  return section;
}

template <>
const Section<ListenerConfig>& SectionOf() {
  static const auto& section = *new Section<ListenerConfig>{
      .name = "listener",
      .path = "listen[]",
      .description = "A TCP address or a Unix socket: exactly one of `host` and `unix_socket_dir`.",
      .fields =
          List(Make(&ListenerConfig::host, kText,
                    {.key = "host",
                     .description = "an address or a name; \"*\" = every address",
                     .pgbouncer = "listen_addr",
                     .presence = Presence::kPrintedWhenSet}),
               Make(&ListenerConfig::unix_socket_dir, SocketDirectory{},
                    {.key = "unix_socket_dir",
                     .description = "the socket is <dir>/.s.PGSQL.<port>; \"@name\" = abstract",
                     .pgbouncer = "unix_socket_dir",
                     .presence = Presence::kPrintedWhenSet}),
               Make(&ListenerConfig::port, kPort,
                    {.key = "port",
                     .description = "the port, also in the name of a Unix socket",
                     .pgbouncer = "listen_port"}),
               Make(&ListenerConfig::unix_socket_mode, FileMode{},
                    {.key = "unix_socket_mode",
                     .description = "permissions of the Unix socket",
                     .pgbouncer = "unix_socket_mode",
                     .presence = Presence::kPrintedWhenSet}),
               Make(&ListenerConfig::backlog, Count{.least = 1, .most = 65535},
                    {.key = "backlog",
                     .description = "connections waiting for accept, per core",
                     .pgbouncer = "listen_backlog"})),
      .finish = &FinishListener,
      .schema_rules = Json::parse(
          R"({"oneOf": [{"required": ["host"], "not": {"required": ["unix_socket_mode"]}},
                        {"required": ["unix_socket_dir"]}]})"),
  };
  return section;
}

template <>
const Section<CoresConfig>& SectionOf() {
  static const auto& section = *new Section<CoresConfig>{
      .name = "cores",
      .path = "cores",
      .description =
          "Each core runs one pinned thread with its own io_uring, clients and servers. "
          "`\"cores\": 4` is short for `\"cores\": {\"use\": 4}`.",
      .fields = List(
          std::unique_ptr<const Field<CoresConfig>>(
              std::make_unique<WholeField<CoresConfig, CoreChoice>>(
                  CoreChoice{},
                  FieldInfo{.key = "use",
                            .description =
                                "\"auto\" = every CPU the process may run on; more cores "
                                "than CPUs are allowed, for tests"})),
          Make(&CoresConfig::pin, Flag{},
               {.key = "pin", .description = "bind each thread to its CPU when there are enough"}),
          Make(&CoresConfig::spin, TimeSpan{.least = 0s, .most = 1s},
               {.key = "spin",
                .description =
                    "poll this long before sleeping: less latency for more CPU; 0 = sleep "
                    "at once"})),
      .shorthand = "use",
  };
  return section;
}

template <>
const Section<SharingConfig>& SectionOf() {
  static const auto& section = *new Section<SharingConfig>{
      .name = "sharing",
      .path = "sharing",
      .description = "How cores help each other with idle servers and new clients.",
      .fields = List(
          Make(&SharingConfig::policy, Choice<Sharing>{},
               {.key = "policy",
                .description =
                    "\"steal\": a core without a free server takes an idle one of another "
                    "core; \"isolated\": never; \"shared_mutex\": all cores share each pool behind "
                    "a lock (both for comparison)"}),
          Make(&SharingConfig::victim, Choice<VictimChoice>{},
               {.key = "victim", .description = "which core to ask for an idle server"}),
          Make(&SharingConfig::fairness_window, TimeSpan{.least = 0s, .most = 60s},
               {.key = "fairness_window",
                .description = "a freed server goes to another core whose oldest client has waited "
                               "longer by more than this"}),
          Make(
              &SharingConfig::placement, Choice<Placement>{},
              {.key = "placement",
               .description = "\"least_loaded\": the accepting core hands a new client to the core "
                              "with the fewest; \"kernel\": it keeps it"})),
  };
  return section;
}

template <>
const Section<StorageConfig>& SectionOf() {
  static const auto& section = *new Section<StorageConfig>{
      .name = "storage",
      .path = "storages.<name>",
      .description = "One PostgreSQL service.",
      .fields = List(
          Make(&StorageConfig::hosts,
               ListOf<HostConfig, HostAddress>{.what = "hosts", .least = 1, .most = 16},
               {.key = "hosts",
                .description = "tried in order, the first that accepts serves: \"127.0.0.1:5432\", "
                               "\"[::1]:5432\", \"db.example:5432\", \"/run/postgresql:5432\"",
                .pgbouncer = "host",
                .presence = Presence::kRequired}),
          Make(&StorageConfig::protocol, Choice<ServerProtocol>{},
               {.key = "protocol",
                .description = "the newest version of the protocol to ask servers for: 3.2 has "
                               "longer cancel keys; PostgreSQL before 18 answers with 3.0, some "
                               "poolers refuse"}),
          Make(&StorageConfig::connections_max, Count{.least = 0, .most = kConnectionsMax},
               {.key = "connections_max",
                .description =
                    "server connections of all pools on this storage together; 0 = no limit"}),
          Make(&StorageConfig::database_connections_max, kConnections,
               {.key = "database_connections_max",
                .description =
                    "server connections of all pools in each database there; 0 = no limit",
                .pgbouncer = "max_db_connections"}),
          Make(&StorageConfig::databases,
               NamedObjects<StorageDatabaseConfig>{.what = "databases", .most = 100'000},
               {.key = "databases",
                .description = "the databases there that need another limit, by name"}),
          Make(&StorageConfig::cancels_max, Count{.least = 0, .most = kConnectionsMax},
               {.key = "cancels_max",
                .description = "connections that carry a cancel request at once, divided among "
                               "the cores, one each at least; more wait in line; 0 = no limit"}),
          Make(&StorageConfig::connect_timeout, kSomeTime,
               {.key = "connect_timeout",
                .description = "TCP connect and login together",
                .pgbouncer = "server_connect_timeout"}),
          Make(&StorageConfig::connecting_max, Count{.least = 1, .most = 1024},
               {.key = "connecting_max",
                .description = "connections being opened at once, per pool and core"}),
          Make(&StorageConfig::connect_backoff_min, kSomeTime,
               {.key = "connect_backoff_min",
                .description =
                    "pause after a failed connect; doubles with each failure, with jitter",
                .pgbouncer = "server_login_retry"}),
          Make(&StorageConfig::connect_backoff_max, kSomeTime,
               {.key = "connect_backoff_max", .description = "the longest such pause"})),
      .finish = &FinishStorage,
  };
  return section;
}

template <>
const Section<StorageDatabaseConfig>& SectionOf() {
  static const auto& section = *new Section<StorageDatabaseConfig>{
      .name = "storage_database",
      .path = "storages.<name>.databases.<database>",
      .description = "One database of a storage, where it differs from the others.",
      .fields = List(Make(&StorageDatabaseConfig::connections_max, kConnections,
                          {.key = "connections_max",
                           .description = "server connections of all pools in it, instead of "
                                          "`database_connections_max`; 0 = no limit"})),
  };
  return section;
}

template <>
const Section<UserConfig>& SectionOf() {
  static const auto& section = *new Section<UserConfig>{
      .name = "user",
      .path = "users.<name>",
      .description =
          "A user that may log in. `*` is any user without an entry; users that neither "
          "match cannot log in.",
      .fields = List(
          Make(&UserConfig::secret, SecretSource{},
               {.key = "secret",
                .description = "a password, \"md5…\" or \"SCRAM-SHA-256$…\" as in pg_authid, "
                               "{\"file\": \"path\"} (its first line) or {\"env\": \"NAME\"}",
                .pgbouncer = "password",
                .presence = Presence::kPrintedWhenSet}),
          Make(&UserConfig::auth, Maybe<Choice<AuthMethod>>{},
               {.key = "auth", .description = "instead of the global `auth`"}),
          Make(&UserConfig::pool_mode, Maybe<Choice<PoolMode>>{},
               {.key = "pool_mode", .description = "instead of the route's mode"}),
          Make(&UserConfig::clients_max, Maybe<Count>{kClientsMax},
               {.key = "clients_max",
                .description = "client connections of this user, instead of "
                               "`limits.user_clients_max`; 0 = no limit",
                .pgbouncer = "max_user_client_connections"}),
          Make(&UserConfig::connections_max, Maybe<Count>{kConnections},
               {.key = "connections_max",
                .description = "server connections that log in as this user, over all pools "
                               "and storages, instead of `limits.user_connections_max`; idle "
                               "servers of other pools make room; 0 = no limit",
                .pgbouncer = "max_user_connections"}),
          Make(&UserConfig::pool_size, Maybe<Count>{kPoolSize},
               {.key = "pool_size",
                .description = "`size` of the pools whose servers log in as this user; not of "
                               "shared pools"}),
          Make(&UserConfig::reserve_size, Maybe<Count>{kReserve},
               {.key = "reserve_size", .description = "their `reserve_size`, likewise"}),
          Make(&UserConfig::wait_timeout, Maybe<TimeSpan>{kAnyTime},
               {.key = "wait_timeout",
                .description = "instead of the pool's, for this user's clients"}),
          Make(&UserConfig::query_timeout, Maybe<TimeSpan>{kAnyTime},
               {.key = "query_timeout", .description = "instead of the pool's, likewise"}),
          Make(&UserConfig::transaction_timeout, Maybe<TimeSpan>{kAnyTime},
               {.key = "transaction_timeout", .description = "instead of the pool's, likewise"}),
          Make(&UserConfig::idle_in_transaction_timeout, Maybe<TimeSpan>{kAnyTime},
               {.key = "idle_in_transaction_timeout",
                .description = "instead of the pool's, likewise"}),
          Make(&UserConfig::client_idle_timeout, Maybe<TimeSpan>{kAnyTime},
               {.key = "client_idle_timeout",
                .description = "instead of the route's and of `timeouts.client_idle`"})),
  };
  return section;
}

template <>
const Section<PoolConfig>& SectionOf() {
  static const auto& section = *new Section<PoolConfig>{
      .name = "pool",
      .path = "pool",
      .description =
          "The servers of one (route, storage user, storage database). The top-level `pool` "
          "is what every route starts from; a route's own `pool` overrides single "
          "settings.",
      .fields = List(
          Make(&PoolConfig::mode, Choice<PoolMode>{},
               {.key = "mode",
                .description = "when a server goes back: as the client leaves, after each "
                               "transaction, after each statement",
                .pgbouncer = "pool_mode"}),
          Make(&PoolConfig::size, kPoolSize,
               {.key = "size",
                .description = "server connections, over all cores: a hard cap",
                .pgbouncer = "default_pool_size"}),
          Make(&PoolConfig::min_size, kReserve,
               {.key = "min_size",
                .description =
                    "server connections kept open, used or not: from the start where the route "
                    "tells database and user, else from the first client on",
                .pgbouncer = "min_pool_size"}),
          Make(&PoolConfig::reserve_size, kReserve,
               {.key = "reserve_size",
                .description =
                    "that many servers more while a client has waited for `reserve_timeout`",
                .pgbouncer = "reserve_pool_size"}),
          Make(&PoolConfig::reserve_timeout, kSomeTime,
               {.key = "reserve_timeout",
                .description = "see `reserve_size`; a server of the reserve that is idle for "
                               "as long is closed",
                .pgbouncer = "reserve_pool_timeout"}),
          Make(&PoolConfig::idle_timeout, kAnyTime,
               {.key = "idle_timeout",
                .description = "close a server that is idle for longer; 0 = never",
                .pgbouncer = "server_idle_timeout"}),
          Make(&PoolConfig::server_lifetime, kAnyTime,
               {.key = "server_lifetime",
                .description = "close a server older than this once it is free; 0 = never",
                .pgbouncer = "server_lifetime"}),
          Make(&PoolConfig::server_lifetime_jitter, kAnyTime,
               {.key = "server_lifetime_jitter",
                .description =
                    "each server subtracts a random part of this from its lifetime, so that "
                    "they do not all end at once; without it, a "
                    "lifetime below the default jitter loses up to a tenth"}),
          Make(&PoolConfig::wait_timeout, kAnyTime,
               {.key = "wait_timeout",
                .description = "how long a client waits for a server; 0 = for ever",
                .pgbouncer = "query_wait_timeout"}),
          Make(&PoolConfig::wait_notify, kAnyTime,
               {.key = "wait_notify",
                .description = "a client that has waited for a server so long gets a notice "
                               "that says so; 0 = never",
                .pgbouncer = "query_wait_notify"}),
          Make(&PoolConfig::query_timeout, kAnyTime,
               {.key = "query_timeout",
                .description = "cancel a query that runs for longer (57014); the wait for a "
                               "server does not count; 0 = never",
                .pgbouncer = "query_timeout"}),
          Make(&PoolConfig::transaction_timeout, kAnyTime,
               {.key = "transaction_timeout",
                .description = "end a client whose transaction, or single statement, takes "
                               "longer (25P04); 0 = never",
                .pgbouncer = "transaction_timeout"}),
          Make(&PoolConfig::idle_in_transaction_timeout, kAnyTime,
               {.key = "idle_in_transaction_timeout",
                .description = "end a client that asks nothing for longer while its "
                               "transaction is open (25P03); 0 = never",
                .pgbouncer = "idle_transaction_timeout"}),
          Make(&PoolConfig::connect_query, kTextOrEmpty,
               {.key = "connect_query",
                .description = "run once on each new server before its first client; when it "
                               "fails, so does the connection; what it sets, a reset undoes; "
                               "\"\" = none",
                .pgbouncer = "connect_query"}),
          Make(&PoolConfig::reset, Choice<ResetPolicy>{},
               {.key = "reset",
                .description =
                    "when `reset_query` runs: \"session\": after each client in session mode; "
                    "\"when_dirty\": likewise, but only when one of its statements may have left "
                    "something; \"always\": in transaction and statement mode, too, after each "
                    "transaction",
                .pgbouncer = "server_reset_query_always"}),
          Make(&PoolConfig::reset_query, kTextOrEmpty,
               {.key = "reset_query",
                .description = "what makes a server as new; see `reset`; \"\" = none",
                .pgbouncer = "server_reset_query"}),
          Make(&PoolConfig::reset_timeout, kSomeTime,
               {.key = "reset_timeout",
                .description =
                    "cancel, rollback, reset and check must settle within this, or the server "
                    "is closed"}),
          Make(&PoolConfig::cancel_on_disconnect, Flag{},
               {.key = "cancel_on_disconnect",
                .description = "cancel the query of a client that has gone, and keep the server; "
                               "false: close the server"}),
          Make(&PoolConfig::rollback_on_disconnect, Flag{},
               {.key = "rollback_on_disconnect",
                .description = "roll back the transaction of a client that has gone, and keep the "
                               "server; false: close the server"}),
          Make(&PoolConfig::check_query, kTextOrEmpty,
               {.key = "check_query",
                .description = "run on a server that has been idle for `check_delay` before it is "
                               "lent; \";\" is an empty query; \"\" = no check",
                .pgbouncer = "server_check_query"}),
          Make(&PoolConfig::check_delay, kAnyTime,
               {.key = "check_delay",
                .description = "see `check_query`; 0 = before each use",
                .pgbouncer = "server_check_delay"}),
          Make(&PoolConfig::deferred_begin, Flag{},
               {.key = "deferred_begin",
                .description =
                    "in transaction mode, answer a bare BEGIN at once and send it with the next "
                    "statement: no server is needed before, and no round trip"}),
          Make(&PoolConfig::prepared_statements_max, Count{.least = 0, .most = 1 << 20},
               {.key = "prepared_statements_max",
                .description = "in transaction and statement mode, named prepared statements "
                               "kept on each server, the least recently used one is closed; "
                               "0 = named ones are refused",
                .pgbouncer = "max_prepared_statements"}),
          Make(&PoolConfig::plan_cache, Flag{},
               {.key = "plan_cache",
                .description =
                    "in transaction and statement mode, prepare unnamed statements with "
                    "parameters like named ones, so that servers keep their plans (which may "
                    "become generic ones, see plan_cache_mode of PostgreSQL)"}),
          Make(&PoolConfig::on_session_state, Choice<OnSessionState>{},
               {.key = "on_session_state",
                .description =
                    "in transaction and statement mode, statements that leave in the session "
                    "what cannot move (temporary tables, LISTEN, advisory locks …): keep the "
                    "server while it is there, refuse them, or let them through"})),
      .finish = &FinishPool,
  };
  return section;
}

template <>
const Section<RouteConfig>& SectionOf() {
  static const auto& section = *new Section<RouteConfig>{
      .name = "route",
      .path = "routes[]",
      .description =
          "From what the client asks for to where it is served. Order of precedence: exact "
          "database and user; exact database, any user; any database, exact user; any.",
      .fields = List(
          Make(&RouteConfig::database, kText,
               {.key = "database", .description = "as the client names it; \"*\" = any other"}),
          Make(&RouteConfig::user, kText,
               {.key = "user", .description = "as the client names it; \"*\" = any other"}),
          Make(&RouteConfig::storage_index, StorageName{},
               {.key = "storage",
                .description = "the name of a storage",
                .presence = Presence::kRequired}),
          Make(&RouteConfig::storage_database, kTextOrEmpty,
               {.key = "storage_database",
                .description = "the database there; \"\" = the client's",
                .pgbouncer = "dbname"}),
          Make(&RouteConfig::storage_user, kTextOrEmpty,
               {.key = "storage_user",
                .description = "the user there, one pool for all clients of the route; \"\" = the "
                               "client's"}),
          Make(&RouteConfig::storage_secret, SecretSource{},
               {.key = "storage_secret",
                .description =
                    "logs in there; without it the secret of the user who logs in there does, or "
                    "the client's SCRAM keys are passed through",
                .pgbouncer = "password",
                .presence = Presence::kPrintedWhenSet}),
          Make(&RouteConfig::clients_max, kClientsMax,
               {.key = "clients_max",
                .description = "client connections of this route; 0 = no limit",
                .pgbouncer = "max_db_client_connections"}),
          Make(&RouteConfig::client_idle_timeout, Maybe<TimeSpan>{kAnyTime},
               {.key = "client_idle_timeout", .description = "instead of `timeouts.client_idle`"}),
          std::unique_ptr<const Field<RouteConfig>>(std::make_unique<OwnPool>()),
          Make(&RouteConfig::shared_pool, SharedPoolName{},
               {.key = "shared_pool",
                .description = "instead of a pool of its own: the name of a shared one; its `size` "
                               "is for all its routes together, and those that log in to the same "
                               "storage and database as the same user use the same servers"}),
          Make(&RouteConfig::startup_parameters, Parameters{},
               {.key = "startup_parameters",
                .description = "settings sent to the server at login, by name"}),
          Make(&RouteConfig::replication, Choice<ReplicationPolicy>{},
               {.key = "replication",
                .description =
                    "replication connections (`replication=true` or `database`, as of "
                    "pg_basebackup or a standby): each gets a server connection of its own, "
                    "outside the pool's `size`, or they are refused; PostgreSQL asks for the "
                    "REPLICATION attribute of whoever logs in there"})),
      .finish = &FinishRoute,
  };
  return section;
}

template <>
const Section<LimitsConfig>& SectionOf() {
  static const auto& section = *new Section<LimitsConfig>{
      .name = "limits",
      .path = "limits",
      .description = "Everything is bounded; these are the bounds.",
      .fields = List(
          Make(&LimitsConfig::clients_max, Count{.least = 1, .most = kConnectionsMax},
               {.key = "clients_max",
                .description = "client connections over all cores",
                .pgbouncer = "max_client_conn"}),
          Make(&LimitsConfig::user_clients_max, kClientsMax,
               {.key = "user_clients_max",
                .description = "client connections of each user; 0 = no limit",
                .pgbouncer = "max_user_client_connections"}),
          Make(&LimitsConfig::database_clients_max, kClientsMax,
               {.key = "database_clients_max",
                .description =
                    "client connections to each database, as clients name it; 0 = no limit",
                .pgbouncer = "max_db_client_connections"}),
          Make(&LimitsConfig::user_connections_max, kConnections,
               {.key = "user_connections_max",
                .description = "server connections that log in as one user, of each user, over all "
                               "pools and storages; 0 = no limit",
                .pgbouncer = "max_user_connections"}),
          Make(&LimitsConfig::pools_max, Count{.least = 1, .most = kConnectionsMax},
               {.key = "pools_max",
                .description = "distinct pools: (route, storage user, storage database)"}),
          Make(&LimitsConfig::startup_packet_bytes_max, ByteSize{.least = 1024, .most = 1 << 20},
               {.key = "startup_packet_bytes_max",
                .description = "a client's first packet; the default is PostgreSQL's own limit"}),
          Make(&LimitsConfig::auth_packet_bytes_max, ByteSize{.least = 1024, .most = 1 << 20},
               {.key = "auth_packet_bytes_max", .description = "a packet while logging in"}),
          Make(&LimitsConfig::message_bytes_max, ByteSize{.least = 1 << 16, .most = 0x7fffffff},
               {.key = "message_bytes_max",
                .description = "any other message; the default is what PostgreSQL can allocate",
                .pgbouncer = "max_packet_size"}),
          Make(&LimitsConfig::backlog_bytes_max, ByteSize{.least = 4096, .most = 1 << 30},
               {.key = "backlog_bytes_max",
                .description = "owed to one slow peer before reading from the other side pauses"}),
          Make(&LimitsConfig::expected_replies_max, Count{.least = 16, .most = 1 << 24},
               {.key = "expected_replies_max",
                .description = "requests in a pipeline that one server may owe answers for"}),
          Make(&LimitsConfig::client_statements_max, Count{.least = 1, .most = 1 << 24},
               {.key = "client_statements_max",
                .description = "named prepared statements of one client, where the pool keeps them "
                               "(`prepared_statements_max`)"}),
          Make(&LimitsConfig::client_statement_bytes_max, ByteSize{.least = 4096, .most = 1 << 30},
               {.key = "client_statement_bytes_max",
                .description = "the texts of one client's named prepared statements together"}),
          Make(
              &LimitsConfig::buffer_bytes,
              ByteSize{.least = 4096, .most = 1 << 20, .shape = ByteSize::Shape::kPowerOfTwo},
              {.key = "buffer_bytes", .description = "one receive buffer", .pgbouncer = "pkt_buf"}),
          Make(&LimitsConfig::buffers_max, PowerOfTwo{.least = 16, .most = 32768},
               {.key = "buffers_max",
                .description = "receive buffers per core; memory is used when touched"}),
          Make(
              &LimitsConfig::mail_slots, PowerOfTwo{.least = 16, .most = 65536},
              {.key = "mail_slots", .description = "messages in flight from one core to another"})),
  };
  return section;
}

template <>
const Section<TimeoutsConfig>& SectionOf() {
  constexpr TimeSpan kKeepalive{.least = 0s, .most = kKeepaliveMax, .step = 1s};
  static const auto& section = *new Section<TimeoutsConfig>{
      .name = "timeouts",
      .path = "timeouts",
      .description = "Timeouts that belong to no pool.",
      .fields = List(
          Make(&TimeoutsConfig::client_login, kSomeTime,
               {.key = "client_login",
                .description = "from accept until the client is ready for queries",
                .pgbouncer = "client_login_timeout"}),
          Make(&TimeoutsConfig::client_idle, kAnyTime,
               {.key = "client_idle",
                .description =
                    "a client idle between transactions for longer is ended (57P05); 0 = never",
                .pgbouncer = "client_idle_timeout"}),
          Make(&TimeoutsConfig::half_close, kAnyTime,
               {.key = "half_close",
                .description = "a client that has closed its sending side while a query runs is "
                               "answered within this, else the query is cancelled"}),
          Make(&TimeoutsConfig::cancel, kSomeTime,
               {.key = "cancel",
                .description = "a forwarded cancel request must be finished within this",
                .pgbouncer = "cancel_wait_timeout"}),
          Make(&TimeoutsConfig::shutdown, kAnyTime,
               {.key = "shutdown",
                .description =
                    "after SIGTERM, clients that remain are ended after this; 0 = wait for "
                    "them"}),
          Make(&TimeoutsConfig::tcp_keepalive_idle, kKeepalive,
               {.key = "tcp_keepalive_idle",
                .description = "silence before the first probe; 0 = no keepalive",
                .pgbouncer = "tcp_keepidle"}),
          Make(&TimeoutsConfig::tcp_keepalive_interval,
               TimeSpan{.least = 1s, .most = kKeepaliveMax, .step = 1s},
               {.key = "tcp_keepalive_interval",
                .description = "between probes",
                .pgbouncer = "tcp_keepintvl"}),
          Make(&TimeoutsConfig::tcp_keepalive_count, Count{.least = 1, .most = 127},
               {.key = "tcp_keepalive_count",
                .description = "probes without an answer before the connection is given up",
                .pgbouncer = "tcp_keepcnt"})),
  };
  return section;
}

template <>
const Section<LogConfig>& SectionOf() {
  static const auto& section = *new Section<LogConfig>{
      .name = "log",
      .path = "log",
      .description = "What is logged, how and where.",
      .fields = List(
          Make(&LogConfig::format, Choice<LogFormat>{},
               {.key = "format", .description = "one line an event, either way"}),
          Make(&LogConfig::level, Choice<LogLevel>{},
               {.key = "level", .description = "the least severe that is logged"}),
          Make(&LogConfig::file, kTextOrEmpty,
               {.key = "file", .description = "\"\" = standard error", .pgbouncer = "logfile"}),
          Make(&LogConfig::connections, Flag{},
               {.key = "connections",
                .description = "clients that log in",
                .pgbouncer = "log_connections"}),
          Make(&LogConfig::disconnections, Flag{},
               {.key = "disconnections",
                .description = "clients that leave, and why",
                .pgbouncer = "log_disconnections"})),
  };
  return section;
}

template <>
const Section<ConsoleConfig>& SectionOf() {
  static const auto& section = *new Section<ConsoleConfig>{
      .name = "console",
      .path = "console",
      .description = "Connect to this database with psql to see and steer the pooler.",
      .fields = List(
          Make(&ConsoleConfig::database, kText,
               {.key = "database", .description = "its name; it also answers to \"pgbouncer\""}),
          Make(&ConsoleConfig::admin_users,
               ListOf<std::string, Text>{.codec = kText, .what = "users", .most = 1024},
               {.key = "admin_users",
                .description = "may run every command",
                .pgbouncer = "admin_users"}),
          Make(&ConsoleConfig::stats_users,
               ListOf<std::string, Text>{.codec = kText, .what = "users", .most = 1024},
               {.key = "stats_users", .description = "may run SHOW", .pgbouncer = "stats_users"})),
  };
  return section;
}

}  // namespace trireme
