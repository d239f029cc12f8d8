// SPDX-License-Identifier: GPL-3.0-or-later
//
// One walk over the tree, parents first. A node that is a statement of interest is read by its
// handler in kHandlers, wherever it stands (EXPLAIN ANALYZE EXECUTE p); calls of session functions
// count where they would run now, not where they become part of a view, a trigger or a default.
#include "sql/tree_effects.h"

#include <algorithm>
#include <array>
#include <optional>

#include "sql/ascii.h"
#include "sql/function_effects.h"
#include "sql/lexical_effects.h"
#include "sql/quote.h"

namespace trireme {
namespace {

using enum EffectKind;

struct Literal {
  bool is_null = false;
  std::string text;
};

// A constant without the casts around it that keep its text.
std::optional<Literal> LiteralOf(TreeNode node) {
  constexpr std::array<std::string_view, 10> kKeep = {
      "text", "varchar", "name", "bool", "int2", "int4", "int8", "regclass", "cstring", "unknown"};
  for (int casts = 0; node.Is("TypeCast"); ++casts) {
    const std::vector<TreeNode> names = node.Child("type_name").Children("names");
    const std::string_view type = names.empty() ? std::string_view{} : names.back().Text("sval");
    if (casts == 4 || std::find(kKeep.begin(), kKeep.end(), type) == kKeep.end())
      return std::nullopt;
    node = node.Child("arg");
  }
  if (!node.Is("A_Const")) return std::nullopt;
  if (node.Number("isnull") != 0) return Literal{.is_null = true};
  if (const TreeNode text = node.Child("sval"))
    return Literal{.text = std::string(text.Text("sval"))};
  if (const TreeNode number = node.Child("ival")) {
    return Literal{.text = std::to_string(static_cast<int32_t>(number.Number("ival")))};
  }
  if (const TreeNode number = node.Child("fval")) {
    return Literal{.text = std::string(number.Text("fval"))};
  }
  if (const TreeNode truth = node.Child("boolval")) {
    return Literal{.text = truth.Number("boolval") != 0 ? "true" : "false"};
  }
  return std::nullopt;
}

Argument ArgumentOf(const TreeNode& node) {
  const std::optional<Literal> literal = LiteralOf(node);
  if (!literal) return {};
  if (literal->is_null) return {.kind = Argument::Kind::kNull};
  return {.kind = Argument::Kind::kConstant, .text = literal->text};
}

// ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE
std::string ModeOf(const TreeNode& option) {
  const std::string_view name = option.Text("defname");
  const std::string value = LiteralOf(option.Child("arg")).value_or(Literal{}).text;
  if (name == "transaction_isolation") {
    std::string level = value;
    std::transform(level.begin(), level.end(), level.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    return "ISOLATION LEVEL " + level;
  }
  if (name == "transaction_read_only") return value == "0" ? "READ WRITE" : "READ ONLY";
  if (name == "transaction_deferrable") return value == "0" ? "NOT DEFERRABLE" : "DEFERRABLE";
  return std::string(name);
}

std::string ModesOf(const std::vector<TreeNode>& options) {
  std::string modes;
  for (const TreeNode& option : options) {
    if (!modes.empty()) modes += ", ";
    modes += ModeOf(option);
  }
  return modes;
}

// A search path with it, or a parameter that nobody can tell.
bool NamesTempSchema(const Effect& effect) {
  return (effect.name.empty() || EqualsLower(effect.name, "search_path")) &&
         effect.value.find("pg_temp") != std::string::npos;
}

class Walk {
 public:
  Walk(std::string_view text, TextRules rules) : text_(text), rules_(rules) {}

  std::vector<Effect> Run(const TreeNode& statement) {
    FindCertainCalls(statement);
    Push(statement, Mode::kRun);
    while (!todo_.empty()) {
      const Step step = todo_.back();
      todo_.pop_back();
      Visit(step);
    }
    return std::move(effects_);
  }

 private:
  // Whether what is below a node runs with the statement, or is only written down.
  enum class Mode : uint8_t { kRun, kDefine };
  struct Step {
    TreeNode node;
    Mode mode;
  };
  struct Handler {
    std::string_view type;
    void (Walk::*handle)(const TreeNode&);
  };
  static const std::array<Handler, 26> kHandlers;

  void Visit(const Step& step);
  void Push(const TreeNode& node, Mode mode) {
    if (node) todo_.push_back({node, mode});
  }
  // All below `node`, first child first, but `without`.
  void PushBelow(const TreeNode& node, Mode mode, const TreeNode& without = {}) {
    std::vector<TreeNode> children = node.AllChildren();
    std::reverse(children.begin(), children.end());
    for (const TreeNode& child : children) {
      if (!without || !child.IsSame(without)) Push(child, mode);
    }
  }
  Effect& Add(EffectKind kind, std::string_view name = {}) {
    effects_.push_back({.kind = kind, .name = std::string(name)});
    return effects_.back();
  }

  void FindCertainCalls(const TreeNode& statement);
  void VisitCall(const TreeNode& call);

  void OnSet(const TreeNode& set);
  void OnSetMulti(const TreeNode& set);
  void OnSetValue(const TreeNode& set, EffectScope scope);
  void OnDiscard(const TreeNode& discard);
  void OnPrepare(const TreeNode& prepare);
  void OnExecute(const TreeNode& execute);
  void OnDeallocate(const TreeNode& deallocate);
  void OnListen(const TreeNode& listen);
  void OnUnlisten(const TreeNode& unlisten);
  void OnCreateTable(const TreeNode& create);
  void OnInto(const TreeNode& into);
  void OnCreateView(const TreeNode& create);
  void OnCreateSequence(const TreeNode& create);
  void OnDrop(const TreeNode& drop);
  void OnRename(const TreeNode& rename);
  void OnDeclare(const TreeNode& declare);
  void OnClose(const TreeNode& close);
  void OnLoad(const TreeNode& load);
  void OnTransaction(const TreeNode& transaction);
  void OnDo(const TreeNode& block);
  void OnCall(const TreeNode& call);
  void OnExplain(const TreeNode& explain);
  void OnDefinition(const TreeNode& definition) { PushBelow(definition, Mode::kDefine); }

  struct Temporary {
    EffectKind kind;
    std::string_view on_commit;
  };
  void AddTemporary(const TreeNode& relation, Temporary temporary);

  std::string_view text_;
  TextRules rules_;
  std::vector<Step> todo_;
  std::vector<TreeNode> certain_;
  std::vector<Effect> effects_;
};

const std::array<Walk::Handler, 26> Walk::kHandlers = {{
    {"VariableSetStmt", &Walk::OnSet},
    {"DiscardStmt", &Walk::OnDiscard},
    {"PrepareStmt", &Walk::OnPrepare},
    {"ExecuteStmt", &Walk::OnExecute},
    {"DeallocateStmt", &Walk::OnDeallocate},
    {"ListenStmt", &Walk::OnListen},
    {"UnlistenStmt", &Walk::OnUnlisten},
    {"CreateStmt", &Walk::OnCreateTable},
    {"IntoClause", &Walk::OnInto},
    {"ViewStmt", &Walk::OnCreateView},
    {"CreateSeqStmt", &Walk::OnCreateSequence},
    {"DropStmt", &Walk::OnDrop},
    {"RenameStmt", &Walk::OnRename},
    {"DeclareCursorStmt", &Walk::OnDeclare},
    {"ClosePortalStmt", &Walk::OnClose},
    {"LoadStmt", &Walk::OnLoad},
    {"TransactionStmt", &Walk::OnTransaction},
    {"DoStmt", &Walk::OnDo},
    {"CallStmt", &Walk::OnCall},
    {"ExplainStmt", &Walk::OnExplain},
    {"CreateFunctionStmt", &Walk::OnDefinition},
    {"AlterFunctionStmt", &Walk::OnDefinition},
    {"RuleStmt", &Walk::OnDefinition},
    {"AlterRoleSetStmt", &Walk::OnDefinition},
    {"AlterDatabaseSetStmt", &Walk::OnDefinition},
    {"AlterSystemStmt", &Walk::OnDefinition},
}};

void Walk::Visit(const Step& step) {
  const TreeNode& node = step.node;
  const std::string_view type = node.type();
  if (type == "A_Const") return;
  if (type == "RangeVar" && IsTempSchemaName(node.Text("schemaname"))) {
    Add(kUseTempSchema, node.Text("relname"));
  } else if (type == "String" && IsTempSchemaName(node.Text("sval"))) {
    Add(kUseTempSchema, node.Text("sval"));
  } else if (step.mode == Mode::kRun) {
    const auto* handler = std::find_if(kHandlers.begin(), kHandlers.end(),
                                       [type](const Handler& h) { return h.type == type; });
    if (handler != kHandlers.end()) {
      (this->*handler->handle)(node);
      return;
    }
    if (type == "FuncCall") VisitCall(node);
  }
  PushBelow(node, step.mode);
}

// SELECT f(…), g(…) without anything else runs each call exactly once.
void Walk::FindCertainCalls(const TreeNode& statement) {
  if (!statement.Is("SelectStmt")) return;
  for (const std::string_view field : statement.FieldNames()) {
    if (field != "target_list" && field != "limit_option" && field != "op") return;
  }
  for (const TreeNode& target : statement.Children("target_list")) {
    TreeNode value = target.Child("val");
    while (value.Is("TypeCast")) value = value.Child("arg");
    if (value.Is("FuncCall")) certain_.push_back(value);
  }
}

void Walk::VisitCall(const TreeNode& call) {
  const std::vector<TreeNode> names = call.Children("funcname");
  if (names.empty()) return;
  const std::string_view name = names.back().Text("sval");
  const std::string_view schema =
      names.size() > 1 ? names[names.size() - 2].Text("sval") : std::string_view{};
  const SessionFunction function = FindQualifiedFunction(schema, name);
  if (function == SessionFunction::kNone) return;
  std::vector<Argument> arguments;
  for (const TreeNode& argument : call.Children("args")) arguments.push_back(ArgumentOf(argument));
  Effect effect = FunctionEffect(function, name, arguments);
  effect.conditional = std::none_of(certain_.begin(), certain_.end(),
                                    [&call](const TreeNode& c) { return c.IsSame(call); });
  const bool path = effect.value_known && NamesTempSchema(effect);
  effects_.push_back(std::move(effect));
  if (path) Add(kUseTempSchema, "pg_temp");
}

void Walk::OnSet(const TreeNode& set) {
  const std::string_view kind = set.EnumName("kind");
  const EffectScope scope =
      set.Number("is_local") != 0 ? EffectScope::kTransaction : EffectScope::kSession;
  if (kind == "VAR_RESET_ALL") {
    Add(kResetAll);
  } else if (kind == "VAR_SET_MULTI") {
    OnSetMulti(set);
  } else if (kind == "VAR_SET_VALUE") {
    OnSetValue(set, scope);
  } else if (kind == "VAR_SET_DEFAULT" || kind == "VAR_RESET") {
    effects_.push_back(ParameterEffect(
        {.kind = kResetParameter, .scope = scope, .name = std::string(set.Text("name"))}));
  }
}

// SET TRANSACTION, and SET SESSION CHARACTERISTICS for the transactions to come.
void Walk::OnSetMulti(const TreeNode& set) {
  const std::vector<TreeNode> options = set.Children("args");
  if (set.Text("name") != "SESSION CHARACTERISTICS") {
    Effect& effect = Add(kSetTransaction);
    effect.scope = EffectScope::kTransaction;
    effect.value = set.Text("name") == "TRANSACTION" ? ModesOf(options) : "SNAPSHOT";
    return;
  }
  for (const TreeNode& option : options) {
    const std::string_view name = option.Text("defname");
    std::string value = LiteralOf(option.Child("arg")).value_or(Literal{}).text;
    if (name != "transaction_isolation") value = value == "0" ? "off" : "on";
    Add(kSetParameter, "default_" + std::string(name)).value = value;
  }
}

// SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE stores the text of the interval.
void Walk::OnSetValue(const TreeNode& set, EffectScope scope) {
  Effect effect{.kind = kSetParameter, .scope = scope, .name = std::string(set.Text("name"))};
  std::vector<std::string> elements;
  for (const TreeNode& argument : set.Children("args")) {
    std::optional<Literal> literal = LiteralOf(argument);
    if (!literal) literal = LiteralOf(argument.Child("arg"));
    if (argument.Is("TypeCast") && literal) {
      effect.value_known = literal->text.find(':') != std::string::npos;
      literal->text = "INTERVAL '" + literal->text + "'";
    }
    if (!literal) effect.value_known = false;
    elements.push_back(literal.value_or(Literal{}).text);
  }
  if (effect.value_known) effect.value = StoredValue(effect.name, elements);
  const bool path = NamesTempSchema(effect);
  effects_.push_back(ParameterEffect(std::move(effect)));
  if (path) Add(kUseTempSchema, "pg_temp");
}

void Walk::OnDiscard(const TreeNode& discard) {
  const std::string_view target = discard.EnumName("target");
  if (target == "DISCARD_PLANS") {
    Add(kDiscardPlans);
  } else if (target == "DISCARD_SEQUENCES") {
    Add(kDiscardSequences);
  } else if (target == "DISCARD_TEMP") {
    Add(kDiscardTemp);
  } else {
    Add(kDiscardAll);
  }
}

void Walk::OnPrepare(const TreeNode& prepare) {
  PreparedParts parts = TakePreparedApart(text_, rules_);
  Effect& effect = Add(kPrepare, prepare.Text("name"));
  effect.value = std::move(parts.text);
  effect.types = std::move(parts.types);
  PushBelow(prepare, Mode::kDefine);
}

void Walk::OnExecute(const TreeNode& execute) {
  Add(kExecute, execute.Text("name"));
  PushBelow(execute, Mode::kRun);
}

void Walk::OnDeallocate(const TreeNode& deallocate) {
  const std::string_view name = deallocate.Text("name");
  Add(name.empty() ? kDeallocateAll : kDeallocate, name);
}

void Walk::OnListen(const TreeNode& listen) { Add(kListen, listen.Text("conditionname")); }

void Walk::OnUnlisten(const TreeNode& unlisten) {
  const std::string_view name = unlisten.Text("conditionname");
  Add(name.empty() ? kUnlistenAll : kUnlisten, name);
}

void Walk::AddTemporary(const TreeNode& relation, Temporary temporary) {
  const std::string_view schema = relation.Text("schemaname");
  if (relation.Text("relpersistence") != "t" && !IsTempSchemaName(schema)) return;
  Effect& effect = Add(temporary.kind, relation.Text("relname"));
  effect.schema = schema;
  effect.drops_on_commit = temporary.on_commit == "ONCOMMIT_DROP";
}

void Walk::OnCreateTable(const TreeNode& create) {
  const TreeNode relation = create.Child("relation");
  AddTemporary(relation, {.kind = kCreateTempTable, .on_commit = create.EnumName("oncommit")});
  PushBelow(create, Mode::kDefine, relation);
}

void Walk::OnInto(const TreeNode& into) {
  const TreeNode relation = into.Child("rel");
  AddTemporary(relation, {.kind = kCreateTempTable, .on_commit = into.EnumName("on_commit")});
  PushBelow(into, Mode::kDefine, relation);
}

void Walk::OnCreateView(const TreeNode& create) {
  const TreeNode relation = create.Child("view");
  AddTemporary(relation, {.kind = kCreateTempView, .on_commit = {}});
  PushBelow(create, Mode::kDefine, relation);
}

void Walk::OnCreateSequence(const TreeNode& create) {
  const TreeNode relation = create.Child("sequence");
  AddTemporary(relation, {.kind = kCreateTempSequence, .on_commit = {}});
  PushBelow(create, Mode::kDefine, relation);
}

void Walk::OnDrop(const TreeNode& drop) {
  const std::string_view type = drop.EnumName("remove_type");
  if (type != "OBJECT_TABLE" && type != "OBJECT_VIEW" && type != "OBJECT_SEQUENCE") {
    PushBelow(drop, Mode::kDefine);
    return;
  }
  for (const TreeNode& object : drop.Children("objects")) {
    const std::vector<TreeNode> names = object.Children("items");
    if (names.empty()) continue;
    Effect& effect = Add(kDropRelation, names.back().Text("sval"));
    if (names.size() > 1) effect.schema = names[names.size() - 2].Text("sval");
  }
}

void Walk::OnRename(const TreeNode& rename) {
  const std::string_view type = rename.EnumName("rename_type");
  if (type != "OBJECT_TABLE" && type != "OBJECT_VIEW" && type != "OBJECT_SEQUENCE") {
    PushBelow(rename, Mode::kDefine);
    return;
  }
  const TreeNode relation = rename.Child("relation");
  Effect& effect = Add(kRenameRelation, relation.Text("relname"));
  effect.schema = relation.Text("schemaname");
  effect.value = rename.Text("newname");
}

void Walk::OnDeclare(const TreeNode& declare) {
  constexpr int64_t kWithHold = 0x20;  // CURSOR_OPT_HOLD
  if ((declare.Number("options") & kWithHold) != 0) {
    Add(kDeclareHeldCursor, declare.Text("portalname"));
  }
  PushBelow(declare, Mode::kRun);
}

void Walk::OnClose(const TreeNode& close) {
  const std::string_view name = close.Text("portalname");
  Add(name.empty() ? kCloseAllCursors : kCloseCursor, name);
}

void Walk::OnLoad(const TreeNode& load) { Add(kLoad).value = load.Text("filename"); }

void Walk::OnTransaction(const TreeNode& transaction) {
  struct Entry {
    std::string_view name;
    EffectKind kind;
  };
  constexpr Entry kEntries[] = {
      {"TRANS_STMT_BEGIN", kBegin},
      {"TRANS_STMT_START", kBegin},
      {"TRANS_STMT_COMMIT", kCommit},
      {"TRANS_STMT_ROLLBACK", kRollback},
      {"TRANS_STMT_SAVEPOINT", kSavepoint},
      {"TRANS_STMT_RELEASE", kRelease},
      {"TRANS_STMT_ROLLBACK_TO", kRollbackTo},
      {"TRANS_STMT_PREPARE", kPrepareTransaction},
      {"TRANS_STMT_COMMIT_PREPARED", kCommitPrepared},
      {"TRANS_STMT_ROLLBACK_PREPARED", kRollbackPrepared},
  };
  const std::string_view kind = transaction.EnumName("kind");
  for (const Entry& entry : kEntries) {
    if (entry.name != kind) continue;
    Effect& effect = Add(entry.kind, transaction.Text("savepoint_name"));
    effect.chained = transaction.Number("chain") != 0;
    effect.value = entry.kind == kBegin ? ModesOf(transaction.Children("options"))
                                        : std::string(transaction.Text("gid"));
  }
}

void Walk::OnDo(const TreeNode& block) {
  Effect& effect = Add(kDo);
  for (const TreeNode& option : block.Children("args")) {
    if (option.Text("defname") == "as") effect.value = option.Child("arg").Text("sval");
  }
}

void Walk::OnCall(const TreeNode& call) {
  const std::vector<TreeNode> names = call.Child("funccall").Children("funcname");
  Effect& effect = Add(kCall, names.empty() ? std::string_view{} : names.back().Text("sval"));
  if (names.size() > 1) effect.schema = names[names.size() - 2].Text("sval");
  PushBelow(call, Mode::kRun);
}

// EXPLAIN runs its statement only with ANALYZE, but plans EXECUTE in any case.
void Walk::OnExplain(const TreeNode& explain) {
  Mode mode = Mode::kDefine;
  for (const TreeNode& option : explain.Children("options")) {
    if (option.Text("defname") != "analyze") continue;
    const TreeNode argument = option.Child("arg");
    const std::string value = FoldedAscii(argument ? argument.Text("sval") : "true");
    const bool off = value == "false" || value == "off" ||
                     (argument.Is("Integer") && argument.Number("ival") == 0);
    mode = off ? Mode::kDefine : Mode::kRun;
  }
  const TreeNode query = explain.Child("query");
  if (mode == Mode::kDefine) {
    if (query.Is("ExecuteStmt")) Add(kExecute, query.Text("name"));
    const TreeNode inner = query.Is("CreateTableAsStmt") ? query.Child("query") : TreeNode();
    if (inner.Is("ExecuteStmt")) Add(kExecute, inner.Text("name"));
  }
  Push(query, mode);
}

}  // namespace

std::vector<Effect> TreeEffects(const TreeNode& statement, std::string_view text, TextRules rules) {
  return Walk(text, rules).Run(statement);
}

}  // namespace trireme
