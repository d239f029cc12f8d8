// SPDX-License-Identifier: GPL-3.0-or-later
//
// The client's side of the conversation, message by message: what may go to the server, what it
// will answer (pushed to Replies before the bytes are sent), and what the pooler must say no to.
//
//   bytes from the client ──▶ Next() ──▶ { size, forward, event } ──▶ the relay sends or drops
//   `size` bytes
//
// Without a server (an idle client of a transaction pool) messages that need none are judged alone;
// the first that does reports kNeedsServer and is not consumed.
//
// What must hold: steps cover the bytes once and in order; nothing is forwarded that is not
// accounted for; a message is judged before its first byte is forwarded.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "session/statements.h"
#include "sql/lexer.h"
#include "wire/framer.h"
#include "wire/messages.h"
#include "wire/replies.h"

namespace trireme {

struct RequestStep {
  enum class Event : uint8_t {
    kNone,         // the run ended: call again when bytes are left
    kNeedMore,     // a head is split: call again with `need` contiguous bytes
    kNeedsServer,  // the next message wants a server and there is none
    // The server must answer more before the next message can be judged: it owes as many replies as
    // it may (go on when half of them have come), or how a COPY ended, or what became of the
    // unnamed statement, is not known yet.
    kAskForReplies,  // … and has to be asked (Flush), for it may keep them until a Sync
    kAwaitReplies,   // … and was asked
    kTerminate,      // the client says goodbye; nothing after it counts
    kSyncAlone,      // a Sync was consumed that no server needs to see: answer ReadyForQuery
    kStatement,   // the message at the front speaks of a prepared statement: the relay rewrites it
                  // (prepared.cc), and says with Pass() or Drop() what remains of it
    kText,        // the text of the message at the front may leave something in the session, or it
                  // is the Sync behind one that resets parameters: the relay looks
                  // (client_traces.cc), then says OnTextSeen() or Drop()
    kNamedParse,  // refused: a named prepared statement, and the pool keeps none
    kStaleUnnamed,   // refused: the unnamed statement was made on a server that has been given back
    kFlushWithBody,  // refused, as by PostgreSQL; nothing would be owed for it
    kBroken,         // not the protocol, see broken_type()
  };
  uint32_t size = 0;
  bool forward = false;
  Event event = Event::kNone;
  uint32_t need = 0;
};

// For statistics.
struct RequestCounts {
  uint64_t parses = 0;         // of clients
  uint64_t server_parses = 0;  // to servers, our own included
  uint64_t binds = 0;
};

// Longer texts are not read for what they leave: they may leave anything.
inline constexpr uint32_t kTextBytesMax = 256 * 1024;

class Requests {
 public:
  struct Limits {
    uint32_t message_bytes_max;
    uint32_t expected_replies_max;
    uint32_t statement_bytes_max;  // a named Parse longer than this is not looked at
  };

  // `replies` is the server's, or nullptr when no server is lent. `pinned` = the client keeps its
  // server for the whole session, so that statements may be left on it. Else they are kept in
  // `statements`, or nullptr: named ones are refused.
  struct Context {
    Replies* replies;
    bool pinned;
    const Limits& limits;
    RequestCounts& counts;
    Statements* statements = nullptr;
    const TextRules* watch = nullptr;     // how to read texts for what they leave; nullptr: don't
    Numbers numbers = Numbers::kIgnored;  // of sequences
    // Unnamed statements with parameters are kept in `statements`, too, under the empty name.
    bool plan_cache = false;
  };
  RequestStep Next(Bytes bytes, const Context& context);

  // The shortcut for the commonest message: `bytes` are one whole Query, and Next() would forward
  // just that.
  bool IsWholeQuery(Bytes bytes, const Limits& limits) const {
    if (body_left_ > 0 || passing_over_ || bytes.size() < kHeadBytes) return false;
    const MessageHead head = ReadHead(bytes.data());
    return head.type == frontend::kQuery && head.total_size() == bytes.size() &&
           head.valid(limits.message_bytes_max);
  }
  // … and the caller forwards it.
  void OnWholeQuery(Replies& replies) {
    ForgetUnnamed();
    replies.Expect(Request::kQuery, Disposition::kForward);
  }

  // The shortcut for the commonest pipeline: `bytes` are one whole Parse, Bind, Describe, Execute
  // and Sync (with or without the Describe), all unnamed, and Next() would forward just them, if
  // the text leaves nothing that matters.
  struct Pipeline {
    std::string_view statement;  // of Parse, behind its empty name: text, zero, types
    std::string_view text;
    Replies::Describes describes;
    Leaves leaves = Leaves::kNothing;  // for the caller to say; nothing that matters now
  };
  std::optional<Pipeline> WholePipeline(Bytes bytes, const Limits& limits) const;
  // … and the caller forwards it. `statements` as in Context.
  void OnWholePipeline(const Pipeline& pipeline, const Context& context);

  // The shortcut for the next commonest: one whole Bind of a named statement to the unnamed portal,
  // Describe of that portal or not, Execute and Sync.
  struct PreparedPipeline {
    std::string_view name;  // of the statement
    Replies::Describes describes;
  };
  std::optional<PreparedPipeline> WholePreparedPipeline(Bytes bytes, const Limits& limits) const;
  // … and the caller forwards it under the server's name.
  void OnPreparedPipeline(const PreparedPipeline& pipeline, Replies& replies,
                          RequestCounts& counts) {
    ++counts.binds;
    replies.ExpectPipeline(Replies::Parses::kNo, pipeline.describes);
    unnamed_fresh_ = false;
  }

  // The message at the front was refused or cancelled. A Query or FunctionCall is dropped; in the
  // extended protocol everything up to the next Sync is, as PostgreSQL does after an error, and
  // that Sync is reported (kSyncAlone) or forwarded when a server is lent. The unnamed statement is
  // gone, when the message would have replaced it. `front`: what there is of it, its head at least.
  // Says who owes ReadyForQuery: kNow = the caller.
  enum class ReadyIsOwed : uint8_t { kNow, kAtSync };
  ReadyIsOwed PassOver(Bytes front);

  // A server was given back: what was prepared on it without a name is out of reach.
  void OnServerReturned() { unnamed_ready_ = held_back_ = false; }

  // kStatement: of the message at the front, `size` bytes are still to be forwarded, or all of them
  // are to be dropped.
  void Pass(uint32_t size) {
    body_left_ = size;
    body_forward_ = true;
  }
  void Drop(uint32_t size) {
    body_left_ = size;
    body_forward_ = false;
  }
  // The unnamed statement: what the client made last, empty when it has none or it was too long.
  const StatementRef& unnamed() const { return unnamed_; }
  void OnUnnamedSent() { unnamed_ready_ = unnamed_fresh_ = true; }
  // … and is it among the named ones?
  bool unnamed_kept() const { return unnamed_kept_; }
  void OnUnnamedKept() {
    ForgetUnnamed();
    unnamed_kept_ = true;
  }
  // … and it was another one than the client's, that is over with its transaction.
  void OnOtherUnnamedSent() {
    ForgetUnnamed();
    OnUnnamedSent();
  }
  // kText: it was looked at; go on with the message.
  void OnTextSeen(Leaves leaves) {
    text_seen_ = true;
    text_leaves_ = leaves;
  }
  void ForgetUnnamed() {
    unnamed_ready_ = unnamed_kept_ = false;
    unnamed_leaves_ = Leaves::kNothing;
    unnamed_ = StatementRef();
  }

  bool mid_message() const { return body_left_ > 0; }
  // The message at hand was forwarded in part: the server waits for the rest of it.
  bool mid_forward() const { return body_left_ > 0 && body_forward_; }
  bool passing_over() const { return passing_over_; }
  // Of the message that was kBroken: an unknown type, or a known one with an impossible length.
  char broken_type() const { return broken_type_; }

 private:
  using Event = RequestStep::Event;
  struct Verdict {
    Event event = Event::kNone;
    bool forward = true;
    bool expect = false;
    Request request = Request::kQuery;
  };
  bool MayBeWholePipeline(Bytes bytes, const Limits& limits) const;
  bool HoldBack(char type, const Replies& replies, uint32_t owed_max) const;
  Verdict Judge(MessageHead head, Bytes body, const Context& context);
  Verdict JudgeExtended(MessageHead head, Bytes body, const Context& context);
  Verdict JudgeStatement(MessageHead head, Bytes body, const Context& context);
  Verdict JudgePinned(MessageHead head, Bytes body, const Context& context, Verdict plain);
  void KeepUnnamed(std::string_view statement, Statements& statements);
  void OnParseForwarded(MessageHead head, Bytes body, const Context& context);
  bool MayKeepUnnamed(MessageHead head, Bytes body, const Context& context) const;
  bool MustLook(MessageHead head, Bytes text, const Context& context);

  uint32_t body_left_ = 0;
  bool body_forward_ = false;
  bool passing_over_ = false;       // until Sync
  bool held_back_ = false;          // until the server has answered, and was asked to
  bool unnamed_ready_ = false;      // an unnamed Parse went to the server that is lent now
  bool unnamed_fresh_ = false;      // … after the last Sync: what follows it fails with it
  bool asked_for_unnamed_ = false;  // what became of it
  Leaves unnamed_leaves_ = Leaves::kNothing;
  bool unnamed_kept_ = false;  // under the empty name, by the relay
  bool text_seen_ = false;     // of the message at the front
  Leaves text_leaves_ = Leaves::kNothing;
  bool reset_executed_ = false;  // since the last Sync
  char broken_type_ = 0;
  StatementRef unnamed_;
};

}  // namespace trireme
