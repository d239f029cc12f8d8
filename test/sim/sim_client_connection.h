// SPDX-License-Identifier: GPL-3.0-or-later
//
// One connection of a SimClient: the login, then one script after the other, and all that is rude.
//
//   kConnecting ─▶ kEncryption ─▶ kLogin ─▶ kResting ◀─▶ kWorking ─▶ kLeaving ─▶ kGone
//
// Once it has been rude (garbage, a half-close, half a login) it waits only for its end. Owned by
// its client.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "auth/scram_key_cache.h"
#include "auth/seeded_secret_random.h"
#include "auth/server_auth.h"
#include "test/sim/peer.h"
#include "test/sim/sim_client.h"
#include "test/sim/sim_conversation.h"
#include "test/sim/sim_inbox.h"
#include "test/sim/sim_request.h"

namespace trireme::sim {

class ClientConnection final : public PeerHandler {
 public:
  enum class State : uint8_t {
    kConnecting,
    kEncryption,
    kLogin,
    kResting,
    kWorking,
    kLeaving,
    kGone
  };

  ClientConnection(SimClient& client, uint64_t id);
  ~ClientConnection() override;

  void Begin();
  void Heal();
  void Stop();
  void EndDeafness();

  uint64_t id() const { return id_; }
  State state() const { return state_; }
  std::optional<Time> waiting_since() const;
  std::string Text() const;

 private:
  // PeerHandler
  void OnConnect(PeerSocket& socket) override;
  void OnReceive(PeerSocket& socket, Bytes bytes) override;
  void OnEnd(PeerSocket& socket, int error) override;

  // Login.
  void SendStartup();
  std::vector<std::pair<std::string, std::string>> Wishes();
  void OnLoginMessage(char type, Bytes body);
  void OnAuthentication(Bytes body);
  void OnLoggedIn();
  void LoginFailed(const PgError& error);

  // Work.
  void Rest();
  Duration UntilBeat() const;
  void BeginScript();
  void NextStep();
  void SendStep();
  void AfterMessages();
  void EndScript();
  void Goodbye();

  // Rudeness.
  void Vanish(const SimStep& step);
  void SendGarbage();
  void StopReading();
  void ReadOn();
  void GoDeaf();
  void SendCancel();
  void BeginLeaving(Duration patience);
  void Leave();
  void LeaveAbruptly();

  void Violate(Rule rule, const std::string& text);
  void After(Duration time, void (ClientConnection::*next)());
  Random& random();
  const ClientHabits& habits() const;
  bool Chance(uint32_t permille) { return Happens(random(), permille); }

  SimClient& client_;
  const uint64_t id_;
  PeerSocket* socket_ = nullptr;
  State state_ = State::kConnecting;
  Time since_{};
  uint64_t timer_ = 0;  // older timers are void
  SimInbox inbox_;
  bool rude_ = false;  // it may be thrown out for what it did
  bool not_reading_ = false;
  bool deaf_ = false;  // and never will

  // Login.
  bool wrong_password_ = false;
  bool asked_password_ = false;
  bool authenticated_ = false;
  SeededSecretRandom secrets_;
  ScramKeyCache keys_;
  SaltSecret salts_;
  std::unique_ptr<ServerAuthenticator> proof_;
  std::vector<std::pair<std::string, std::string>> wishes_;
  std::map<std::string, std::string> told_;
  uint32_t process_id_ = 0;
  std::string key_;

  // Work.
  std::unique_ptr<Conversation> conversation_;
  SimScript script_;
  size_t step_ = 0;
  bool waiting_to_send_ = false;  // thinks before the next step
  size_t vanish_step_ = SIZE_MAX;
  bool cancels_ = false;
  uint32_t scripts_left_ = 0;
  uint64_t scripts_begun_ = 0;
};

}  // namespace trireme::sim
