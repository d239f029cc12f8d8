// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/check.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "config/names.h"
#include "config/nearest.h"

namespace trireme {
namespace {

constexpr std::string_view kAny = "*";
constexpr std::string_view kPgbouncerConsole = "pgbouncer";

class Checker {
 public:
  Checker(const JsonValue& root, Reader& reader)
      : root_(root), reader_(reader), config_(reader.config()) {
    for (const UserConfig& user : config_.users) user_names_.insert(user.name);
  }

  void Run() {
    CheckListenersDiffer();
    CheckUsersCanLogIn();
    CheckRoutesDiffer();
    CheckRoutesCanMatch();
    CheckStoragesUsed();
    CheckSharedPools();
    CheckConsoleUsers("admin_users", config_.console.admin_users);
    CheckConsoleUsers("stats_users", config_.console.stats_users);
  }

 private:
  void CheckListenersDiffer() {
    std::map<std::string, size_t> first_of;
    for (size_t i = 0; i < config_.listeners.size(); ++i) {
      const ListenerConfig& listener = config_.listeners[i];
      if (listener.host.empty() && listener.unix_socket_dir.empty()) continue;  // reported
      const std::string place =
          listener.host.empty()
              ? absl::StrCat(listener.unix_socket_dir, "/.s.PGSQL.", listener.port)
              : absl::StrCat(listener.host, " port ", listener.port);
      const auto [first, is_new] = first_of.try_emplace(place, i);
      if (is_new) continue;
      Error(absl::StrCat("/listen/", i), absl::StrCat("listens on ", place, " as /listen/",
                                                      first->second, " does; remove one of them"));
    }
  }

  // In step with the text: a search for each of a hundred thousand users would take minutes.
  void CheckUsersCanLogIn() {
    const JsonMember* users = root_.Find("users");
    if (users == nullptr) return;
    auto user = config_.users.begin();
    for (const JsonMember& member : users->value.members) {
      if (user == config_.users.end()) return;
      if (member.key != user->name || member.duplicate) continue;
      if (member.value.kind == JsonValue::Kind::kObject) CheckUserCanLogIn(*user, member.value);
      ++user;
    }
  }

  void CheckUserCanLogIn(const UserConfig& user, const JsonValue& entry) {
    const AuthMethod method = user.auth.value_or(config_.auth);
    const bool has_password = method == AuthMethod::kPassword || method == AuthMethod::kMd5 ||
                              method == AuthMethod::kScramSha256;
    const std::string pointer = absl::StrCat("/users/", PointerStep(user.name));
    if (has_password && user.secret.kind == Secret::Kind::kNone) {
      reader_.ErrorAt(
          pointer, entry.position,
          absl::StrCat("user \"", user.name, "\" needs a \"secret\": nobody can pass \"",
                       ToAbsl(NameOf(method)), "\" without one"));
    }
    const JsonMember* secret = entry.Find("secret");
    if (secret != nullptr && method == AuthMethod::kScramSha256 &&
        user.secret.kind == Secret::Kind::kMd5) {
      reader_.ErrorAt(
          pointer + "/secret", secret->value.position,
          "\"scram-sha-256\" cannot be checked against an md5 secret; store the password or "
          "a SCRAM verifier, or set \"auth\": \"md5\"");
    }
  }

  void CheckRoutesDiffer() {
    std::map<std::pair<std::string_view, std::string_view>, size_t> first_of;
    for (size_t i = 0; i < config_.routes.size(); ++i) {
      const RouteConfig& route = config_.routes[i];
      const auto [first, is_new] = first_of.try_emplace({route.database, route.user}, i);
      if (is_new) continue;
      Error(
          absl::StrCat("/routes/", i),
          absl::StrCat("database \"", route.database, "\" and user \"", route.user,
                       "\" are already routed by /routes/", first->second, "; remove one of them"));
    }
  }

  void CheckRoutesCanMatch() {
    std::map<std::string_view, std::set<std::string_view>> users_of_database;
    for (const RouteConfig& route : config_.routes) {
      users_of_database[route.database].insert(route.user);
    }
    const bool any_user = user_names_.contains(kAny);
    for (size_t i = 0; i < config_.routes.size(); ++i) {
      const RouteConfig& route = config_.routes[i];
      const std::string pointer = absl::StrCat("/routes/", i);
      WarnOfConsoleName(pointer, route);
      if (any_user || user_names_.empty()) continue;
      if (route.user != kAny) {
        if (!user_names_.contains(route.user)) {
          Error(pointer + "/user", absl::StrCat("this route can never match: there is no user \"",
                                                route.user, "\"", NearestUser(route.user)));
        }
        continue;
      }
      const std::set<std::string_view>& routed = users_of_database[route.database];
      const bool all_have_their_own =
          std::all_of(user_names_.begin(), user_names_.end(),
                      [&](const std::string& name) { return routed.contains(name); });
      if (all_have_their_own) {
        Error(pointer, absl::StrCat("this route can never match: every user has a route of its own "
                                    "for database \"",
                                    route.database, "\""));
      }
    }
  }

  void WarnOfConsoleName(const std::string& pointer, const RouteConfig& route) {
    if (route.database != config_.console.database && route.database != kPgbouncerConsole) return;
    Warning(
        pointer + "/database",
        absl::StrCat("database \"", route.database,
                     "\" is the console's name, so this route is never used; rename the console "
                     "(\"console.database\") or the route"));
  }

  void CheckStoragesUsed() {
    std::set<uint32_t> used;
    for (size_t i = 0; i < config_.routes.size(); ++i) {
      const RouteConfig& route = config_.routes[i];
      used.insert(route.storage_index);
      if (route.storage_index >= config_.storages.size()) continue;  // no storage at all: reported
      const StorageConfig& storage = config_.storages[route.storage_index];
      const uint32_t most = route.pool.size + route.pool.reserve_size;
      if (storage.connections_max == 0 || most <= storage.connections_max) continue;
      Warning(absl::StrCat("/routes/", i),
              absl::StrCat("its pools may have ", most, " servers, but storage \"", storage.name,
                           "\" allows ", storage.connections_max, " (\"connections_max\")"));
    }
    for (uint32_t i = 0; i < config_.storages.size(); ++i) {
      if (used.contains(i) || config_.routes.empty()) continue;
      Warning(absl::StrCat("/storages/", PointerStep(config_.storages[i].name)),
              "no route leads to this storage");
    }
  }

  // Routes that share servers must agree on how these log in.
  void CheckSharedPools() {
    std::map<std::pair<uint32_t, uint32_t>, size_t> first_of;  // by pool and storage
    std::set<uint32_t> used;
    for (size_t i = 0; i < config_.routes.size(); ++i) {
      const RouteConfig& route = config_.routes[i];
      if (!route.shared_pool) continue;
      used.insert(*route.shared_pool);
      const auto added = first_of.try_emplace({*route.shared_pool, route.storage_index}, i);
      if (added.second) continue;
      const size_t first = added.first->second;
      const RouteConfig& other = config_.routes[first];
      const auto must_agree = [&](std::string_view key) {
        Error(absl::StrCat("/routes/", i),
              absl::StrCat("shares pool \"", config_.shared_pools[*route.shared_pool].name,
                           "\" with /routes/", first, ", so \"", ToAbsl(key),
                           "\" must be the same there and here"));
      };
      if (route.startup_parameters != other.startup_parameters) must_agree("startup_parameters");
      if (route.storage_secret.text != other.storage_secret.text) must_agree("storage_secret");
    }
    for (uint32_t i = 0; i < config_.shared_pools.size(); ++i) {
      if (used.contains(i) || config_.routes.empty()) continue;
      Warning(absl::StrCat("/shared_pools/", PointerStep(config_.shared_pools[i].name)),
              "no route uses this pool");
    }
  }

  void CheckConsoleUsers(std::string_view key, const std::vector<std::string>& names) {
    if (user_names_.contains(kAny) || user_names_.empty()) return;
    for (size_t i = 0; i < names.size(); ++i) {
      if (user_names_.contains(names[i])) continue;
      Error(absl::StrCat("/console/", ToAbsl(key), "/", i),
            absl::StrCat("there is no user \"", names[i], "\"", NearestUser(names[i])));
    }
  }

  std::string NearestUser(std::string_view name) const {
    constexpr size_t kUsersMax = 2000;  // advice must not take longer than the check
    if (user_names_.size() > kUsersMax) return "";
    return DidYouMean(name, std::vector<std::string>(user_names_.begin(), user_names_.end()));
  }

  void Error(const std::string& pointer, std::string message) {
    reader_.ErrorAt(pointer, Locate(root_, pointer).position, std::move(message));
  }
  void Warning(const std::string& pointer, std::string message) {
    reader_.WarningAt(pointer, Locate(root_, pointer).position, std::move(message));
  }

  const JsonValue& root_;
  Reader& reader_;
  const Config& config_;
  std::set<std::string, std::less<>> user_names_;
};

}  // namespace

void CheckConfig(const JsonValue& root, Reader& reader) { Checker(root, reader).Run(); }

}  // namespace trireme
