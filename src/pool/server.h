// SPDX-License-Identifier: GPL-3.0-or-later
//
// One connection to PostgreSQL, from connect to close (states: pool/pooled_server.h). It is owned
// by exactly one core at any time and lent to at most one client.
//
// What must hold: kIdle ⇒ replies().clean() and the inbox is empty; a server that is not provably
// clean is never lent again: it is settled or closed. Its place under the caps is released when the
// connection is closed, and in an orderly close that is after PostgreSQL has ended its side, so
// pg_stat_activity never shows more than the cap.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/timer_wheel.h"
#include "net/inbox.h"
#include "net/stream.h"
#include "pool/cancel.h"
#include "pool/close_reason.h"
#include "pool/passport.h"
#include "pool/pooled_server.h"
#include "pool/prepared_set.h"
#include "pool/server_login.h"
#include "pool/server_user.h"
#include "wire/parameter_set.h"
#include "wire/replies.h"

namespace trireme {

class Pools;

class Server final : public PooledServer, private StreamOwner {
 public:
  Server(Pools& pools, uint64_t id);
  Server(Pools& pools, ServerPassport& passport);
  ~Server() override;  // closed or left

  // --- for the user it is lent to ---
  Stream& stream() { return *stream_; }  // send requests here; push to replies() first
  const Stream& stream() const { return *stream_; }
  Replies& replies() { return replies_; }  // what it owes
  Inbox& inbox() { return inbox_; }        // received bytes the user has not consumed yet
  // Session parameters as this backend has them now, and as they were after login.
  ParameterSet& parameters() { return parameters_; }
  const ParameterSet& baseline() const { return baseline_; }
  // The prepared statements it has under the pooler's names.
  PreparedSet& prepared() { return prepared_; }
  // What became of requests (Replies::TakeNews), written down.
  Replies::News TakeNews();
  // Its session may have something that the next client must not meet: given back like this, it is
  // told DISCARD ALL.
  void MarkTraces() { traces_ = true; }
  void ForgetTraces() { traces_ = false; }
  // … or what the reset query is for, in session mode.
  void MarkDirty() { dirty_ = true; }
  const BackendKey& key() const { return key_; }
  const SocketAddress& address() const { return address_; }  // the very host that runs the query
  uint32_t process_id() const { return key_.process_id; }
  uint64_t id() const { return id_; }  // for log lines; says nothing about the key

  // Cancels what runs on it now. The server is not lent to anyone else before the cancel has ended.
  // `observer` may be nullptr.
  void Cancel(CancelObserver* observer);

  ServerCounters counters() const;

 private:
  friend class Pools;
  friend class CancelConnection;
  friend struct LookupJob;
  friend struct KeyJob;

  // PooledServer
  void BeginConnect() override;
  void Serve(Waiter& waiter) override;
  Rest rest() const override;
  void BeginCleaning(Cleaning cleaning) override;
  void BeginLeaving() override;
  void BeginClose(CloseKind kind) override;

  // StreamOwner
  void OnReceive(Slice&& slice) override;
  void OnEnd(int error) override;
  void OnDrained() override;
  void OnConnected(int error) override;
  void OnDetached(int fd) override;
  void OnClosed() override;

  // server_connect.cc
  void TryHost();
  void TryAddress();
  void HostFailed(PgError error);
  void OnRetryConnect();
  void OnConnectTimeout();
  void OnLookup(uint32_t host_index, const Result<std::vector<SocketAddress>>& addresses);
  void BeginLogin();
  void OnLoginBytes();
  void OnKeys(const ScramKeys& keys);
  void OnNoKeys();
  void ActOn(const ServerLogin::Step& step);
  void FinishLogin();
  void OnConnectQueryBytes();
  void OnConnectQueryFailed(PgError error);
  void EnterPool();
  void LoginEnded(int error);
  PgError CannotConnect(std::string_view why) const;

  // server.cc
  void OnIdleBytes();
  void OnSettlingBytes();
  bool FakeIsNext() const;
  void EndCopy();
  void NextStep();
  void OnCancelEnded();
  void SendOwn(std::string_view sql);
  void UndoPipeline();
  void SendFlush();
  void SendSync();
  bool ResetIsDue() const;
  bool WorksForItsClient() const;
  CloseReason ReasonNotSettled() const;
  std::string_view ResetQuery() const;
  void ForgetUnreported();
  void SendText(std::string_view text);
  void SetParameter(Bytes body);
  static constexpr uint32_t kBadMessage = UINT32_MAX;
  uint32_t WholeMessage();
  void NewStream();
  void StartTimer(Duration duration);
  void OnTimeout();

  Pools& pools_;
  const uint64_t id_;
  std::optional<Stream> stream_;  // a new one for each address tried
  Replies replies_;
  Inbox inbox_;
  ParameterSet parameters_;
  ParameterSet baseline_;
  PreparedSet prepared_;
  BackendKey key_;
  SocketAddress address_;
  ServerCounters counters_;

  // Connecting.
  std::unique_ptr<ServerLogin> login_;  // kLogin only
  uint32_t host_index_ = 0;
  Time deadline_{};
  std::vector<SocketAddress> addresses_;  // of that host, not tried yet, the next at the back
  std::optional<PgError>
      connect_error_;  // the last host failed; the pool is told at the turn's end

  // Cleaning.
  Cleaning cleaning_ = Cleaning::kWait;
  bool traces_ = false;
  bool reset_due_ = false;
  bool reset_sent_ = false;
  bool copy_failed_ = false;  // CopyFail was sent

  bool ended_ = false;  // no more bytes will come
  Timer timer_;         // connecting, cleaning or closing must end by then
};

}  // namespace trireme
