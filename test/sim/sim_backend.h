// SPDX-License-Identifier: GPL-3.0-or-later
//
// One connection of a SimPostgres, from accept to end: startup packets, login, then one message
// after the other, each in its time.
//
//   kStartup ─▶ kProof ─▶ kReady ◀─▶ kRunning (a statement takes its time) ─▶ kEnded
//                           ▲  └───▶ kCopyIn ┘
//
// As in PostgreSQL, a backend that runs something does not notice that its client has gone; what it
// writes is held until Sync, Flush, the end of a Query, or 8 KB; it does not read on while what it
// wrote is not taken. Owned by its SimPostgres.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/client_auth.h"
#include "test/sim/peer.h"
#include "test/sim/sim_inbox.h"
#include "test/sim/sim_session.h"
#include "wire/messages.h"
#include "wire/writer.h"

namespace trireme::sim {

class SimPostgres;
struct PostgresHabits;

class SimBackend final : public PeerHandler {
 public:
  enum class State : uint8_t { kStartup, kProof, kReady, kRunning, kCopyIn, kEnded };

  SimBackend(SimPostgres& cluster, PeerSocket& socket, uint64_t id);
  ~SimBackend() override;

  uint64_t id() const { return id_; }  // of the connection, in order of accept
  State state() const { return state_; }
  uint32_t process_id() const { return process_id_; }
  const std::string& user() const { return user_; }
  const std::string& database() const { return database_; }
  // Since the startup packet until the other side closed or reset it.
  bool connected() const { return connected_; }
  // It reads no more for the moment, and would not see the end of its connection.
  bool paused() const { return paused_; }
  bool logged_in() const { return session_ != nullptr; }
  // The following are for backends that are logged in.
  TransactionStatus status() const { return session_->status(); }
  std::string Digest() const { return session_->Digest(); }  // see SimSession
  bool clean() const { return session_->clean(); }
  uint64_t sequence() const { return sequence_; }
  const std::string& running_tag() const { return running_tag_; }  // "" = none
  // One line for a story.
  std::string Text() const;

 private:
  friend class SimPostgres;

  // PeerHandler
  void OnReceive(PeerSocket& socket, Bytes bytes) override;
  void OnEnd(PeerSocket& socket, int error) override;

  // sim_backend_login.cc
  void OnStartupBytes();
  void OnStartup(Bytes packet);
  void Act(const ClientAuthenticator::Step& step);
  void OnProof(Bytes body);
  void Welcome();

  // sim_backend.cc: life
  Network& network() const;
  Random& random() const;
  const PostgresHabits& habits() const;
  void After(Duration time, void (SimBackend::*next)());
  void Open();
  void Step();  // all that can be done now
  bool StepOnce();
  void Flush();
  void Die();  // abrupt or polite
  void DieNow();
  void Fatal(std::string_view sqlstate, std::string_view message);
  void End();
  void Talk();
  void Cancel();

  // sim_backend_query.cc: messages
  void OnMessage(char type, Bytes body);
  void OnCopyInMessage(char type, Bytes body);
  void OnQuery(std::string_view sql);
  void OnParse(Bytes body);
  void OnBind(Bytes body);
  void OnDescribe(Bytes body);
  void OnExecute(Bytes body);
  void OnClose(Bytes body);
  void OnFunctionCall(Bytes body);
  void OnSync();
  void OnCopyData(Bytes data);
  void OnCopyDone();
  void Error(const PgError& error);
  void Error(std::string_view sqlstate, std::string_view message);
  void Ready();
  void DieResting();
  void ReportParameters();
  void RowDescription();

  // sim_backend_run.cc: the statement at hand
  SimStatement* statement();
  void BeginStatement();
  void RunStatement();
  void SendNotices();
  void BeginCopyIn();
  void SendRows();
  void SendRow(const SimStatement& statement, uint32_t row);
  void SendAnswer(std::string_view items);
  void FinishStatement();
  void CompleteStatement(std::string text);
  bool CancelTaken();

  SimPostgres& cluster_;
  PeerSocket* socket_;
  const uint64_t id_;
  State state_ = State::kStartup;
  bool connected_ = false;
  bool startup_seen_ = false;
  bool mute_ = false;       // never answers its login
  bool peer_done_ = false;  // the other side sends no more
  bool gone_ = false;       // the connection broke
  bool paused_ = false;
  bool stepping_ = false;
  bool open_ = false;  // it looks at what comes
  bool cancelled_ = false;
  bool interruptible_ = false;  // it sleeps or waits for COPY data: a cancel works at once
  bool standby_ = false;        // as reported
  uint64_t timer_ = 0;          // older timers are void
  SimInbox inbox_;
  std::string out_;

  uint32_t process_id_;
  uint32_t secret_;
  std::string user_;
  std::string database_;
  std::vector<std::pair<std::string, std::string>> wishes_;
  std::unique_ptr<ClientAuthenticator> proof_;
  std::unique_ptr<SimSession> session_;
  ParameterSet reported_;
  TransactionStatus told_status_ = TransactionStatus::kIdle;

  // The statement at hand.
  bool extended_ = false;                // the message at hand is of the extended protocol
  bool skipping_ = false;                // until Sync
  std::deque<SimStatement> statements_;  // of the Query, the one at hand in front
  std::string portal_;                   // of the Execute at hand
  uint32_t row_limit_ = 0;               // 0 = none
  uint32_t rows_sent_ = 0;               // of this Execute or statement
  uint32_t next_row_ = 0;
  std::vector<std::string> notifications_;  // when the transaction ends
  std::string running_tag_;
  uint64_t sequence_ = 0;
  std::string_view command_;
  uint64_t copy_messages_ = 0;
  uint64_t copy_digest_ = 0;
};

}  // namespace trireme::sim
