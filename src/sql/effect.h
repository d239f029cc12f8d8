// SPDX-License-Identifier: GPL-3.0-or-later
//
// One thing that a SQL statement does, when it succeeds, to the state of the session it runs in or
// to its transaction. Plain values, made by statement_effects.h.
//
// Names are as PostgreSQL keeps them: folded to lower case where they were not quoted, cut to 63
// bytes. Parameter values are as the server would store them, so they can be compared with a
// ParameterStatus or sent in a SET.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace trireme {

enum class EffectKind : uint8_t {
  // Parameters. A value is unknown when it is no constant; a name that is no constant is empty.
  kSetParameter,             // SET: name, value, scope
  kResetParameter,           // RESET, SET … TO DEFAULT, set_config(…, NULL, …): name, scope
  kResetAll,                 // RESET ALL
  kSetConfigCall,            // set_config(): name, value, scope; perhaps conditional
  kSetRole,                  // SET ROLE: value, scope ('none' = RESET ROLE)
  kSetSessionAuthorization,  // SET SESSION AUTHORIZATION: value, scope
  kSetTransaction,           // of this transaction only: value = modes

  // What the session keeps.
  kDiscardAll,
  kDiscardPlans,
  kDiscardSequences,
  kDiscardTemp,
  kPrepare,  // PREPARE: name, value = statement text, types as written
  kExecute,  // EXECUTE, also in EXPLAIN and CREATE TABLE AS: name
  kDeallocate,
  kDeallocateAll,
  kListen,  // name = channel
  kUnlisten,
  kUnlistenAll,
  kCreateTempTable,  // also SELECT INTO TEMP: schema, name, drops_on_commit
  kCreateTempView,
  kCreateTempSequence,
  kUseTempSchema,   // pg_temp is named in any other way: name
  kDropRelation,    // one of each table, view or sequence: schema, name
  kRenameRelation,  // schema, name, value = new name
  kAdvisoryLock,    // session level; name = function, value = keys
  kAdvisoryUnlock,
  kAdvisoryUnlockAll,
  kDeclareHeldCursor,  // DECLARE … WITH HOLD: name
  kCloseCursor,
  kCloseAllCursors,
  kLoad,             // value = library
  kSequenceRead,     // currval, lastval: name = function, value = sequence
  kSequenceAdvance,  // nextval, setval: what a later currval tells
  kInsert,           // INSERT, MERGE, COPY: may do the same by a column's default; said once
  kSessionFunction,  // another function that leaves state behind (setseed, dblink_…): name

  // Transactions.
  kBegin,     // BEGIN, START TRANSACTION: value = modes
  kCommit,    // COMMIT, END: chained
  kRollback,  // ROLLBACK, ABORT: chained
  kSavepoint,
  kRollbackTo,
  kRelease,
  kPrepareTransaction,  // value = transaction id
  kCommitPrepared,
  kRollbackPrepared,

  // What cannot be seen through.
  kDo,                // value = the block
  kCall,              // schema, name
  kUnknownStatement,  // name = a first word that PostgreSQL 18 does not know
};

enum class EffectScope : uint8_t {
  kSession,      // undone only by a ROLLBACK
  kTransaction,  // SET LOCAL, set_config(…, true): gone after the transaction
  kUnknown,      // what says so is no constant
};

struct Effect {
  EffectKind kind = EffectKind::kUnknownStatement;
  EffectScope scope = EffectScope::kSession;
  bool value_known = true;
  // A function call that may run never or many times: it is not simply what SELECT selects.
  bool conditional = false;
  bool drops_on_commit = false;
  bool chained = false;    // AND CHAIN: the next transaction begins at once
  uint32_t statement = 0;  // which statement of the text does it, from 0
  std::string schema;
  std::string name;
  std::string value;
  std::vector<std::string> types;

  bool operator==(const Effect&) const = default;
};

// For logs and the reasons of pins: `SET search_path = 'a, b'`, `advisory lock (1)`.
std::string Describe(const Effect& effect);

}  // namespace trireme
