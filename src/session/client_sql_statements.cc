// SPDX-License-Identifier: GPL-3.0-or-later
//
// PostgreSQL has one name space for statements prepared by the protocol and by SQL. Here the former
// have other names on the server, and are not the server's to close: DEALLOCATE and EXECUTE of them
// are rewritten. Those of SQL are the server's alone, which the client keeps (pin::kPrepared): the
// protocol's Bind, Describe and Close of them pass as they are.
#include <algorithm>
#include <string>
#include <utility>

#include "session/client.h"
#include "session/clients.h"
#include "sql/execute_name.h"
#include "wire/messages.h"
#include "wire/parameters.h"
#include "wire/writer.h"

namespace trireme {

bool Client::DeallocatesOurs(const SessionEffects& effects) const {
  if (effects.statement_count != 1 || effects.effects.size() != 1) return false;
  const Effect& effect = effects.effects.front();
  if (kept_statements() == nullptr || effect.conditional ||
      server_->replies().status() == TransactionStatus::kFailed) {
    return false;
  }
  if (effect.kind == EffectKind::kDeallocateAll) {
    return (PinsPerhaps() & (pin::kPrepared | pin::kUnknown)) == 0;
  }
  return effect.kind == EffectKind::kDeallocate && statements_ != nullptr &&
         statements_->Find(effect.name) != nullptr;
}

// False: what came before it has to be answered first.
bool Client::AnswerDeallocate(const SessionEffects& effects) {
  Replies& replies = server_->replies();
  if (replies
          .needs_sync()) {  // a simple query ends the implicit transaction, and is answered after
    std::string message;
    MessageWriter(message).Sync();
    replies.Expect(Request::kSync, Disposition::kSkip);
    server_->stream().SendCopy(AsBytes(message));
  }
  if (!replies.owed().empty()) return false;
  const Effect& effect = effects.effects.front();
  static constexpr Replies::Outcome kDone{.notes = {.server = false, .client = true},
                                          .answered = true};
  std::string_view tag = "DEALLOCATE";
  if (effect.kind == EffectKind::kDeallocateAll) {
    tag = "DEALLOCATE ALL";
    if (statements_ != nullptr) statements_->OnDiscarded();
  } else {
    statements_->Remove(effect.name);
    statements_->OnOutcomes({&kDone, 1});
  }
  requests_.ForgetUnnamed();  // as every simple query
  requests_.Drop(ReadHead(inbox_.Front().data()).total_size());
  std::string text;
  MessageWriter writer(text);
  writer.CommandComplete(tag);
  writer.ReadyForQuery(replies.status());
  SendText(text);
  return true;
}

// In the extended protocol its answers are the server's, so the server must have it, and loses it;
// who else uses it prepares it again. When the pipeline fails the client has lost it nevertheless.
void Client::DeallocateOnServer(const std::string& name) {
  const StatementRef statement = *statements_->Find(name);
  const StatementId id = IdOf(statement);
  const StatementName on_server(id);
  Replies& replies = server_->replies();
  BringStatement(statement);
  server_->prepared().Suspect(id);
  statements_->Forget(name);
  std::string text = "DEALLOCATE ";
  AppendIdentifier(text, on_server.view());
  text += std::string(3, '\0');  // its end, and no parameter types
  replies.Expect(Request::kParse, Disposition::kForward);
  ++account_->counters.requests.parses;
  SendParse({}, text);
  requests_.Drop(ReadHead(inbox_.Front().data()).total_size());
  requests_.OnOtherUnnamedSent();
}

// --- of SQL, by the protocol ---------------------------------------------------------------------

bool Client::MayBeOfSql() const {
  return server_ != nullptr && (PinsPerhaps() & pin::kPrepared) != 0;
}

// The message at the front; what such a statement does nobody has read.
void Client::UseOfSql(MessageHead head) {
  const Request request = head.type == frontend::kBind       ? Request::kBind
                          : head.type == frontend::kDescribe ? Request::kDescribe
                                                             : Request::kClose;
  if (request == Request::kBind) AddTouch(TouchOfAnything());
  if (request == Request::kClose) AddTouch({.doubt = {.pins = pin::kPrepared}});
  server_->replies().Expect(request, Disposition::kForward);
  requests_.Pass(head.total_size());
}

// --- EXECUTE -------------------------------------------------------------------------------------

// In a failed transaction PostgreSQL does not look for it.
const Effect* Client::ExecutesOurs(const SessionEffects& effects) const {
  if (effects.statement_count != 1 || kept_statements() == nullptr || statements_ == nullptr ||
      server_->replies().status() == TransactionStatus::kFailed) {
    return nullptr;
  }
  const auto executes = [](const Effect& effect) { return effect.kind == EffectKind::kExecute; };
  const auto& all = effects.effects;
  const auto found = std::find_if(all.begin(), all.end(), executes);
  return found != all.end() && statements_->Find(found->name) != nullptr ? &*found : nullptr;
}

// The message at the front, a Query or an unnamed Parse, is sent with the server's name, behind
// what the server lacks. False: what came before it has to be answered first.
bool Client::ExecuteOurs(const Effect& executed, Bytes bytes) {
  const MessageHead head = ReadHead(bytes.data());
  const bool query = head.type == frontend::kQuery;
  Replies& replies = server_->replies();
  const bool in_pipeline = query && replies.needs_sync();
  if (query && !in_pipeline && !replies.owed().empty()) return false;
  const std::string_view body = AsText(bytes.subspan(kHeadBytes + (query ? 0 : 1)));
  const size_t end = body.find('\0');
  const StatementRef statement = *statements_->Find(executed.name);
  const StatementName on_server(IdOf(statement));
  std::optional<std::string> text =
      RenameExecuted(body.substr(0, end), text_rules_, executed.name, on_server.view());
  // The server says that there is no such statement.
  if (!text || in_pipeline) {
    requests_.OnTextSeen(Leaves::kNothing);
    return true;
  }
  OnQuery();
  AddTouch(TouchOf(clients_.effects().Find(body.substr(0, end), text_rules_), PinsPerhaps()));
  LookAtStatement(statement.text());
  if (BringStatement(statement) && query) {
    std::string message;
    MessageWriter(message).Sync();
    replies.Expect(Request::kSync, Disposition::kSkip);
    server_->stream().SendCopy(AsBytes(message));
  }
  if (query) {
    std::string message;
    MessageWriter(message).Query(*text);
    replies.Expect(Request::kQuery, Disposition::kForward);
    server_->stream().SendCopy(AsBytes(message));
    requests_.ForgetUnnamed();
  } else {
    *text += body.substr(end, head.body_size() - 1 - end);  // its end, and the parameter types
    replies.Expect(Request::kParse, Disposition::kForward);
    ++account_->counters.requests.parses;
    SendParse({}, *text);
    requests_.OnOtherUnnamedSent();
  }
  requests_.Drop(head.total_size());
  return true;
}

}  // namespace trireme
