// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/function_effects.h"

#include <algorithm>

#include "sql/ascii.h"
#include "sql/quote.h"

namespace trireme {
namespace {

using Kind = Argument::Kind;

bool IsOneOf(std::string_view text, std::initializer_list<std::string_view> names) {
  return std::any_of(names.begin(), names.end(),
                     [text](std::string_view name) { return EqualsLower(text, name); });
}

// parse_bool of the server also takes prefixes; those are unknown here.
EffectScope ScopeOf(const Argument& is_local) {
  if (is_local.kind != Kind::kConstant) return EffectScope::kUnknown;
  if (IsOneOf(is_local.text, {"true", "t", "on", "yes", "y", "1"}))
    return EffectScope::kTransaction;
  if (IsOneOf(is_local.text, {"false", "f", "off", "no", "n", "0"})) return EffectScope::kSession;
  return EffectScope::kUnknown;
}

// set_config(name, value, is_local)
Effect SetConfigEffect(std::span<const Argument> arguments) {
  Effect effect{
      .kind = EffectKind::kSetConfigCall, .scope = EffectScope::kUnknown, .value_known = false};
  if (arguments.size() != 3) return effect;
  effect.scope = ScopeOf(arguments[2]);
  if (arguments[0].kind == Kind::kConstant) {
    effect.name = CurrentParameterName(arguments[0].text);
  }
  if (arguments[1].kind == Kind::kConstant) {
    effect.value = arguments[1].text;
    effect.value_known = true;
  } else if (arguments[1].kind == Kind::kNull) {
    effect.kind = EffectKind::kResetParameter;
    effect.value_known = true;
  }
  return effect;
}

EffectKind KindOf(SessionFunction function) {
  switch (function) {
    case SessionFunction::kNone:
    case SessionFunction::kOther:
      return EffectKind::kSessionFunction;
    case SessionFunction::kSetConfig:
      return EffectKind::kSetConfigCall;
    case SessionFunction::kAdvisoryLock:
      return EffectKind::kAdvisoryLock;
    case SessionFunction::kAdvisoryUnlock:
      return EffectKind::kAdvisoryUnlock;
    case SessionFunction::kAdvisoryUnlockAll:
      return EffectKind::kAdvisoryUnlockAll;
    case SessionFunction::kSequenceRead:
      return EffectKind::kSequenceRead;
    case SessionFunction::kSequenceAdvance:
      return EffectKind::kSequenceAdvance;
  }
  return EffectKind::kSessionFunction;
}

}  // namespace

Effect FunctionEffect(SessionFunction function, std::string_view name,
                      std::span<const Argument> arguments) {
  if (function == SessionFunction::kSetConfig) return SetConfigEffect(arguments);
  Effect effect{.kind = KindOf(function), .name = std::string(name)};
  const bool sequence = function == SessionFunction::kSequenceAdvance;
  for (const Argument& argument :
       arguments.first(std::min<size_t>(arguments.size(), sequence ? 1 : 2))) {
    if (argument.kind != Kind::kConstant) effect.value_known = false;
    if (&argument != &arguments.front()) effect.value += ",";
    effect.value += argument.text;
  }
  if (!effect.value_known) effect.value.clear();
  return effect;
}

SessionFunction FindQualifiedFunction(std::string_view schema, std::string_view name) {
  const SessionFunction function = FindSessionFunction(name);
  if (schema.empty() || schema == "pg_catalog" || function == SessionFunction::kOther) {
    return function;
  }
  return SessionFunction::kNone;
}

bool IsTempSchemaName(std::string_view name) {
  return name == "pg_temp" || name.starts_with("pg_temp_");
}

Effect ParameterEffect(Effect set) {
  using enum EffectKind;
  set.name = CurrentParameterName(set.name);
  if (IsOneOf(set.name,
              {"transaction_isolation", "transaction_read_only", "transaction_deferrable"})) {
    set.value = set.name + (set.kind == kResetParameter ? " = DEFAULT" : " = " + set.value);
    set.kind = kSetTransaction;
    set.scope = EffectScope::kTransaction;
    set.name.clear();
  } else if (set.kind == kSetParameter && EqualsLower(set.name, "role")) {
    set.kind = kSetRole;
    set.name.clear();
  } else if (set.kind == kSetParameter && EqualsLower(set.name, "session_authorization")) {
    set.kind = kSetSessionAuthorization;
    set.name.clear();
  }
  return set;
}

}  // namespace trireme
