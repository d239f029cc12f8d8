// SPDX-License-Identifier: GPL-3.0-or-later
//
// The server's side of the conversation, message by message: what may go to the client, what is
// ours, and when the server owes nothing more. Heads are read, bodies pass: rows and COPY data cost
// five bytes of attention each, and a whole run of messages with one destination is reported as one
// step.
//
//   bytes from the server ──▶ Next() ──▶ { size, forward, event } ──▶ the relay sends or drops
//   `size` bytes
//
// What must hold: steps cover the bytes exactly once and in order; a run never mixes forwarded and
// swallowed bytes; kReady is reported exactly when ReadyForQuery arrived and nothing at all is
// owed, nor may be.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/marks.h"
#include "wire/expected_replies.h"
#include "wire/framer.h"
#include "wire/messages.h"

namespace trireme {

struct ReplyStep {
  enum class Event : uint8_t {
    kNone,          // the run ended: call again when bytes are left
    kNeedMore,      // a head or a small message is split: call again with `need` contiguous bytes
    kReady,         // ReadyForQuery ended the run and nothing is owed
    kReadyInDoubt,  // … but as many may follow as syncs_in_doubt(): send an empty Query of ours and
                    // Expect() it; its answer is behind them
    kParameter,       // ParameterStatus ended the run: `message` is its body
    kFake,            // the next reply is ours to give: send it, then FakeSent()
    kRow,             // DataRow of a question of ours (kAsk) ended the run: `message` is its body;
                      // empty (no row is) = longer than kRowBytesMax, and passed unread
    kInjectedError,   // ErrorResponse to a request of ours (`failed`) ended the run: `message` is
                      // its body
    kStatementError,  // ErrorResponse to a Bind or Describe of the client ended the run: `message`
                      // is its body, which may name a statement as the server does
    kHeldError,       // the cancel that HoldError() waits for, alone: `message` is its body
    kBroken,          // not the protocol: close the server
  };
  uint32_t size = 0;     // bytes consumed from the front
  bool forward = false;  // they are the client's
  Event event = Event::kNone;
  uint32_t need = 0;
  Bytes message{};
  Request failed = Request::kQuery;  // kInjectedError, kStatementError
};

class Replies {
 public:
  // A question of ours asks for names and settings.
  static constexpr uint32_t kRowBytesMax = 64 * 1024;

  // The queue of what is owed; requests are pushed here before their bytes are sent.
  void Expect(Request request, Disposition disposition, Notes notes = {});
  const ExpectedReplies& owed() const { return owed_; }

  // Consumes a prefix of `bytes`: the longest run with one destination, up to and including the
  // message that causes an event. Call again until nothing is left or kNeedMore.
  ReplyStep Next(Bytes bytes);

  // The shortcut for the commonest answers: one forwarded Query is owed, or one pipeline up to its
  // Sync, and `bytes` are all of the answer, nothing else, and no error. True: they are the
  // client's, and Next() would have said kReady at their end. False: nothing has changed.
  bool TakeWholeAnswer(Bytes bytes);
  // The same as to expect Parse where there is one, Bind, Describe where there is one, Execute and
  // Sync.
  enum class Parses : uint8_t { kNo, kYes };
  enum class Describes : uint8_t { kNo, kYes };
  void ExpectPipeline(Parses parses, Describes describes);

  // kFake: which request is it, and: it was answered.
  Request fake() const { return owed_.front().request; }
  void FakeSent();

  TransactionStatus status() const { return status_; }
  // Nothing owed, nothing half read, no transaction: another client may have the server. After an
  // error out of turn (FATAL) the end of the connection belongs to whoever was told.
  bool clean() const {
    return at_rest() && !needs_sync_ && status_ == TransactionStatus::kIdle && !error_forwarded_;
  }
  // Nothing owed and nothing half read (a transaction may be open).
  bool at_rest() const {
    if (TRIREME_MUTATION(kReleaseAtFirstReady)) return body_left_ == 0 && !error_forwarded_;
    return owed_.empty() && body_left_ == 0;
  }
  // Extended requests were sent and neither a Sync nor a Query after them: the server holds an
  // implicit transaction open, or ignores everything (skipping()), until a Sync comes.
  bool needs_sync() const { return needs_sync_; }
  // The message at hand was passed in part.
  bool mid_message() const { return body_left_ > 0; }
  bool in_copy() const { return (special_ & kCopying) != 0; }
  // … and the client has not ended its own direction.
  bool copy_is_open() const { return in_copy() && owed_.count() == 1; }
  // The server ignores requests until the next Sync (error in the extended protocol).
  bool skipping() const { return skipping_; }
  // A COPY FROM STDIN in the extended protocol has failed: so many Syncs sent behind its Execute it
  // may have read, and ignored, or not; only the server knows.
  uint32_t syncs_in_doubt() const { return syncs_in_doubt_; }
  // Answers to come will say so, or whether there will be a doubt: the end of a COPY was sent, or
  // the Sync behind one that failed. Requests other than Sync wait for them.
  bool doubt_will_end() const { return copy_ends_ > 0 || (syncs_in_doubt_ > 0 && !skipping_); }
  // … for whether such a request would be answered is unknown, and all that comes now is kBroken.
  bool lost_count() const { return lost_count_; }
  // An ErrorResponse went to the client after the last ReadyForQuery.
  bool error_forwarded() const { return error_forwarded_; }
  // … and out of turn: it was FATAL, and only the end of the connection is still to come.
  bool last_words_forwarded() const { return error_forwarded_ && owed_.empty() && !skipping_; }

  // What became of requests with notes, in order; and whether all prepared statements have gone
  // (DISCARD ALL, DEALLOCATE ALL). Whoever calls Next looks here after each step.
  struct Outcome {
    Notes notes;
    bool answered;  // false: it failed, or was passed over after an error
  };
  bool has_news() const { return discarded_ || unnamed_lost_ || !outcomes_.empty(); }
  struct News {
    std::vector<Outcome> outcomes;
    bool discarded = false;
    bool unnamed_lost = false;  // it was to be replaced, and that failed or was passed over
  };
  News TakeNews() {
    return {.outcomes = std::exchange(outcomes_, {}),
            .discarded = std::exchange(discarded_, false),
            .unnamed_lost = std::exchange(unnamed_lost_, false)};
  }

  // After an error: the Sync that ends the passing over is ours now, its ReadyForQuery swallowed.
  // False: it has not been sent.
  bool SwallowSync();

  // When the next error that the client would get says that the query was canceled (57014), it is
  // reported first (kHeldError), for it may need other words. Until then, or until nothing is owed;
  // one of more than 4 KiB passes.
  void HoldError() { hold_error_ = true; }

  // The next ReadyForQuery is not the client's, nor is a ParameterStatus before it: the client will
  // be told both by the caller, who hears of them by their events. Nothing may be owed behind it.
  void HoldReady() { special_ |= kHolding; }
  bool holds_ready() const { return (special_ & kHolding) != 0; }

  // For statistics: what was counted since the last call.
  struct Counts {
    uint32_t queries = 0;       // ReadyForQuery of forwarded requests
    uint32_t transactions = 0;  // … that left the server idle
    uint32_t errors = 0;        // told the client
  };
  Counts TakeCounts() { return std::exchange(counts_, Counts{}); }
  const Counts& counts() const { return counts_; }
  void SetStatus(TransactionStatus status) { status_ = status; }

 private:
  using Event = ReplyStep::Event;

  bool TakeWholeQuery(Bytes bytes);
  [[gnu::noinline]] bool TakeWholePipeline(Bytes bytes);
  void AllAnswered(TransactionStatus status);
  bool ForwardNext(char type) const;
  uint32_t PassPlain(Bytes bytes, uint32_t at, Request front);
  Event OnMessage(char type, Bytes body);
  Event OnReadyForQuery(Bytes body);
  Event OnReadyInDoubt();
  Event AllReady() const;
  Event OnError();
  void Answered(Request request);
  void Pop(bool answered);
  bool ErrorIsOurs() const;
  bool IsHeld(char type) const;
  bool RowIsOurs() const;
  bool MayNameStatement() const;
  bool UnnamedParseIsOwed() const;
  void CopyEnded();
  void CopyFailed();
  void SetSyncsInDoubt(uint32_t count);
  bool ReadyIsInDoubt() const;
  void DropStaleMarks();

  ExpectedReplies owed_;
  uint32_t body_left_ = 0;     // of the message being passed
  bool body_forward_ = false;  // … and where it goes
  // What makes the commonest answers uncommon.
  static constexpr uint8_t kCopying = 1;  // CopyIn or CopyBoth: the front entry is being executed
  static constexpr uint8_t kHolding = 2;  // HoldReady()
  static constexpr uint8_t kInDoubt = 4;  // syncs_in_doubt() > 0
  uint8_t special_ = 0;
  bool skipping_ = false;
  bool needs_sync_ = false;
  bool error_forwarded_ = false;
  bool hold_error_ = false;
  bool lost_count_ = false;
  uint32_t syncs_in_doubt_ = 0;
  uint32_t copy_ends_ = 0;  // of them are owed
  TransactionStatus status_ = TransactionStatus::kIdle;
  bool discarded_ = false;
  bool unnamed_lost_ = false;
  std::vector<Outcome> outcomes_;
  Counts counts_;
};

}  // namespace trireme
