// SPDX-License-Identifier: GPL-3.0-or-later
//
// A client of the console: frames its messages, hands them to admin/console.h, and fetches from all
// cores what an answer needs. While cores are being asked the client's further messages wait in its
// inbox.
#pragma once

#include <string>
#include <string_view>

#include "admin/console.h"
#include "base/slab.h"

namespace trireme {

class Client;
class Clients;

// Asks all cores; shard implements it.
class ConsoleHost {
 public:
  // Later: Clients::OnSnapshot(requester, …) on the same core, once for each call.
  virtual void Gather(SnapshotParts parts, Handle requester) = 0;
  virtual std::string_view version() const = 0;

 protected:
  ~ConsoleHost() = default;
};

class ConsoleSession {
 public:
  ConsoleSession(Client& client, Clients& clients, ConsoleRole role, std::string_view user);

  // The rest of the login, up to ReadyForQuery.
  void Begin();
  // Bytes are in the client's inbox.
  void OnBytes();
  void OnSnapshot(const FleetSnapshot& fleet);
  // Shutdown: ends the client when no answer is being made, else OnSnapshot does.
  void EndIfDraining();

  const std::string& user() const { return user_; }

 private:
  void Act(const Console::Step& step);

  static constexpr uint32_t kMessageBytesMax = 65536;

  Client& client_;
  Clients& clients_;
  const std::string user_;
  Console console_;
  std::string answer_;
  bool gathering_ = false;
};

}  // namespace trireme
