// SPDX-License-Identifier: GPL-3.0-or-later
//
// The strict reader at the client's end of a connection: for each request exactly one reply, in
// order; each row with its own tag, in its place, with all its bytes, from a session that is in the
// state the client's own model (SimSession) says; errors only where there is a reason; the status
// in ReadyForQuery, the reported parameters and the notifications those of the model.
//
// The first violation ends it: what follows from a broken stream says nothing. Knows no socket and
// no time but what it is told. One connection's; one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/time.h"
#include "test/sim/sim_request.h"
#include "test/sim/sim_session.h"
#include "test/sim/sim_verdict.h"
#include "wire/errors.h"

namespace trireme::sim {

struct ClientCounts;

class Conversation {
 public:
  struct Setup {
    uint32_t client = 0;
    SimSession session;                       // as it must be after login
    std::map<std::string, std::string> told;  // ParameterStatus of the login
    bool keeps_server = false;                // session mode: one backend for all of it
    const std::set<std::string>& allowed_sqlstates;
    ClientCounts& counts;
    Verdict& verdict;
  };
  explicit Conversation(Setup setup);
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  // Before its bytes are sent.
  void Ask(SimRequest request);
  // From now on a query may be cancelled.
  void OnCancelSent() { cancel_sent_ = true; }
  // The last request was sent in part: it may be refused, as soon as enough of it is there.
  void OnCutShort() { cut_short_ = true; }
  void OnMessage(char type, Bytes body);

  // Nothing is owed (after an error in the extended protocol: nothing until a Sync is asked).
  bool at_rest() const { return requests_.empty(); }
  bool wants_copy_data() const { return copy_ == Copy::kIn && !copy_sent_; }
  void OnCopySent() { copy_sent_ = true; }
  bool skipping() const { return skipping_; }  // until a Sync is asked
  bool over() const { return over_; }          // a violation, or FATAL was said
  bool told_why() const { return told_why_; }  // by FATAL
  std::optional<Time> waiting_since() const;
  std::string waiting_for() const;  // tag and kind; "" = nothing
  SimSession& session() { return session_; }

 private:
  using Kind = SimRequest::Kind;
  enum class Copy : uint8_t { kNone, kIn, kOut };

  void Violate(Rule rule, const std::string& text);
  void Unexpected(char type);
  const SimStatement* statement() const;
  std::string_view tag() const;

  void OnRowDescription();
  void OnDataRow(Bytes body);
  void CheckPlace(const SimRow& row);
  void OnCopyBegin(Copy copy);
  void OnCopyData(Bytes body);
  void OnCopyDone();
  void OnCommandComplete(std::string_view text);
  void OnPortalSuspended();
  void OnEmptyQuery();
  void OnFunctionResult(Bytes body);
  void OnSimpleReply(char type);
  void OnError(const PgError& error);
  bool Expected(const PgError& error) const;
  void OnNotice(const PgError& notice);
  void OnNotification(Bytes body);
  void OnReady(Bytes body);
  void CheckTold();

  bool Begin();  // the statement at hand runs; false: it had to fail
  void EndStatement();
  void Pop();

  const uint32_t client_;
  const std::string tag_prefix_;
  const bool keeps_server_;
  const std::set<std::string>& allowed_sqlstates_;
  ClientCounts& counts_;
  Verdict& verdict_;
  SimSession session_;
  std::map<std::string, std::string> told_;
  std::deque<SimRequest> requests_;
  std::deque<std::string> notifications_;
  bool skipping_ = false;  // the server passes over everything until Sync
  bool cancel_sent_ = false;
  bool cut_short_ = false;
  bool over_ = false;
  bool told_why_ = false;

  // Of the request in front.
  size_t statement_index_ = 0;
  bool begun_ = false;
  bool described_ = false;
  bool answered_ = false;  // but for ReadyForQuery
  bool copy_ended_ = false;
  bool copy_sent_ = false;
  uint32_t rows_ = 0;       // of this statement or Execute
  uint32_t first_row_ = 0;  // of this Execute
  Copy copy_ = Copy::kNone;
  std::string_view command_;

  // Where the last row came from, while the server must stay the same.
  bool pinned_ = false;
  uint32_t process_id_ = 0;
  uint64_t sequence_ = 0;
  std::string sequence_tag_;
  uint64_t begun_since_ = 0;  // tagged statements begun since that row
};

}  // namespace trireme::sim
