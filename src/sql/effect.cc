// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/effect.h"

#include <string_view>

namespace trireme {
namespace {

std::string_view Verb(EffectKind kind) {
  using enum EffectKind;
  switch (kind) {
    case kSetParameter:
      return "SET";
    case kResetParameter:
      return "RESET";
    case kResetAll:
      return "RESET ALL";
    case kSetConfigCall:
      return "set_config";
    case kSetRole:
      return "SET ROLE";
    case kSetSessionAuthorization:
      return "SET SESSION AUTHORIZATION";
    case kSetTransaction:
      return "SET TRANSACTION";
    case kDiscardAll:
      return "DISCARD ALL";
    case kDiscardPlans:
      return "DISCARD PLANS";
    case kDiscardSequences:
      return "DISCARD SEQUENCES";
    case kDiscardTemp:
      return "DISCARD TEMP";
    case kPrepare:
      return "PREPARE";
    case kExecute:
      return "EXECUTE";
    case kDeallocate:
      return "DEALLOCATE";
    case kDeallocateAll:
      return "DEALLOCATE ALL";
    case kListen:
      return "LISTEN";
    case kUnlisten:
      return "UNLISTEN";
    case kUnlistenAll:
      return "UNLISTEN *";
    case kCreateTempTable:
      return "temporary table";
    case kCreateTempView:
      return "temporary view";
    case kCreateTempSequence:
      return "temporary sequence";
    case kUseTempSchema:
      return "temporary schema";
    case kDropRelation:
      return "DROP";
    case kRenameRelation:
      return "RENAME";
    case kAdvisoryLock:
      return "advisory lock";
    case kAdvisoryUnlock:
      return "advisory unlock";
    case kAdvisoryUnlockAll:
      return "advisory unlock of all";
    case kDeclareHeldCursor:
      return "WITH HOLD cursor";
    case kCloseCursor:
      return "CLOSE";
    case kCloseAllCursors:
      return "CLOSE ALL";
    case kLoad:
      return "LOAD";
    case kSequenceRead:
    case kSequenceAdvance:
      return "sequence";
    case kInsert:
      return "insert";
    case kSessionFunction:
      return "function";
    case kBegin:
      return "BEGIN";
    case kCommit:
      return "COMMIT";
    case kRollback:
      return "ROLLBACK";
    case kSavepoint:
      return "SAVEPOINT";
    case kRollbackTo:
      return "ROLLBACK TO";
    case kRelease:
      return "RELEASE";
    case kPrepareTransaction:
      return "PREPARE TRANSACTION";
    case kCommitPrepared:
      return "COMMIT PREPARED";
    case kRollbackPrepared:
      return "ROLLBACK PREPARED";
    case kDo:
      return "DO";
    case kCall:
      return "CALL";
    case kUnknownStatement:
      return "unknown statement";
  }
  return "";
}

// Keys are numbers and types are lists: in parentheses. Other values are quoted.
std::string ValueOf(const Effect& effect) {
  using enum EffectKind;
  if (!effect.value_known) return "?";
  if (effect.kind == kAdvisoryLock || effect.kind == kAdvisoryUnlock ||
      effect.kind == kSequenceRead || effect.kind == kSequenceAdvance) {
    return "(" + effect.value + ")";
  }
  return "'" + effect.value + "'";
}

}  // namespace

std::string Describe(const Effect& effect) {
  std::string text(Verb(effect.kind));
  if (!effect.name.empty()) {
    text += ' ';
    if (!effect.schema.empty()) text += effect.schema + '.';
    text += effect.name;
  }
  for (const std::string& type : effect.types) text += " <" + type + ">";
  if (!effect.value.empty() || !effect.value_known || effect.kind == EffectKind::kSetParameter ||
      effect.kind == EffectKind::kSetConfigCall) {
    text += " " + ValueOf(effect);
  }
  if (effect.scope == EffectScope::kTransaction && effect.kind != EffectKind::kSetTransaction)
    text += " local";
  if (effect.scope == EffectScope::kUnknown) text += " local?";
  if (effect.drops_on_commit) text += " on commit drop";
  if (effect.chained) text += " and chain";
  if (effect.conditional) text += " perhaps";
  return text;
}

}  // namespace trireme
