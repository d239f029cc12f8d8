// SPDX-License-Identifier: GPL-3.0-or-later
//
// admin/console.h: the messages of a console client.
//
//   input:   role 1 | name of a user, block | messages: type 1, length 2, body
//
// Properties: every message gets the answer that the protocol wants and no other: Query and Sync
// end in one ReadyForQuery; a request of the extended protocol is answered once, by its completion
// or by an error after which nothing is answered until Sync; answers are whole messages with rows
// as wide as their description; an unknown message ends the connection.
#include "admin/console.h"

#include "test/fuzz/input.h"

namespace trireme::fuzz {
namespace {

// Every view has rows, with a name that a client chose.
FleetSnapshot MakeFleet(const Config& config, std::string_view name) {
  FleetSnapshot fleet;
  fleet.facts.config = &config;
  fleet.facts.version = "1.2.3";
  fleet.facts.settings = {{"listen.0.port", "6432", "6432"}};
  fleet.facts.now = Time{5s};
  ClientRow client;
  client.user = client.database = client.application_name = name;
  client.state = ClientRow::State::kWaiting;
  client.waiting_since = Time{1s};
  fleet.clients = {client, {}};
  ServerRow server;
  server.user = server.database = name;
  server.times_lent = UINT64_MAX;
  fleet.servers = {server, {}};
  PoolRow pool;
  pool.database = pool.user = pool.storage = name;
  pool.route_index = 7;  // of no route
  fleet.pools = {pool, {}};
  StatsRow stats;
  stats.database = name;
  fleet.stats = {stats};
  fleet.shards = {{}};
  fleet.memory = {{.name = std::string(name)}};
  return fleet;
}

// The types of the messages of an answer, in order; checks their form.
class Answer {
 public:
  explicit Answer(std::string_view text) {
    MessageReader reader(AsBytes(text));
    while (!reader.AtEnd()) {
      const char type = static_cast<char>(reader.Byte());
      const uint32_t length = reader.Int32();
      Check(reader.ok() && length >= 4, "an answer is framed");
      CheckMessage(type, reader.Take(length - 4));
      Check(reader.ok(), "an answer is whole");
      types_ += type;
    }
  }
  const std::string& types() const { return types_; }
  size_t Count(char type) const {
    return static_cast<size_t>(std::count(types_.begin(), types_.end(), type));
  }

 private:
  void CheckMessage(char type, Bytes body) {
    MessageReader reader(body);
    switch (type) {
      case backend::kReadyForQuery:
        Check(AsText(body) == "I", "the console knows no transactions");
        return;
      case backend::kErrorResponse:
        Check(ParseErrorBody(body).sqlstate.size() == 5, "an error has a SQLSTATE");
        return;
      case backend::kRowDescription:
        columns_ = reader.Int16();
        for (uint16_t i = 0; i < *columns_; ++i) {
          Check(!reader.String().empty(), "a column has a name");
          reader.Take(18);
        }
        break;
      case backend::kDataRow:
        Check(!columns_ || reader.Int16() == *columns_, "a row is as wide as its description");
        if (!columns_) reader.Int16();
        while (reader.left() > 0) {
          if (const uint32_t size = reader.Int32(); size != UINT32_MAX) reader.Take(size);
        }
        break;
      default:
        return;
    }
    Check(reader.AtEnd(), "a row holds what it says");
  }

  std::string types_;
  std::optional<uint16_t> columns_;
};

class Conversation {
 public:
  Conversation(ConsoleRole role, FleetSnapshot fleet) : console_(role), fleet_(std::move(fleet)) {}

  // False: the connection has ended.
  bool Say(char type, Bytes body) {
    buffer_.clear();
    Console::Step step = console_.OnMessage(writer_, type, body);
    if (step.kind == Console::Step::Kind::kNeedsSnapshot) {
      step = console_.OnSnapshot(writer_, fleet_);
      Check(step.kind == Console::Step::Kind::kDone, "a snapshot is enough");
    }
    const Answer answer(buffer_);
    if (step.kind == Console::Step::Kind::kClose) {
      Check(type == frontend::kTerminate ? buffer_.empty() : answer.types() == "E",
            "the goodbye is one error or none");
      return false;
    }
    CheckAnswer(type, answer);
    return true;
  }

 private:
  void CheckAnswer(char type, const Answer& answer) {
    const std::string& types = answer.types();
    switch (type) {
      case frontend::kSync:
        Check(types == "Z", "Sync is answered by ReadyForQuery");
        skipping_ = false;
        return;
      case frontend::kQuery:
      case frontend::kFunctionCall:
        if (skipping_) break;
        Check(types.size() >= 2 && types.back() == 'Z' && answer.Count('Z') == 1,
              "a query ends in one ReadyForQuery");
        Check(answer.Count('E') + answer.Count('C') + answer.Count('I') == 1,
              "a query has one result");
        return;
      case frontend::kParse:
        return CheckExtended(answer, "1");
      case frontend::kBind:
        return CheckExtended(answer, "2");
      case frontend::kClose:
        return CheckExtended(answer, "3");
      case frontend::kDescribe:
        return CheckExtended(answer, "Tn");
      case frontend::kExecute:
        return CheckExtended(answer, "CIs");
      default:
        break;
    }
    Check(types.empty(), "nothing is answered that was not asked");
  }

  void CheckExtended(const Answer& answer, std::string_view completions) {
    const std::string& types = answer.types();
    if (skipping_) return Check(types.empty(), "nothing is answered after an error until Sync");
    Check(answer.Count('Z') == 0, "the extended protocol ends in Sync");
    if (types == "E") {
      skipping_ = true;
      return;
    }
    Check(!types.empty() && completions.find(types.back()) != std::string_view::npos,
          "a request ends in its completion");
    size_t count = 0;
    for (const char completion : completions) count += answer.Count(completion);
    Check(count == 1, "a request is completed once");
  }

  Console console_;
  const FleetSnapshot fleet_;
  std::string buffer_;
  MessageWriter writer_{buffer_};
  bool skipping_ = false;
};

void Run(Input input) {
  const auto role = static_cast<ConsoleRole>(input.Byte() % 3);
  const std::string_view name = AsText(input.Block());
  const Config config;
  Conversation conversation(role, MakeFleet(config, name));
  while (!input.empty()) {
    const char type = static_cast<char>(input.Byte());
    if (!conversation.Say(type, input.Block())) return;
  }
}

}  // namespace
}  // namespace trireme::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  trireme::fuzz::Run({data, size});
  return 0;
}
