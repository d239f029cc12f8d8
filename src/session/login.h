// SPDX-License-Identifier: GPL-3.0-or-later
//
// How a client gets in: the first packets, who is it, may it enter, and what PostgreSQL would tell
// it.
//
//   kStartup ─▶ kProving ◀─▶ kDeriving ─▶ kWelcome ─▶ (Client::kIdle or kConsole)
//      │  SSLRequest, GSSENCRequest: 'N', again        │ waits for the first server of its pool,
//      whose │  CancelRequest: handed on, kCancelling        │ parameters are what the client is
//      told
//
// What must hold: nothing about users, databases or limits is said before the client has proved who
// it is, except to a user that cannot exist; every way out sends exactly one ErrorResponse or none.
//
// Lives from accept to ReadyForQuery, so that an idle client does not carry it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "auth/client_auth.h"
#include "pool/server_user.h"
#include "route/route.h"
#include "session/account.h"
#include "wire/parameter_set.h"
#include "wire/startup.h"

namespace trireme {

class Client;
class Clients;

class Login final : private Waiter, private ServerUser {
 public:
  Login(Client& client, Clients& clients);
  ~Login();

  // Bytes are in the client's inbox.
  void OnBytes();
  void OnKeys(const ScramKeys& keys);
  // timeouts.client_login is over.
  void OnTimeout();
  // The client is going: leaves the queue, if it waits.
  void Cancel();

 private:
  enum class Stage : uint8_t { kStartup, kProving, kDeriving, kWelcome, kCancelling, kDone };

  void OnStartupBytes();
  void OnRefusedEncryption();
  void OnStartup(const StartupMessage& startup);
  bool TakeParameters(const StartupMessage& startup);
  void BeginProof();
  void OnProofBytes();
  void Act(const ClientAuthenticator::Step& step);
  void OnProved();
  void EnterConsole();
  void EnterPool();
  void Admit();
  void SpellWish(const ParameterSet& parameters);
  void SendWelcome(const ParameterSet& parameters);
  void Fail(const PgError& error);

  // Waiter, ServerUser: for the first client of a pool
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
  ParameterSet wish_;
  const RouteConfig* route_ = nullptr;
  const UserConfig* user_config_ = nullptr;
  bool console_ = false;
  std::unique_ptr<ClientAuthenticator> proof_;
  Account* account_ = nullptr;
};

}  // namespace trireme
