// SPDX-License-Identifier: GPL-3.0-or-later
//
// A client of the simulated world: connects to Trireme (or to a SimPostgres itself), logs in, runs
// transactions as its habits say, and checks every byte that comes back. What must never happen
// goes to the Verdict; what may happen in a world of faults is counted.
//
//   kOffline ─▶ kConnecting ─▶ kLogin ─▶ kPause ◀─▶ kWorking
//       ▲───────────┴───────────┴──────────┴────────────┘        lost, refused, or said goodbye
//
// Lives as long as the network runs. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/socket_address.h"
#include "test/sim/peer.h"
#include "test/sim/sim_client_habits.h"
#include "test/sim/sim_verdict.h"

namespace trireme::sim {

class CancelSender;
class ClientConnection;

enum class SimPoolMode : uint8_t { kSession, kTransaction, kStatement };

struct ClientSettings {
  uint32_t id = 1;  // its tags are c<id>.q<number>
  SocketAddress address;
  std::string user = "app";
  std::string password = "secret";
  std::string database = "app";
  SimPoolMode mode = SimPoolMode::kTransaction;
  bool keeps_statements = true;  // prepared statements follow the client from server to server
  // What the route gives every server at its login: part of the session the client expects.
  std::vector<std::pair<std::string, std::string>> route_parameters;
  // Errors that this world may give at any time. Errors the client asks for itself (a statement's
  // own, its own cancels, its rudeness) are expected besides.
  std::set<std::string> allowed_sqlstates;
  // The connection may be refused or break off at any time without a word.
  bool connections_may_break = false;
};

struct ClientCounts {
  uint64_t logins = 0;
  uint64_t logins_failed = 0;
  uint64_t transactions = 0;  // ended as they should, with all their replies
  uint64_t statements = 0;    // answered
  uint64_t rows = 0;
  uint64_t copies = 0;
  uint64_t connections_lost = 0;  // without having been rude
  uint64_t vanished = 0;
  uint64_t half_closed = 0;
  uint64_t cancels = 0;
  uint64_t wrong_cancels = 0;
  uint64_t garbage = 0;
  uint64_t receive_pauses = 0;
  uint64_t deaf = 0;
  uint64_t stalled_logins = 0;
  uint64_t notices = 0;
  uint64_t notifications = 0;
  std::map<std::string, uint64_t> errors;  // by SQLSTATE

  ClientCounts& operator+=(const ClientCounts& other);
};

class SimClient final {
 public:
  enum class State : uint8_t { kOffline, kConnecting, kLogin, kPause, kWorking, kStopped };

  // Takes a fork of network.random().
  SimClient(Network& network, ClientSettings settings, ClientHabits habits, Verdict& verdict);
  ~SimClient();
  SimClient(const SimClient&) = delete;
  SimClient& operator=(const SimClient&) = delete;

  void Start();  // connects after a reconnect pause, and again whenever the connection is gone
  void Heal();   // polite from now on; what is stalled or does not read goes on or goes away now
  void Stop();   // says goodbye after the transaction at hand, and stays away: kStopped
  // Whoever reads no more does not hear of any end: now it leaves.
  void EndDeafness();

  State state() const;
  uint32_t id() const { return settings_.id; }
  const ClientSettings& settings() const { return settings_; }
  const ClientCounts& counts() const { return counts_; }
  // Something is owed to it since then: a connection, a login, a reply. Not while it does not read.
  std::optional<Time> waiting_since() const;
  // One line for a story: "c17 working, waits for c17.q42 since 12.345 ms".
  std::string Text() const;
  // What happens to it is also told here, line by line; empty = not.
  void SetStory(std::function<void(const std::string&)> story) { story_ = std::move(story); }

 private:
  friend class ClientConnection;

  void ConnectAfter(Duration pause);
  void Connect();
  ClientConnection* Find(uint64_t id);
  void OnGone(ClientConnection& connection);  // freed when the event is over
  void Cancel(uint32_t process_id, std::string_view key);
  void Tell(const std::string& line);

  Network& network_;
  const ClientSettings settings_;
  ClientHabits habits_;
  Verdict& verdict_;
  Random random_;
  bool stopping_ = false;
  uint64_t plan_ = 0;  // older timers are void
  uint64_t last_query_ = 0;
  uint64_t last_connection_ = 0;
  std::unique_ptr<ClientConnection> connection_;
  std::vector<std::unique_ptr<ClientConnection>> gone_;
  std::vector<std::unique_ptr<CancelSender>> cancels_;
  ClientCounts counts_;
  std::function<void(const std::string&)> story_;
};

}  // namespace trireme::sim
