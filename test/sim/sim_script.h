// SPDX-License-Identifier: GPL-3.0-or-later
//
// Writes transactions for a simulated client, as its habits and its chance say. Every transaction
// ends idle when all goes well, and is right from the server's point of view also when one of its
// statements fails.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "test/sim/sim_client.h"
#include "test/sim/sim_client_habits.h"
#include "test/sim/sim_request.h"
#include "test/sim/sim_session.h"

namespace trireme::sim {

class ScriptWriter {
 public:
  struct Setup {
    uint32_t client;
    SimPoolMode mode;
    bool keeps_statements;
    const ClientHabits& habits;
    bool may_reset;        // it asked for nothing at login, so RESET gives what it had
    uint64_t& last_query;  // of the client, for tags
  };
  // `session` is the model as it is now, at rest.
  ScriptWriter(Setup setup, Random& random, SimSession& session);

  SimScript Write();

 private:
  // Messages; each adds to the step at hand.
  void Query(std::vector<SimStatement> statements);
  void Parse(const std::string& name, const SimStatement& statement);
  void Bind(const std::string& portal, const std::string& name, const SimStatement& statement);
  void DescribeStatement(const std::string& name, const SimStatement& statement);
  void DescribePortal(const std::string& portal, const SimStatement& statement);
  void Execute(const std::string& portal, const SimStatement& statement, uint32_t row_limit);
  void Close(const std::string& name);
  void Sync();
  void Flush();
  void FunctionCall();
  void Asked(SimRequest request);  // its bytes are written
  void NextStep();

  // Statements.
  std::string Tag();
  std::string MaybeTag();
  SimStatement Select();
  SimStatement Set();
  SimStatement Plain(SimStatement::Kind kind);

  // Parts of transactions.
  void AnyStatement();
  void Extended(SimStatement statement);
  void Pipeline();
  void Block();
  void CopyIn();
  void CopyOut();
  void Portal();
  void Session();
  void NamedStatement();
  void Deallocate();
  void StaleStatement();

  bool Chance(uint32_t permille) { return Happens(random_, permille); }
  uint32_t Below(uint32_t bound) { return static_cast<uint32_t>(random_.Below(bound)); }

  const Setup setup_;
  const ClientHabits& habits_;
  Random& random_;
  SimSession& session_;
  SimScript script_;
  bool in_block_ = false;
  bool in_pipeline_ = false;  // all in one step
};

}  // namespace trireme::sim
