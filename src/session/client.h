// SPDX-License-Identifier: GPL-3.0-or-later
//
// One client connection, from accept to close.
//
//   kLogin ─▶ kIdle ◀─────────────┐ returned (transaction over, nothing owed)
//     │         │ a request       │
//     │         ▼                 │
//     │       kWaiting ─▶ kLinked ┘        session mode stays kLinked until the end
//     │         │            │
//     └─▶ kConsole ──┬───────┴──▶ kClosing ─▶ kClosed (freed at the end of the turn)
//
// A replicating client goes from kLogin to kLinked at once, with a server of its own that it keeps
// to the end.
//
// What must hold: a server is held exactly in kLinked; the waiter is queued exactly in kWaiting;
// bytes the client sent are in the inbox, on the server's stream, or gone on, each once.
//
// client.cc is the life cycle, relay.cc the passage of requests and replies, prepared.cc what is
// special about prepared statements, client_sql_statements.cc about those that SQL executes and
// deallocates, client_traces.cc about what statements leave in a session,
// client_resets.cc about RESET, client_begin.cc about a BEGIN that waits, login.cc how a client
// gets in, client_timers.cc what happens to one that takes too long. An idle client is this object
// and nothing else: no buffer, no names, no timer but one.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "admin/console.h"
#include "base/timer_wheel.h"
#include "net/inbox.h"
#include "net/stream.h"
#include "pool/server.h"
#include "pool/server_user.h"
#include "session/account.h"
#include "session/client_deadlines.h"
#include "session/deferred_begin.h"
#include "session/requests.h"
#include "session/statements.h"
#include "session/traces.h"
#include "session/wishes.h"
#include "wire/errors.h"

namespace trireme {

class Clients;
class ConsoleSession;
class Login;

class Client final : private StreamOwner, private Waiter, private ServerUser {
 public:
  enum class State : uint8_t { kLogin, kConsole, kIdle, kWaiting, kLinked, kClosing, kClosed };

  // `fd` was accepted on the listener with that index.
  struct Arrival {
    int fd;
    uint32_t listener_index;
  };
  Client(Clients& clients, uint64_t id);
  ~Client();

  void Begin(Arrival arrival);

  State state() const { return state_; }
  uint64_t id() const { return id_; }  // for log lines and the console; says nothing about the key
  const Account* account() const { return account_; }  // nullptr: it has not proved who it is
  // It has asked for a replication connection, and been admitted.
  bool replicates() const {
    return account_ != nullptr && account_->replication != Replication::kNone;
  }
  const Server* server() const { return server_; }
  const Stream& stream() const { return stream_; }
  uint32_t waiting_bytes() const { return inbox_.size(); }  // received, and not passed on yet
  const WishRef& wish() const { return wish_; }
  Pins pins() const { return kept_traces() != nullptr ? kept_traces()->pins : Pins{0}; }
  Time connected_at() const { return connected_at_; }
  Time request_since() const { return request_since_; }
  bool console() const { return state_ == State::kConsole; }
  std::string_view console_user() const;
  uint32_t listener_index() const { return listener_index_; }

  // A cancel request that names this client; checks the secret in constant time.
  bool ProvesKey(Bytes secret) const;
  // Cancels what the client waits for or runs; `observer` (may be nullptr) hears when it is
  // delivered, at once when there is nothing to deliver. True: it will hear.
  bool CancelRequest(CancelObserver* observer);

  // Shutdown: ends now when the client is between transactions, else when its transaction is over.
  void Drain();
  // Ends with this error, whatever it does; without waiting for a client that does not read.
  void EndNow(const PgError& error);

 private:
  friend class Clients;
  friend class ConsoleSession;
  friend class Login;

  // Why the connection ends, for the log.
  enum class Farewell : uint8_t { kFlush, kDrop };

  // StreamOwner
  void OnReceive(Slice&& slice) override;
  void OnEnd(int error) override;
  void OnDrained() override;
  void OnConnected(int error) override;
  void OnDetached(int fd) override;
  void OnClosed() override;
  // Waiter
  void OnServer(Server& server) override;
  void OnRefused(const PgError& error) override;
  // ServerUser
  void OnServerReceive(Slice&& slice) override;
  void OnServerEnd(int error) override;
  void OnServerDrained() override;

  // The login has succeeded.
  void EnterPool(WishRef wish);
  void BeginConsole(ConsoleRole role, std::string_view name);
  Login& NeedLogin();
  void DropLogin();

  // relay.cc. What is rare is never inlined: the hot functions then save no registers for it.
  void PassWholeQuery(Slice&& slice);
  [[gnu::noinline]] bool PassWholePipeline(Slice& slice);
  bool LentAtOnce();
  void WaitWith(Slice&& slice);
  [[gnu::noinline]] void PumpRequests();
  bool ActOnRequest(const RequestStep& step);
  void AskForReplies();
  void CancelIfDue();
  void SendError(const PgError& error);
  [[gnu::noinline]] void CloseIfDone();
  void BeginWait();
  void Link(Server& server);
  [[gnu::noinline]] void PumpReplies();
  void RepliesPassed();
  bool ActOnReplies(ReplyStep::Event event);
  void OnServerBroken();
  void AskForEmptyAnswer();
  bool ActOnInjectedError(Request failed, PgError error);
  void OnQuery();
  void OnReady();
  [[gnu::noinline]] void OnRareReady(const Replies::Counts& counts);
  void OnParameter(Bytes body);
  void ReturnIfFree();
  bool may_return() const;
  bool keeps_server() const;
  bool caches_plans() const;
  bool resets_when_dirty() const;
  void BringParameters();
  [[gnu::noinline]] void ChangeParameters();
  [[gnu::noinline]] void UpdateReceiving();
  void SendText(std::string_view text);

  // prepared.cc
  Statements* kept_statements() const;
  ClientStatements& statements();
  StatementId IdOf(const StatementRef& statement);
  void ActOnStatement();
  void PrepareStatement(Bytes bytes);
  void UseStatement(Bytes bytes);
  void CloseStatement(Bytes bytes);
  [[gnu::noinline]] bool PassPreparedPipeline(Slice& slice);
  void KeepRepeatable(Slice bytes, StatementId id, bool first_use);
  void SendParse(std::string_view name, std::string_view text);
  bool BringStatement(const StatementRef& statement);
  void CloseOnServer(StatementId id);
  void MakeRoom();
  void AnswerFakes();
  void TakeNews();
  void OnStatementError(const ReplyStep& step);
  bool MayAskAgain() const;
  void AskAgain();
  std::string NameOnServer(std::string_view server_name);
  void Refuse(PgError error);

  // client_traces.cc
  struct Traces {
    Pins pins = 0;
    Doubt doubt;                          // of requests since the last question
    std::optional<Doubt> asked;           // the question is out
    std::optional<SessionEffects> alone;  // of a text under way: perhaps no need to ask
    WishRef earlier;                      // the wish before the doubt
    uint8_t questions_failed = 0;
    bool free() const { return pins == 0 && doubt.empty() && !asked && !alone; }
  };
  bool ActOnPinnedText(MessageHead head, Bytes bytes);
  bool ActOnSync();
  const TextRules* watch() const { return watched_ ? &text_rules_ : nullptr; }
  bool MayPassUnseen(Bytes query) const;
  void OnWishChanged();
  bool ActOnText();
  bool ActOnQueryText(std::string_view text);
  Leaves LeavesOf(std::string_view text);
  Numbers numbers() const;
  Pins PinsPerhaps() const;
  bool MustLook(Leaves leaves) const;
  void LookAtStatement(std::string_view text);
  bool RefusesTraces(std::string_view text);
  void AddTouch(const Touch& touch);
  void OnSequenceRead();
  void ForgetSequences();
  void AddPins(Pins pins);
  Traces& traces();
  [[gnu::noinline]] void SettleTraces(const Replies::Counts& counts);
  void OnPlainText(const SessionEffects& effects);
  void Ask();
  void OnAnswer(Bytes row);
  void OnQuestionFailed();
  LoginParameters LoginValues() const;
  void TakeParameters(SessionParameters parameters);
  void TellStartupValues();
  void UpdateAuthorizationPin();
  bool OwnWorkRuns() const;
  bool AnythingOfClientOwed() const;

  // client_sql_statements.cc
  bool DeallocatesOurs(const SessionEffects& effects) const;
  bool AnswerDeallocate(const SessionEffects& effects);
  void DeallocateOnServer(const std::string& name);
  bool MayBeOfSql() const;
  void UseOfSql(MessageHead head);
  const Effect* ExecutesOurs(const SessionEffects& effects) const;
  bool ExecuteOurs(const Effect& executed, Bytes bytes);

  // client_resets.cc
  struct ParameterWork {
    std::optional<ParameterSet> before;  // the server's, while the SETs of a checkout are under way
    enum class Reset : uint8_t {
      kNone,
      kSeen,      // the text is sent, and not executed yet
      kRuns,      // its ReadyForQuery will be held back
      kRestores,  // … is, until our SETs are answered
      kTold,      // the client has it, and the right values
    } reset = Reset::kNone;
    ParameterSet undone;  // of startup_, by that text
    ParameterSet told;    // the client knew these values when it was sent
  };
  enum class ResetVerdict : uint8_t { kNone, kReset, kWait };
  ParameterWork& parameter_work();
  // What few clients have, or all for a while only. nullptr: none of it.
  struct Rare {
    std::unique_ptr<Login> login;                     // kLogin, from its first bytes on
    std::unique_ptr<ConsoleSession> console;          // kConsole
    std::unique_ptr<std::byte[]> cancel_secret_long;  // 32 bytes, protocol 3.2
    std::unique_ptr<ParameterWork> parameter_work;
    std::unique_ptr<Traces> traces;  // of a client that may have left any
    bool empty() const {
      return !login && !console && !cancel_secret_long && !parameter_work && !traces;
    }
  };
  Rare& rare();
  Traces* kept_traces() const { return rare_ != nullptr ? rare_->traces.get() : nullptr; }
  void DropTraces();
  Login* login() const { return rare_ != nullptr ? rare_->login.get() : nullptr; }
  ConsoleSession* console_session() const {
    return rare_ != nullptr ? rare_->console.get() : nullptr;
  }
  void FreeRare();  // if it is empty
  bool works_on_parameters() const { return rare_ != nullptr && rare_->parameter_work != nullptr; }
  ResetVerdict LookForReset(const SessionEffects& effects, char type);
  void BeginReset();
  bool OnResetReady(const Replies::Counts& counts);
  bool ReturnsPlainly() const;
  bool Restore();

  // client_begin.cc
  bool defers_begin() const;
  bool AnswerWithoutServer();
  void SendDeferredBegin();
  void FailDeferred();
  TransactionStatus StatusWithoutServer() const;

  // client.cc
  void Close(std::string_view reason, Farewell farewell);
  [[gnu::noinline]] void CloseWith(const PgError& error, std::string_view reason);
  void LetGoOfServer();
  void EndReplication(Server& server);
  bool EndsWithPeer() const;
  void OnPeerDone();

  // client_timers.cc
  // An activity begins that may have a limit: idleness, a query, a pause in a transaction.
  void Watch() {
    if (account_->limits.shortest > 0s) [[unlikely]]
      WatchFor(account_->limits.shortest);
  }
  [[gnu::noinline]] void WatchFor(Duration limit);
  [[gnu::noinline]] void OnQueued();
  void OnTimer();
  void OnOverdue(Deadline::Reason reason);
  void CancelOverdueQuery();
  void PassHeldError(const ReplyStep& step);
  ClientClock Clock() const;

  Clients& clients_;
  Stream stream_;
  Inbox inbox_;
  Requests requests_;
  State state_ = State::kLogin;
  bool pumping_ : 1 = false;     // PumpRequests is on the stack
  bool draining_ : 1 = false;    // end after this transaction
  bool peer_done_ : 1 = false;   // the client will send no more
  bool cancel_due_ : 1 = false;  // a cancel came while our own SETs ran: sent on when they are done
  bool watched_ : 1 = false;     // its texts are read for what they leave
  bool unserved_ : 1 = false;    // our own SETs are all that the server has done since it came
  DeferredBegin deferred_ = DeferredBegin::kNone;  // without a server: kNone, kBegun, kFailed
  TextRules text_rules_;
  uint16_t listener_index_ = 0;
  uint32_t need_ = 0;  // of the message at the front of the inbox, to judge it
  uint32_t cancel_secret_ = 0;
  const uint64_t id_;
  Server* server_ = nullptr;
  Account* account_ = nullptr;
  WishRef wish_;
  WishRef startup_;                               // the wish at login, to which RESET goes back
  std::unique_ptr<ClientStatements> statements_;  // of a client that prepares any
  std::unique_ptr<Rare> rare_;
  uint64_t satisfied_hash_ = 0;  // server parameters that fulfil the wish, as found last time
  Time connected_at_{};
  Time request_since_{};  // the query at hand, or the last one, or the wait for a server
  Time transaction_since_{};
  Time idle_since_{};
  ClientDeadlines deadlines_;
  Timer timer_;  // login, half-close, or the earliest deadline: whichever the state needs
};

}  // namespace trireme
