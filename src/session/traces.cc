// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/traces.h"

#include <algorithm>
#include <array>

#include "sql/quote.h"
#include "sql/session_functions.h"
#include "wire/command.h"
#include "wire/parameters.h"
#include "wire/reader.h"

namespace trireme {
namespace {

struct PinName {
  Pins pin;
  std::string_view name;
};
constexpr auto kPinNames = std::to_array<PinName>({
    {pin::kTemporary, "temporary objects"},
    {pin::kAdvisoryLock, "advisory lock"},
    {pin::kHeldCursor, "cursor WITH HOLD"},
    {pin::kListen, "LISTEN"},
    {pin::kPrepared, "PREPARE"},
    {pin::kAuthorization, "session authorization"},
    {pin::kSequence, "currval"},
    {pin::kLibrary, "LOAD"},
    {pin::kOther, "session function"},
    {pin::kUnknown, "unknown"},
});

// Operators and functions by their full names: the client's search_path must not lend them another
// meaning.
struct PinQuestion {
  Pins pin;
  std::string_view sql;
};
constexpr auto kPinQuestions = std::to_array<PinQuestion>({
    {pin::kTemporary,
     "EXISTS (SELECT FROM pg_catalog.pg_depend WHERE refclassid OPERATOR(pg_catalog.=) "
     "'pg_catalog.pg_namespace'::pg_catalog.regclass AND refobjid OPERATOR(pg_catalog.=) "
     "pg_catalog.pg_my_temp_schema())"},
    {pin::kAdvisoryLock,
     "EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype OPERATOR(pg_catalog.=) 'advisory' "
     "AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())"},
    {pin::kHeldCursor, "EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)"},
    {pin::kListen, "EXISTS (SELECT FROM pg_catalog.pg_listening_channels())"},
    {pin::kPrepared, "EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql)"},
});

// Between names and values of parameters, neither of which has such bytes in practice; a client
// that puts them there confuses nobody but itself.
constexpr char kBetweenPairs = '\x02';
constexpr char kWithinPair = '\x01';
// role is in no view up to PostgreSQL 15.
constexpr std::string_view kAllParameters =
    "pg_catalog.concat((SELECT pg_catalog.string_agg(pg_catalog.concat(name, E'\\x01', "
    "pg_catalog.current_setting(name, true)), E'\\x02') FROM pg_catalog.pg_settings WHERE source "
    "OPERATOR(pg_catalog.=) 'session' AND name OPERATOR(pg_catalog.<>) 'role'), E'\\x02role\\x01', "
    "pg_catalog.current_setting('role'))";

bool Contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void AddParameter(Doubt& doubt, std::string_view name) {
  if (name.empty()) {
    doubt.all_parameters = true;
    return;
  }
  std::string lower = AsciiLower(CurrentParameterName(name));
  if (!Contains(doubt.parameters, lower)) doubt.parameters.push_back(std::move(lower));
}

void AddFunction(Touch& touch, SessionFunction function, Pins held) {
  switch (function) {
    case SessionFunction::kNone:
      return;
    case SessionFunction::kSetConfig:
      touch.doubt.all_parameters = true;
      return;
    case SessionFunction::kAdvisoryLock:
      touch.doubt.pins |= pin::kAdvisoryLock;
      return;
    case SessionFunction::kAdvisoryUnlock:
    case SessionFunction::kAdvisoryUnlockAll:
      touch.doubt.pins |= held & pin::kAdvisoryLock;
      return;
    case SessionFunction::kSequenceRead:
      touch.reads_sequences = true;
      return;
    case SessionFunction::kSequenceAdvance:
      touch.advances_sequences = true;
      return;
    case SessionFunction::kOther:
      touch.certain |= pin::kOther;
      return;
  }
}

void AddAnything(Touch& touch) {
  touch.doubt.Add(TouchOfAnything().doubt);
  touch.advances_sequences = true;
}

void AddEffect(Touch& touch, const Effect& effect, Pins held) {
  Doubt& doubt = touch.doubt;
  switch (effect.kind) {
    case EffectKind::kSetParameter:
    case EffectKind::kSetConfigCall:
      if (effect.scope != EffectScope::kTransaction) AddParameter(doubt, effect.name);
      return;
    case EffectKind::kResetParameter:  // a value alone does not tell whether it was set
      doubt.all_parameters |= effect.scope != EffectScope::kTransaction;
      return;
    case EffectKind::kSetRole:
      if (effect.scope != EffectScope::kTransaction) AddParameter(doubt, "role");
      return;
    case EffectKind::kSetSessionAuthorization:
      AddParameter(doubt, "role");  // the pin follows from what the server reports
      return;
    case EffectKind::kResetAll:
      doubt.all_parameters = true;
      return;
    case EffectKind::kDiscardAll:
      doubt.all_parameters = true;
      doubt.pins |= held & pin::kAnswerable;
      return;
    case EffectKind::kDiscardTemp:
    case EffectKind::kDropRelation:
      doubt.pins |= held & pin::kTemporary;
      return;
    case EffectKind::kPrepare:
      doubt.pins |= pin::kPrepared;
      return;
    case EffectKind::kDeallocate:
    case EffectKind::kDeallocateAll:
      doubt.pins |= held & pin::kPrepared;
      return;
    case EffectKind::kExecute:  // of what nobody has read here
      if ((held & pin::kPrepared) != 0) AddAnything(touch);
      return;
    case EffectKind::kListen:
      doubt.pins |= pin::kListen;
      return;
    case EffectKind::kUnlisten:
    case EffectKind::kUnlistenAll:
      doubt.pins |= held & pin::kListen;
      return;
    case EffectKind::kCreateTempTable:
    case EffectKind::kCreateTempView:
    case EffectKind::kCreateTempSequence:
    case EffectKind::kUseTempSchema:
      doubt.pins |= pin::kTemporary;
      return;
    case EffectKind::kAdvisoryLock:
      return AddFunction(touch, SessionFunction::kAdvisoryLock, held);
    case EffectKind::kAdvisoryUnlock:
    case EffectKind::kAdvisoryUnlockAll:
      return AddFunction(touch, SessionFunction::kAdvisoryUnlock, held);
    case EffectKind::kDeclareHeldCursor:
      doubt.pins |= pin::kHeldCursor;
      return;
    case EffectKind::kCloseCursor:
    case EffectKind::kCloseAllCursors:
      doubt.pins |= held & pin::kHeldCursor;
      return;
    case EffectKind::kLoad:
      touch.certain |= pin::kLibrary;
      return;
    case EffectKind::kSequenceRead:
      return AddFunction(touch, SessionFunction::kSequenceRead, held);
    case EffectKind::kSequenceAdvance:
    case EffectKind::kInsert:
      return AddFunction(touch, SessionFunction::kSequenceAdvance, held);
    case EffectKind::kSessionFunction:
      return AddFunction(touch, SessionFunction::kOther, held);
    case EffectKind::kDo:
      return AddAnything(touch);
    case EffectKind::kCommit:  // ON COMMIT DROP
      doubt.pins |= held & pin::kTemporary;
      return;
    case EffectKind::kSetTransaction:
    case EffectKind::kDiscardPlans:
    case EffectKind::kDiscardSequences:
    case EffectKind::kRenameRelation:
    case EffectKind::kBegin:
    case EffectKind::kRollback:
    case EffectKind::kSavepoint:
    case EffectKind::kRollbackTo:
    case EffectKind::kRelease:
    case EffectKind::kPrepareTransaction:
    case EffectKind::kCommitPrepared:
    case EffectKind::kRollbackPrepared:
    case EffectKind::kCall:              // as little is known of it as of a function
    case EffectKind::kUnknownStatement:  // no PostgreSQL runs it
      return;
  }
}

bool StructuresTransaction(const Effect& effect) {
  switch (effect.kind) {
    case EffectKind::kBegin:
    case EffectKind::kCommit:
    case EffectKind::kRollback:
    case EffectKind::kSavepoint:
    case EffectKind::kRollbackTo:
    case EffectKind::kRelease:
    case EffectKind::kPrepareTransaction:
    case EffectKind::kDo:
    case EffectKind::kCall:
      return true;
    default:
      return false;
  }
}

bool IsPlainEffect(const Effect& effect, Pins held) {
  if (effect.conditional) return false;
  switch (effect.kind) {
    case EffectKind::kSetParameter:
      return effect.value_known && !effect.name.empty() && effect.scope != EffectScope::kUnknown;
    case EffectKind::kSetRole:
      return effect.value_known && effect.scope != EffectScope::kUnknown;
    case EffectKind::kResetParameter:
      return !effect.name.empty() && effect.scope != EffectScope::kUnknown;
    case EffectKind::kResetAll:
    case EffectKind::kDiscardPlans:
    case EffectKind::kSetTransaction:
      return true;
    case EffectKind::kDiscardAll:
      return (held & pin::kAnswerable) == 0;
    default:
      break;
  }
  // Nothing at all, as things stand.
  Touch touch;
  AddEffect(touch, effect, held);
  return touch.doubt.empty() && touch.certain == 0 && !StructuresTransaction(effect);
}

// Back to what the client asked for at login.
void ResetOne(SessionParameters& parameters, std::string_view name, const LoginParameters& login) {
  const std::string* before = login.startup.Find(name);
  if (before != nullptr) {
    parameters.wish.Set(name, *before);
  } else if (!login.Reports(name)) {  // what it reports it has told already
    parameters.wish.Remove(name);
  }
  if (!login.Reports(name)) parameters.has.Remove(name);
}

// Of everybody, each perhaps several times.
std::vector<std::string> AllNames(const SessionParameters& parameters,
                                  const ParameterSet& startup) {
  std::vector<std::string> names;
  const ParameterSet* const sets[] = {&parameters.wish, &parameters.has, &startup};
  for (const ParameterSet* set : sets) {
    for (const ParameterSet::Entry& entry : set->entries()) names.push_back(entry.name);
  }
  return names;
}

void ResetEvery(SessionParameters& parameters, const LoginParameters& login) {
  for (const std::string& name : AllNames(parameters, login.startup)) {
    ResetOne(parameters, name, login);
  }
}

void SetOne(SessionParameters& parameters, std::string_view name, std::string_view value) {
  parameters.wish.Set(name, value);
  parameters.has.Set(name, value);
}

std::optional<std::string> TextOfColumn(MessageReader& reader) {
  const uint32_t size = reader.Int32();
  if (size == UINT32_MAX) return std::nullopt;
  return std::string(AsText(reader.Take(size)));
}

void SplitAll(std::string_view text, Answer& answer) {
  while (!text.empty()) {
    const size_t end = std::min(text.find(kBetweenPairs), text.size());
    const std::string_view pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t middle = pair.find(kWithinPair);
    if (middle == std::string_view::npos) continue;
    const std::string_view name = pair.substr(0, middle);
    const std::string_view value = pair.substr(middle + 1);
    if (CompareNames(name, "role") == 0 && value == "none") continue;
    answer.parameters.emplace_back(name, value);
  }
}

}  // namespace

std::string DescribePins(Pins pins) {
  std::string text;
  for (const PinName& each : kPinNames) {
    if ((pins & each.pin) == 0) continue;
    if (!text.empty()) text += ", ";
    text += each.name;
  }
  return text;
}

void Doubt::Add(const Doubt& other) {
  pins |= other.pins;
  all_parameters |= other.all_parameters;
  for (const std::string& name : other.parameters) {
    if (!Contains(parameters, name)) parameters.push_back(name);
  }
}

void Doubt::DropReported(const ParameterSet& reported) {
  const auto told = [&](const std::string& name) { return reported.Find(name) != nullptr; };
  parameters.erase(std::remove_if(parameters.begin(), parameters.end(), told), parameters.end());
}

Touch TouchOf(const SessionEffects& effects, Pins held) {
  if (effects.reading == SessionEffects::Reading::kUnknown) return TouchOfAnything();
  Touch touch;
  // What an earlier statement of the text has made, a later one may undo.
  for (const Effect& effect : effects.effects) {
    AddEffect(touch, effect, held | touch.doubt.pins);
  }
  return touch;
}

Touch TouchOf(uint32_t function_oid, Pins held) {
  Touch touch;
  AddFunction(touch, FindSessionFunction(function_oid), held);
  return touch;
}

Touch TouchOfAnything() {
  return {.doubt = {.pins = pin::kAnswerable, .all_parameters = true, .parameters = {}},
          .advances_sequences = true};
}

const Effect* PinningEffect(const SessionEffects& effects) {
  for (const Effect& effect : effects.effects) {
    if (effect.drops_on_commit) continue;  // gone before the server is given back
    if (effect.kind == EffectKind::kDo) continue;
    if (effect.kind == EffectKind::kSetSessionAuthorization) return &effect;
    Touch touch;
    AddEffect(touch, effect, 0);
    if (touch.doubt.pins != 0 || touch.certain != 0 || touch.reads_sequences) return &effect;
  }
  return nullptr;
}

std::string Question(const Doubt& doubt) {
  std::string sql = "SELECT ";
  std::string_view separator;
  const auto add = [&](std::string_view item) {
    sql += separator;
    sql += item;
    separator = ",\n";
  };
  for (const PinQuestion& each : kPinQuestions) {
    if ((doubt.pins & each.pin) != 0) add(each.sql);
  }
  if (doubt.all_parameters) {
    add(kAllParameters);
    return sql;
  }
  for (const std::string& name : doubt.parameters) {
    std::string item = "pg_catalog.current_setting(";
    AppendLiteral(item, name);
    item += ", true)";
    add(item);
  }
  return sql;
}

std::optional<Answer> ParseAnswer(Bytes row, const Doubt& doubt) {
  MessageReader reader(row);
  uint16_t columns = reader.Int16();
  Answer answer{.complete = doubt.all_parameters};
  for (const PinQuestion& each : kPinQuestions) {
    if ((doubt.pins & each.pin) == 0) continue;
    const std::optional<std::string> text = TextOfColumn(reader);
    --columns;
    if (!text || (*text != "t" && *text != "f")) return std::nullopt;
    if (*text == "t") answer.pins |= each.pin;
  }
  if (doubt.all_parameters) {
    const std::optional<std::string> text = TextOfColumn(reader);
    --columns;
    if (!text) return std::nullopt;
    SplitAll(*text, answer);
  } else {
    for (const std::string& name : doubt.parameters) {
      std::optional<std::string> value = TextOfColumn(reader);
      --columns;
      if (name == "role" && value == "none") value.reset();
      answer.parameters.emplace_back(name, std::move(value));
    }
  }
  if (columns != 0 || !reader.AtEnd()) return std::nullopt;
  return answer;
}

bool ErrorUndoes(const SessionEffects& effects, Pins held) {
  return effects.reading != SessionEffects::Reading::kUnknown &&
         std::none_of(effects.effects.begin(), effects.effects.end(), [held](const Effect& effect) {
           Touch touch;
           AddEffect(touch, effect, effect.kind == EffectKind::kDiscardAll ? Pins{0} : held);
           return (touch.doubt.pins & pin::kAdvisoryLock) != 0 || touch.certain != 0 ||
                  StructuresTransaction(effect);
         });
}

bool IsPlain(const SessionEffects& effects, Pins held) {
  return effects.reading == SessionEffects::Reading::kParsed &&
         std::all_of(effects.effects.begin(), effects.effects.end(),
                     [held](const Effect& effect) { return IsPlainEffect(effect, held); });
}

SessionParameters ApplyPlain(const SessionEffects& effects, SessionParameters before,
                             const LoginParameters& login) {
  for (const Effect& effect : effects.effects) {
    if (effect.scope == EffectScope::kTransaction) continue;
    if (effect.kind == EffectKind::kSetRole) {
      if (effect.value == "none") {
        before.wish.Remove("role");
        before.has.Remove("role");
      } else {
        SetOne(before, "role", effect.value);
      }
    } else if (effect.kind == EffectKind::kSetParameter) {
      const std::string_view name = CurrentParameterName(effect.name);
      if (!login.Reports(name)) SetOne(before, name, effect.value);
    } else if (effect.kind == EffectKind::kResetParameter) {
      ResetOne(before, CurrentParameterName(effect.name), login);
    } else if (effect.kind == EffectKind::kResetAll || effect.kind == EffectKind::kDiscardAll) {
      ResetEvery(before, login);
    }
  }
  return before;
}

SessionParameters ApplyAnswer(const Answer& answer, SessionParameters before,
                              const LoginParameters& login, const ParameterSet& earlier) {
  // Its value is that of a new session because it was before, and not because it was reset.
  const auto unchanged = [&](const std::string& name) {
    const std::string* then = earlier.Find(name);
    const std::string* now = before.wish.Find(name);
    return login.Reports(name) && then != nullptr && now != nullptr && *then == *now;
  };
  ParameterSet set;  // in this session
  for (const auto& [name, value] : answer.parameters) {
    if (value) set.Set(name, *value);
  }
  if (answer.complete) {
    for (const std::string& name : AllNames(before, login.startup)) {
      if (set.Find(name) == nullptr && !unchanged(name)) ResetOne(before, name, login);
    }
  } else {
    for (const auto& [name, value] : answer.parameters) {
      if (!value) ResetOne(before, name, login);
    }
  }
  for (const ParameterSet::Entry& entry : set.entries()) {
    if (!login.Reports(entry.name)) SetOne(before, entry.name, entry.value);
  }
  return before;
}

}  // namespace trireme
