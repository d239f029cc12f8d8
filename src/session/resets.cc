// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/resets.h"

#include "sql/quote.h"
#include "wire/parameters.h"
#include "wire/writer.h"

namespace trireme {
namespace {

// Not of parameters, nor of transactions; what was undone before it stays undone.
bool LeavesParameters(const Effect& effect) {
  switch (effect.kind) {
    case EffectKind::kSetTransaction:
    case EffectKind::kDiscardPlans:
    case EffectKind::kDiscardSequences:
    case EffectKind::kDiscardTemp:
    case EffectKind::kDeallocate:
    case EffectKind::kDeallocateAll:
    case EffectKind::kListen:
    case EffectKind::kUnlisten:
    case EffectKind::kUnlistenAll:
    case EffectKind::kAdvisoryUnlock:
    case EffectKind::kAdvisoryUnlockAll:
    case EffectKind::kCloseCursor:
    case EffectKind::kCloseAllCursors:
      return true;
    default:
      return false;
  }
}

}  // namespace

ParameterSet UndoneBy(const SessionEffects& effects, const ParameterSet& startup) {
  ParameterSet undone;
  if (startup.empty() || effects.reading == SessionEffects::Reading::kUnknown) return undone;
  for (const Effect& effect : effects.effects) {
    if (effect.kind == EffectKind::kResetParameter) {
      if (effect.conditional || effect.scope != EffectScope::kSession) return {};
      const std::string_view name = CurrentParameterName(effect.name);
      for (const ParameterSet::Entry& entry : startup.entries()) {
        if (CompareNames(entry.name, name) == 0) undone.Set(entry.name, entry.value);
      }
    } else if (effect.kind == EffectKind::kResetAll || effect.kind == EffectKind::kDiscardAll) {
      for (const ParameterSet::Entry& entry : startup.entries()) {
        // RESET ALL leaves the role alone, and DISCARD ALL takes it away.
        if (CompareNames(entry.name, "role") != 0) undone.Set(entry.name, entry.value);
      }
    } else if (!undone.empty() && !LeavesParameters(effect)) {
      return {};
    }
  }
  return undone;
}

std::string SqlToRestore(const ParameterSet& undone, const ParameterSet& has,
                         const ParameterSet& reported) {
  std::string sql;
  for (const ParameterSet::Entry& entry : undone.entries()) {
    const std::string* value =
        reported.Find(entry.name) != nullptr ? has.Find(entry.name) : nullptr;
    if (value != nullptr && *value == entry.value) continue;
    AppendExactSet(sql, {entry.name, entry.value});
  }
  return sql;
}

std::string Corrections(const ParameterSet& told, const ParameterSet& now,
                        const ParameterSet& reported) {
  std::string messages;
  MessageWriter writer(messages);
  for (const ParameterSet::Entry& entry : now.entries()) {
    if (reported.Find(entry.name) == nullptr) continue;
    const std::string* before = told.Find(entry.name);
    if (before != nullptr && *before == entry.value) continue;
    writer.ParameterStatus({entry.name, entry.value});
  }
  return messages;
}

}  // namespace trireme
