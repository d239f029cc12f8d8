// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/lexical_effects.h"

#include <algorithm>
#include <array>
#include <utility>

#include "sql/ascii.h"
#include "sql/first_word.h"
#include "sql/function_effects.h"
#include "sql/quote.h"
#include "sql/token_cursor.h"

namespace trireme {
namespace {

using enum EffectKind;
using Kind = SqlToken::Kind;

struct QualifiedName {
  std::string schema;
  std::string name;
};

QualifiedName TakeQualified(TokenCursor& cursor) {
  QualifiedName name;
  if (!cursor.peek().IsIdentifier()) return name;
  name.name = cursor.TakeValue();
  while (cursor.Take('.') && cursor.peek().IsIdentifier()) {
    name.schema = std::exchange(name.name, cursor.TakeValue());
  }
  return name;
}

// A parameter's name, with its dots.
std::string TakeParameterName(TokenCursor& cursor) {
  if (!cursor.peek().IsIdentifier()) return {};
  std::string name = cursor.TakeValue();
  while (cursor.Take('.')) name += '.' + cursor.TakeValue();
  return name;
}

// The rest of the statement as one line of words: READ ONLY, DEFERRABLE.
std::string TakeModes(TokenCursor& cursor) {
  std::string modes;
  while (!cursor.at_end()) {
    const SqlToken token = cursor.Take();
    if (!modes.empty() && token.text != ",") modes += ' ';
    for (const char c : token.text) {
      modes += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
  }
  return modes;
}

// The constant that is all of an argument, perhaps with one plain cast behind it. Reads up to the
// comma or parenthesis that ends it.
Argument TakeArgument(TokenCursor& cursor) {
  Argument argument;
  const bool negative = cursor.peek().IsOperator("-");
  if (negative) cursor.Take();
  const SqlToken first = cursor.peek();
  const bool word = first.IsWord("true") || first.IsWord("false") || first.IsConstantString();
  if (first.IsWord("null") && !negative) {
    argument.kind = Argument::Kind::kNull;
    cursor.Take();
  } else if (first.kind == Kind::kNumber || (word && !negative)) {
    if (const std::optional<std::string> value = TokenValue(first, cursor.rules())) {
      argument = {.kind = Argument::Kind::kConstant, .text = (negative ? "-" : "") + *value};
    }
    cursor.Take();
  }
  if (cursor.Take(':') && cursor.Take(':')) cursor.Take();  // a type of one word
  int depth = 0;
  while (!cursor.at_end()) {
    const SqlToken& next = cursor.peek();
    if (depth == 0 && (next.Is(',') || next.Is(')') || next.Is(';'))) break;
    depth += next.Is('(') || next.Is('[') ? 1 : 0;
    depth -= next.Is(')') || next.Is(']') ? 1 : 0;
    argument = {};
    cursor.Take();
  }
  return argument;
}

// From behind the opening parenthesis. More arguments than any session function has are not kept.
std::vector<Argument> Arguments(TokenCursor cursor) {
  constexpr size_t kArgumentsMax = 8;
  std::vector<Argument> arguments;
  if (cursor.peek().Is(')')) return arguments;
  do {
    arguments.push_back(TakeArgument(cursor));
  } while (arguments.size() < kArgumentsMax && cursor.Take(','));
  return arguments;
}

class Reading {
 public:
  Reading(std::string_view statement, TextRules rules) : cursor_(statement, rules) {}

  std::vector<Effect> Run();

 private:
  struct Handler {
    std::string_view word;
    void (Reading::*handle)();
  };
  static const std::array<Handler, 28> kHandlers;

  Effect& Add(EffectKind kind, std::string name = {}) {
    effects_.push_back({.kind = kind, .name = std::move(name)});
    return effects_.back();
  }
  void AddQualified(EffectKind kind) {
    QualifiedName name = TakeQualified(cursor_);
    Add(kind, std::move(name.name)).schema = std::move(name.schema);
  }

  void ReadSet();
  void ReadSetValue(std::string name, EffectScope scope);
  void ReadCharacteristics();
  bool ReadSpecialSet(EffectScope scope);
  void ReadReset();
  void ReadDiscard();
  void ReadPrepare();
  void ReadExecute() { Add(kExecute, cursor_.TakeValue()); }
  void ReadDeallocate();
  void ReadListen() { Add(kListen, cursor_.TakeValue()); }
  void ReadUnlisten();
  void ReadCreate();
  void ReadDrop();
  void ReadAlter();
  void ReadDeclare();
  void ReadClose();
  void ReadLoad() { Add(kLoad).value = cursor_.TakeValue(); }
  void ReadBegin();
  void ReadCommit();
  void ReadRollback();
  void ReadSavepoint() { Add(kSavepoint, cursor_.TakeValue()); }
  void ReadRelease();
  void ReadDo();
  void ReadCall() { AddQualified(kCall); }
  void ReadExplain();
  void ReadQuery() {}

  void ScanExpressions();
  void ScanName(const SqlToken& token);
  void ScanInto();

  TokenCursor cursor_;
  std::string schema_;  // of the name the scan is in
  std::vector<Effect> effects_;
};

const std::array<Reading::Handler, 28> Reading::kHandlers = {{
    {"set", &Reading::ReadSet},
    {"reset", &Reading::ReadReset},
    {"discard", &Reading::ReadDiscard},
    {"prepare", &Reading::ReadPrepare},
    {"execute", &Reading::ReadExecute},
    {"deallocate", &Reading::ReadDeallocate},
    {"listen", &Reading::ReadListen},
    {"unlisten", &Reading::ReadUnlisten},
    {"create", &Reading::ReadCreate},
    {"drop", &Reading::ReadDrop},
    {"alter", &Reading::ReadAlter},
    {"declare", &Reading::ReadDeclare},
    {"close", &Reading::ReadClose},
    {"load", &Reading::ReadLoad},
    {"begin", &Reading::ReadBegin},
    {"start", &Reading::ReadBegin},
    {"commit", &Reading::ReadCommit},
    {"end", &Reading::ReadCommit},
    {"rollback", &Reading::ReadRollback},
    {"abort", &Reading::ReadRollback},
    {"savepoint", &Reading::ReadSavepoint},
    {"release", &Reading::ReadRelease},
    {"do", &Reading::ReadDo},
    {"call", &Reading::ReadCall},
    {"explain", &Reading::ReadExplain},
    {"select", &Reading::ReadQuery},
    {"with", &Reading::ReadQuery},
    {"insert", &Reading::ReadQuery},
}};

std::vector<Effect> Reading::Run() {
  TokenCursor whole = cursor_;
  const SqlToken first = cursor_.Take();
  const auto* handler = std::find_if(kHandlers.begin(), kHandlers.end(),
                                     [&first](const Handler& h) { return first.IsWord(h.word); });
  if (handler != kHandlers.end()) {
    (this->*handler->handle)();
  } else if (FirstWordOf(whole.text(), TextPart::kWhole) == FirstWord::kUnknown) {
    Add(kUnknownStatement, std::string(CutToNameLength(first.text)));
  }
  cursor_ = whole;
  ScanExpressions();
  return std::move(effects_);
}

// Whether what was taken was a parameter's name, or its first part.
bool BeginsValue(const TokenCursor& cursor) {
  return cursor.peek().IsOperator("=") || cursor.peek().IsWord("to") || cursor.peek().Is('.');
}

// SET [SESSION | LOCAL] …
void Reading::ReadSet() {
  EffectScope scope = EffectScope::kSession;
  const TokenCursor before = cursor_;
  if (cursor_.TakeWord("local")) {
    scope = EffectScope::kTransaction;
  } else if (cursor_.TakeWord("session") && cursor_.TakeWord("characteristics")) {
    ReadCharacteristics();
    return;
  }
  if (BeginsValue(cursor_)) {  // a parameter of that name
    cursor_ = before;
    scope = EffectScope::kSession;
  }
  if (ReadSpecialSet(scope)) return;
  std::string name = TakeParameterName(cursor_);
  if (!cursor_.TakeWord("to") && cursor_.peek().IsOperator("=")) cursor_.Take();
  ReadSetValue(std::move(name), scope);
}

// The forms with a syntax of their own.
bool Reading::ReadSpecialSet(EffectScope scope) {
  struct Form {
    std::string_view word;
    std::string_view parameter;
  };
  constexpr Form kForms[] = {{"names", "client_encoding"},
                             {"schema", "search_path"},
                             {"role", "role"},
                             {"authorization", "session_authorization"}};
  const TokenCursor before = cursor_;
  if (cursor_.TakeWord("transaction") && !BeginsValue(cursor_)) {
    Effect& effect = Add(kSetTransaction);
    effect.scope = EffectScope::kTransaction;
    effect.value = TakeModes(cursor_);
    return true;
  }
  cursor_ = before;
  if (cursor_.TakeWord("constraints") && !BeginsValue(cursor_)) return true;
  cursor_ = before;
  if (cursor_.TakeWord("time") && cursor_.TakeWord("zone")) {
    if (cursor_.peek().IsWord("local")) {
      Add(kResetParameter, "timezone").scope = scope;
    } else {
      ReadSetValue("timezone", scope);
    }
    return true;
  }
  cursor_ = before;
  if (cursor_.TakeWord("xml") && cursor_.TakeWord("option")) {
    ReadSetValue("xmloption", scope);
    return true;
  }
  cursor_ = before;
  if (cursor_.TakeWord("session") && cursor_.TakeWord("authorization")) {
    ReadSetValue("session_authorization", scope);
    return true;
  }
  for (const Form& form : kForms) {
    cursor_ = before;
    if (!cursor_.TakeWord(form.word)) continue;
    if (BeginsValue(cursor_)) break;  // a parameter of that name
    ReadSetValue(std::string(form.parameter), scope);
    return true;
  }
  cursor_ = before;
  return false;
}

void Reading::ReadSetValue(std::string name, EffectScope scope) {
  Effect effect{.kind = kSetParameter, .scope = scope, .name = std::move(name)};
  if (effect.name.empty()) {
    Add(kUnknownStatement);
    return;
  }
  if (cursor_.at_end() || cursor_.peek().IsWord("default")) {
    effect.kind = kResetParameter;
    effects_.push_back(ParameterEffect(std::move(effect)));
    return;
  }
  std::vector<std::string> elements;
  bool more = true;
  while (more && !cursor_.at_end()) {
    std::string sign;
    while (cursor_.peek().IsOperator("-") || cursor_.peek().IsOperator("+")) {
      sign.assign(cursor_.Take().text == "-" ? 1 : 0, '-');
    }
    const std::optional<std::string> value = TokenValue(cursor_.Take(), cursor_.rules());
    if (!value) effect.value_known = false;
    elements.push_back(sign + value.value_or(std::string()));
    more = cursor_.Take(',');
  }
  if (!cursor_.at_end()) effect.value_known = false;
  if (effect.value_known) effect.value = StoredValue(effect.name, elements);
  const bool path = effect.value.find("pg_temp") != std::string::npos;
  effects_.push_back(ParameterEffect(std::move(effect)));
  if (path) Add(kUseTempSchema, "pg_temp");
}

// SET SESSION CHARACTERISTICS AS TRANSACTION modes: each sets a default.
void Reading::ReadCharacteristics() {
  while (!cursor_.at_end()) {
    if (cursor_.TakeWord("isolation")) {
      cursor_.TakeWord("level");
      std::string level = cursor_.TakeValue();
      if (level == "read" || level == "repeatable") level += ' ' + cursor_.TakeValue();
      Add(kSetParameter, "default_transaction_isolation").value = level;
    } else if (cursor_.TakeWord("read")) {
      Add(kSetParameter, "default_transaction_read_only").value =
          cursor_.peek().IsWord("only") ? "on" : "off";
    } else if (cursor_.TakeWord("not")) {
      Add(kSetParameter, "default_transaction_deferrable").value = "off";
      cursor_.Take();
    } else if (cursor_.TakeWord("deferrable")) {
      Add(kSetParameter, "default_transaction_deferrable").value = "on";
    } else {
      cursor_.Take();
    }
  }
}

void Reading::ReadReset() {
  std::string name;
  if (cursor_.TakeWord("all")) {
    Add(kResetAll);
    return;
  }
  if (cursor_.TakeWord("session")) {
    name = "session_authorization";
  } else if (cursor_.TakeWord("time")) {
    name = "timezone";
  } else if (cursor_.TakeWord("transaction")) {
    name = "transaction_isolation";
  } else {
    name = TakeParameterName(cursor_);
  }
  if (name.empty()) {
    Add(kUnknownStatement);
  } else {
    effects_.push_back(ParameterEffect({.kind = kResetParameter, .name = std::move(name)}));
  }
}

void Reading::ReadDiscard() {
  if (cursor_.TakeWord("plans")) {
    Add(kDiscardPlans);
  } else if (cursor_.TakeWord("sequences")) {
    Add(kDiscardSequences);
  } else if (cursor_.TakeWord("temp") || cursor_.TakeWord("temporary")) {
    Add(kDiscardTemp);
  } else {
    Add(kDiscardAll);
  }
}

void Reading::ReadPrepare() {
  if (cursor_.TakeWord("transaction")) {
    Add(kPrepareTransaction).value = cursor_.TakeValue();
    return;
  }
  PreparedParts parts = TakePreparedApart(cursor_.text(), cursor_.rules());
  Effect& effect = Add(kPrepare, std::move(parts.name));
  effect.value = std::move(parts.text);
  effect.types = std::move(parts.types);
}

void Reading::ReadDeallocate() {
  cursor_.TakeWord("prepare");
  if (cursor_.TakeWord("all")) {
    Add(kDeallocateAll);
  } else {
    Add(kDeallocate, cursor_.TakeValue());
  }
}

void Reading::ReadUnlisten() {
  if (cursor_.peek().IsOperator("*")) {
    Add(kUnlistenAll);
  } else {
    Add(kUnlisten, cursor_.TakeValue());
  }
}

// CREATE [OR REPLACE] [LOCAL | GLOBAL] [TEMP] [UNLOGGED] [RECURSIVE] TABLE | VIEW | SEQUENCE name,
// or name in pg_temp.
void Reading::ReadCreate() {
  bool temporary = false;
  EffectKind kind = kUnknownStatement;
  while (kind == kUnknownStatement) {
    if (cursor_.TakeWord("table")) {
      kind = kCreateTempTable;
    } else if (cursor_.TakeWord("view")) {
      kind = kCreateTempView;
    } else if (cursor_.TakeWord("sequence")) {
      kind = kCreateTempSequence;
    } else if (cursor_.TakeWord("temp") || cursor_.TakeWord("temporary")) {
      temporary = true;
    } else if (cursor_.peek().kind != Kind::kWord) {
      return;
    } else if (const SqlToken word = cursor_.Take();
               !word.IsWord("or") && !word.IsWord("replace") && !word.IsWord("local") &&
               !word.IsWord("global") && !word.IsWord("recursive")) {
      return;
    }
  }
  if (cursor_.TakeWord("if") && cursor_.TakeWord("not")) cursor_.TakeWord("exists");
  QualifiedName name = TakeQualified(cursor_);
  if (!temporary && !IsTempSchemaName(name.schema)) return;
  Effect& effect = Add(kind, std::move(name.name));
  effect.schema = std::move(name.schema);
  SqlToken before;
  while (!cursor_.at_end() && !effect.drops_on_commit) {
    const SqlToken token = cursor_.Take();
    effect.drops_on_commit = before.IsWord("commit") && token.IsWord("drop");
    before = token;
  }
}

void Reading::ReadDrop() {
  if (!cursor_.TakeWord("table") && !cursor_.TakeWord("view") && !cursor_.TakeWord("sequence")) {
    return;
  }
  if (cursor_.TakeWord("if")) cursor_.TakeWord("exists");
  do {
    AddQualified(kDropRelation);
  } while (cursor_.Take(','));
}

// ALTER TABLE | VIEW | SEQUENCE name RENAME TO name
void Reading::ReadAlter() {
  if (!cursor_.TakeWord("table") && !cursor_.TakeWord("view") && !cursor_.TakeWord("sequence")) {
    return;
  }
  if (cursor_.TakeWord("if")) cursor_.TakeWord("exists");
  cursor_.TakeWord("only");
  QualifiedName name = TakeQualified(cursor_);
  if (cursor_.peek().IsOperator("*")) cursor_.Take();
  if (!cursor_.TakeWord("rename") || !cursor_.TakeWord("to")) return;
  Effect& effect = Add(kRenameRelation, std::move(name.name));
  effect.schema = std::move(name.schema);
  effect.value = cursor_.TakeValue();
}

// DECLARE name … CURSOR WITH HOLD FOR …
void Reading::ReadDeclare() {
  std::string name = cursor_.TakeValue();
  while (!cursor_.at_end() && !cursor_.peek().IsWord("for")) {
    if (cursor_.TakeWord("with") && cursor_.TakeWord("hold")) {
      Add(kDeclareHeldCursor, std::move(name));
      return;
    }
    if (!cursor_.peek().IsWord("for") && !cursor_.peek().IsWord("with")) cursor_.Take();
  }
}

void Reading::ReadClose() {
  if (cursor_.TakeWord("all")) {
    Add(kCloseAllCursors);
  } else {
    Add(kCloseCursor, cursor_.TakeValue());
  }
}

void Reading::ReadBegin() {
  if (!cursor_.TakeWord("work")) cursor_.TakeWord("transaction");
  Add(kBegin).value = TakeModes(cursor_);
}

bool TakesChain(TokenCursor& cursor) {
  if (!cursor.TakeWord("work")) cursor.TakeWord("transaction");
  return cursor.TakeWord("and") && cursor.TakeWord("chain");
}

void Reading::ReadCommit() {
  if (cursor_.TakeWord("prepared")) {
    Add(kCommitPrepared).value = cursor_.TakeValue();
  } else {
    Add(kCommit).chained = TakesChain(cursor_);
  }
}

void Reading::ReadRollback() {
  if (cursor_.TakeWord("prepared")) {
    Add(kRollbackPrepared).value = cursor_.TakeValue();
    return;
  }
  const bool chained = TakesChain(cursor_);
  if (cursor_.TakeWord("to")) {
    cursor_.TakeWord("savepoint");
    Add(kRollbackTo, cursor_.TakeValue());
  } else {
    Add(kRollback).chained = chained;
  }
}

void Reading::ReadRelease() {
  cursor_.TakeWord("savepoint");
  Add(kRelease, cursor_.TakeValue());
}

// DO [LANGUAGE name] block [LANGUAGE name]
void Reading::ReadDo() {
  Effect& effect = Add(kDo);
  while (!cursor_.at_end()) {
    if (cursor_.TakeWord("language")) {
      cursor_.Take();
    } else if (cursor_.peek().IsConstantString()) {
      effect.value = cursor_.TakeValue();
    } else {
      cursor_.Take();
    }
  }
}

void Reading::ReadExplain() {
  if (cursor_.Take('(')) {
    while (!cursor_.at_end() && !cursor_.Take(')')) cursor_.Take();
  }
  while (cursor_.TakeWord("analyze") || cursor_.TakeWord("analyse") ||
         cursor_.TakeWord("verbose")) {
  }
  if (cursor_.TakeWord("declare")) {
    ReadDeclare();
  } else if (cursor_.TakeWord("create")) {
    ReadCreate();
  }
}

// What may stand anywhere in a statement.
void Reading::ScanExpressions() {
  SqlToken before;
  SqlToken dotted;  // the name before the last dot
  while (!cursor_.at_end()) {
    const SqlToken token = cursor_.Take();
    if (token.IsIdentifier()) {
      schema_ = before.Is('.') ? TokenValue(dotted, cursor_.rules()).value_or(std::string()) : "";
      dotted = token;
      const bool inner = before.kind != Kind::kEnd;
      if (token.IsWord("into")) ScanInto();
      if (inner && token.IsWord("execute")) {
        Add(kExecute, TokenValue(cursor_.peek(), cursor_.rules()).value_or(std::string()));
      }
      ScanName(token);
    } else if (token.kind == Kind::kUnterminated) {
      Add(kUnknownStatement);
    }
    before = token;
  }
}

void Reading::ScanName(const SqlToken& token) {
  const std::optional<std::string> name = TokenValue(token, cursor_.rules());
  // An escape that cannot be resolved here, or one by a character that UESCAPE names.
  const bool unknown = token.kind == Kind::kUnicodeIdentifier && cursor_.peek().IsWord("uescape");
  if (!name || unknown) {
    Add(kUnknownStatement);
    return;
  }
  if (IsTempSchemaName(*name)) Add(kUseTempSchema, *name);
  if (!cursor_.peek().Is('(')) return;
  const SessionFunction function = FindQualifiedFunction(schema_, *name);
  if (function == SessionFunction::kNone) return;
  TokenCursor arguments = cursor_;
  arguments.Take();
  Effect effect = FunctionEffect(function, *name, Arguments(arguments));
  effect.conditional = true;
  effects_.push_back(std::move(effect));
}

// INTO [LOCAL | GLOBAL] TEMP [TABLE] name, or INTO [TABLE] pg_temp.name
void Reading::ScanInto() {
  TokenCursor into = cursor_;
  if (!into.TakeWord("local")) into.TakeWord("global");
  const bool temporary = into.TakeWord("temp") || into.TakeWord("temporary");
  into.TakeWord("table");
  QualifiedName name = TakeQualified(into);
  if (!temporary && !IsTempSchemaName(name.schema)) return;
  Add(kCreateTempTable, std::move(name.name)).schema = std::move(name.schema);
}

}  // namespace

std::vector<Effect> LexicalEffects(std::string_view statement, TextRules rules) {
  return Reading(statement, rules).Run();
}

PreparedParts TakePreparedApart(std::string_view statement, TextRules rules) {
  PreparedParts parts;
  TokenCursor cursor(statement, rules);
  cursor.TakeWord("prepare");
  parts.name = cursor.TakeValue();
  if (cursor.Take('(')) {
    size_t begin = cursor.next_begin();
    int depth = 0;
    while (!cursor.at_end()) {
      const bool ends = depth == 0 && (cursor.peek().Is(',') || cursor.peek().Is(')'));
      if (ends) {
        std::string_view type = statement.substr(begin, cursor.next_begin() - begin);
        while (!type.empty() &&
               (type.back() == ' ' || (type.back() >= '\t' && type.back() <= '\r'))) {
          type.remove_suffix(1);
        }
        parts.types.emplace_back(type);
      }
      const SqlToken token = cursor.Take();
      if (ends && token.Is(')')) break;
      if (ends) begin = cursor.next_begin();
      depth += token.Is('(') ? 1 : 0;
      depth -= token.Is(')') ? 1 : 0;
    }
  }
  if (cursor.TakeWord("as")) parts.text = cursor.rest();
  return parts;
}

}  // namespace trireme
