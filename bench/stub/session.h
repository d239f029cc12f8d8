// SPDX-License-Identifier: GPL-3.0-or-later
//
// The stub's side of one connection, without I/O: bytes in, bytes out, and pauses. Simple and
// extended protocol, named statements, transaction status, COPY both ways, errors; the server's
// owner says how long statements take and how large results are.
//
//   Feed(bytes) ─▶ Work(out) ─▶ kNeedInput   wait for bytes, Feed them, Work again
//                               kServe       wait service(), Resume(), Work again
//                               kBulk        send `out`, then bulk() bytes of BulkBlock(),
//                               BulkSent() kClose       send `out` and close
//
// Every statement is answered in order; while one is served nothing else of the connection is.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "stub/answers.h"
#include "wire/messages.h"

namespace trireme::bench {

struct StubCounts {
  uint64_t connections = 0;  // that logged in
  uint64_t cancels = 0;
  uint64_t statements = 0;  // answered, but SET
  uint64_t sets = 0;
  uint64_t transactions = 0;  // ReadyForQuery that said idle
  uint64_t errors = 0;
  uint64_t rows = 0;
  uint64_t parses = 0;
  uint64_t bytes_received = 0;
  uint64_t bytes_sent = 0;
};

struct StubSettings {
  AnswerDefaults answers;
  Draw service;
  Draw login;
};

// Large results: whole rows of one size, repeated. One object a thread.
class RowBlocks {
 public:
  // At least 64 KiB of messages of `type` ('D' or 'd') with `bytes` of data each.
  const std::string& Get(char type, uint32_t bytes);
  static uint64_t MessageBytes(char type, uint32_t bytes);

 private:
  std::map<std::pair<char, uint32_t>, std::string> blocks_;
};

class StubSession {
 public:
  enum class Next : uint8_t { kNeedInput, kServe, kBulk, kClose };
  struct World {  // what the sessions of a thread share; outlives them
    const StubSettings& settings;
    Random& random;
    RowBlocks& blocks;
    StubCounts& counts;
  };

  explicit StubSession(World world) : world_(world) {}

  void Feed(Bytes bytes);
  Next Work(std::string& out);

  Duration service() const { return service_; }
  void Resume() { served_ = true; }

  std::string_view bulk_block() const { return *bulk_block_; }
  uint64_t bulk() const { return bulk_bytes_; }
  void BulkSent() { bulk_bytes_ = 0; }

  // Bytes that wait for their turn.
  size_t backlog() const { return input_.size() - consumed_; }

 private:
  enum class State : uint8_t { kStartup, kLogin, kReady, kStatements, kExecuting, kCopyIn };
  enum class Protocol : uint8_t { kSimple, kExtended };
  using Outcome = std::optional<Next>;  // nullopt: there may be more to do

  Outcome WorkOnce(std::string& out);
  Outcome WorkOnStartup(std::string& out);
  Outcome Login(std::string& out);
  Outcome WorkOnMessage(std::string& out);
  Outcome WorkOnStatements(std::string& out);
  Outcome OnMessage(char type, Bytes body, std::string& out);
  void OnQuery(Bytes body);
  void OnParse(Bytes body, std::string& out);
  void OnBind(Bytes body, std::string& out);
  void OnDescribe(Bytes body, std::string& out);
  Outcome OnExecute(Bytes body, std::string& out);
  void OnCopyMessage(char type, std::string& out);
  // True: it is to be served first.
  bool MustWait(const Answer& answer);
  Outcome Give(const Answer& answer, std::string& out);
  Outcome GiveRows(const Answer& answer, std::string& out);
  void BeginCopyIn(std::string& out);
  void Describe(const Answer& answer, std::string& out);
  void Complete(const Answer& answer, std::string& out);
  void Fail(std::string_view sqlstate, std::string_view message, std::string& out);
  void Ready(std::string& out);

  Bytes Input() const { return AsBytes(std::string_view(input_).substr(consumed_)); }
  void Consume(size_t size);

  World world_;
  State state_ = State::kStartup;
  Protocol protocol_ = Protocol::kSimple;
  TransactionStatus status_ = TransactionStatus::kIdle;
  bool skipping_ = false;  // after an error, to the next Sync
  bool served_ = false;
  bool tag_owed_ = false;  // rows were given; the tag comes after the bulk
  Duration service_{0};
  std::string input_;
  size_t consumed_ = 0;
  uint64_t skip_ = 0;  // of a CopyData that is passing
  uint64_t copied_ = 0;
  std::vector<Answer> statements_;  // of the Query being answered
  size_t statement_next_ = 0;
  Answer executed_;  // the portal whose rows are on their way
  std::string application_name_;
  std::unordered_map<std::string, Answer> prepared_;
  std::unordered_map<std::string, Answer> portals_;
  const std::string* bulk_block_ = nullptr;
  uint64_t bulk_bytes_ = 0;
};

}  // namespace trireme::bench
