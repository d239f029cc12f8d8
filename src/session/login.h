// SPDX-License-Identifier: GPL-3.0-or-later
//
// How a client gets in: the first packets, who is it, may it enter, and what PostgreSQL would tell
// it.
//
//   kStartup ─▶ kProving ◀─▶ kDeriving ─▶ kWelcome ─▶ kTrying ─▶ Client::kIdle or kConsole
//                                          │
//                                          └─▶ Client::kLinked (replication)
//
//   kStartup   SSLRequest, GSSENCRequest: 'N', again; CancelRequest: handed on, kCancelling
//   kWelcome   waits for a server: the first of its pool, which says what the client is to be told,
//              or one to try what the client wants and no server of the pool has been asked for yet
//   kTrying    that server sets what the client wants. What it refuses ends the login, in its own
//              words; what it takes it also spells, and the next client with the same wish need not
//              wait (session/tried_values.h)
//
// Both are skipped when nothing has to be asked, as is usual.
//
// A known startup packet (session/known_startups.h) needs no parsing, and its client is told what
// the one before was told, as long as the servers of the pool report the same.
//
// What must hold: nothing about users, databases or limits is said before the client has proved who
// it is, except to a user that cannot exist; every way out sends exactly one ErrorResponse or none.
//
// Lives from the first bytes to ReadyForQuery, so that neither a client that has yet to speak nor
// an idle one carries it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/client_auth.h"
#include "pool/pool_settings.h"
#include "pool/server_user.h"
#include "route/route.h"
#include "session/account.h"
#include "session/known_startups.h"
#include "wire/parameter_set.h"
#include "wire/startup.h"

namespace trireme {

class Client;
class Clients;

class Login final : private Waiter, private ServerUser {
 public:
  Login(Client& client, Clients& clients);
  ~Login();

  // A client whose first bytes are a known startup packet, of whom no proof is asked and about whom
  // no server, is in when this returns, or refused, and never has a Login. False: it needs one.
  static bool EnterAtOnce(Client& client, Clients& clients, Bytes packet);

  // Bytes are in the client's inbox.
  void OnBytes();
  void OnKeys(const ScramKeys& keys);
  // timeouts.client_login is over.
  void OnTimeout();
  // The client is going: leaves the queue, if it waits, and lets go of the server, if it has one.
  void Cancel();

 private:
  enum class Stage : uint8_t {
    kStartup,
    kProving,
    kDeriving,
    kWelcome,
    kTrying,
    kCancelling,
    kDone
  };

  void OnStartupBytes();
  void OnRefusedEncryption();
  bool OnKnownStartup(Bytes packet);
  void OnStartup(const StartupMessage& startup, Bytes packet);
  bool TakeParameters(const StartupMessage& startup);
  void TakeParametersOfKnown();
  void TakeReplication(const StartupMessage& startup);
  void BeginProof();
  void OnProofBytes();
  void Act(const ClientAuthenticator::Step& step);
  void OnProved();
  void EnterConsole();
  void EnterPool();
  void EnterPoolOf(const KnownStartup& known);
  void PassKeysOn();
  void Greet();
  void WaitForServer(ServerUser& lent_to);
  void AddHost();
  void KeepServer(Server& server);
  void SpellWish(const ParameterSet& reported);
  void BeginTrial();
  void ReadTrial();
  void EndTrial();
  void FailTrial();
  void NoteTried(Server& server);
  void LetGoOfServer();
  std::string& WriteTold() const;
  void SendWelcome();
  void SendWelcome(std::string& told, WishRef wish);
  static void Welcome(Client& client, Clients& clients, uint16_t minor, std::string& told,
                      WishRef wish);
  void Fail(const PgError& error);

  // Waiter, ServerUser: for who has to ask a server
  void OnServer(Server& server) override;
  void OnRefused(const PgError& error) override;
  void OnServerReceive(Slice&& slice) override;
  void OnServerEnd(int error) override;
  void OnServerDrained() override {}

  Client& client_;
  Clients& clients_;
  Stage stage_ = Stage::kStartup;
  uint16_t minor_ = 0;  // protocol 3.minor
  uint8_t encryption_requests_ = 0;
  std::string database_;
  std::string user_;
  ParameterSet wish_;                 // in the server's spelling, once that is known
  std::vector<std::string> untried_;  // names in it that a server must be asked for
  ParameterSet told_;                 // what the client is to be told
  Server* server_ = nullptr;          // kTrying
  std::optional<PgError> refusal_;    // it has refused; the end of its answer is still to come
  std::string packet_;   // the startup packet, when it is known or may become so; else ""
  bool parsed_ = false;  // … and wish_ says what is in it
  ReplicationRequest replication_{.kind = Replication::kNone};
  const RouteConfig* route_ = nullptr;
  const UserConfig* user_config_ = nullptr;
  bool console_ = false;
  std::unique_ptr<ClientAuthenticator> proof_;
  Account* account_ = nullptr;
  PoolShard* pool_ = nullptr;  // where it waits, or has its server from
};

}  // namespace trireme
