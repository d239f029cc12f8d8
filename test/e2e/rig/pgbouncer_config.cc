// SPDX-License-Identifier: GPL-3.0-or-later
//
// Our configuration said in PgBouncer's terms, as far as it has the notion: the control group of
// the suite.
#include <sstream>

#include "trireme.h"

namespace trireme::e2e {
namespace {

// "1500ms" → "1.5"; PgBouncer counts in seconds.
std::string Seconds(const std::string& duration) {
  size_t digits = 0;
  const double value = std::stod(duration, &digits);
  const std::string unit = duration.substr(digits);
  const double scale = unit == "ms" ? 0.001 : unit == "m" ? 60 : unit == "h" ? 3600 : 1;
  std::ostringstream text;
  text << value * scale;
  return text.str();
}

void Setting(std::ostream& out, const Json& from, const char* name, const char* theirs) {
  if (!from.contains(name)) return;
  out << theirs << " = " << Seconds(from[name].get<std::string>()) << "\n";
}

void WriteListeners(std::ostream& out, const Json& listeners) {
  std::string addresses;
  std::string socket_dir;
  for (const Json& listener : listeners) {
    if (listener.contains("host")) {
      addresses += (addresses.empty() ? "" : ", ") + listener["host"].get<std::string>();
    } else {
      socket_dir = listener["unix_socket_dir"];
    }
    out << "listen_port = " << listener["port"] << "\n";
  }
  out << "listen_addr = " << addresses << "\nunix_socket_dir = " << socket_dir << "\n";
}

std::string JoinUsers(const Json& names) {
  std::string text;
  for (const Json& name : names) text += (text.empty() ? "" : ", ") + name.get<std::string>();
  return text;
}

}  // namespace

std::string WritePgbouncerConfig(const Json& config, const std::string& dir) {
  std::ostringstream ini;
  const Json& route = config["routes"][0];
  const Json& pool = route["pool"];
  const std::string address = config["storages"]["main"]["hosts"][0];
  const size_t colon = address.rfind(':');
  ini << "[databases]\n* = host=" << address.substr(0, colon)
      << " port=" << address.substr(colon + 1) << "\n[pgbouncer]\n";
  WriteListeners(ini, config["listen"]);
  const std::string auth = config["auth"];
  ini << "auth_type = " << (auth == "password" ? "plain" : auth) << "\nauth_file = " << dir
      << "/userlist.txt\nadmin_users = " << JoinUsers(config["console"]["admin_users"])
      << "\nstats_users = " << JoinUsers(config["console"]["stats_users"])
      << "\npool_mode = " << pool["mode"].get<std::string>()
      << "\ndefault_pool_size = " << pool["size"] << "\nmax_client_conn = 8000\n"
      << "ignore_startup_parameters = extra_float_digits, options\n";
  Setting(ini, pool, "wait_timeout", "query_wait_timeout");
  Setting(ini, pool, "idle_timeout", "server_idle_timeout");
  Setting(ini, pool, "server_lifetime", "server_lifetime");
  Setting(ini, config["timeouts"], "client_login", "client_login_timeout");
  std::ostringstream users;
  for (const auto& [name, user] : config["users"].items())
    users << '"' << name << "\" \"" << user["secret"].get<std::string>() << "\"\n";
  WriteFile(dir + "/userlist.txt", users.str());
  WriteFile(dir + "/pgbouncer.ini", ini.str());
  return dir + "/pgbouncer.ini";
}

}  // namespace trireme::e2e
