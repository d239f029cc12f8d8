// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a client's statements leave in a session (traces.h): looking at texts, asking the server
// when a transaction is over, and keeping the server while it has something that cannot move.
//
//   Query, Parse, Bind ─ harmless by the first look? ─▶ passes, nothing else happens
//        │ kText
//        ▼
//   effects (cached) ─ on_session_state: reject ─▶ refused, at its place
//        │
//        ▼
//   doubt ─ nothing owed, no transaction ─▶ question ─▶ answer: parameters into the wish, pins
//
// The question goes out behind the client's ReadyForQuery, so the client does not wait for it; what
// it sends next follows behind, on the same server.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/assert.h"
#include "session/client.h"
#include "session/clients.h"
#include "session/parameters.h"
#include "sql/first_word.h"
#include "wire/messages.h"
#include "wire/parameters.h"
#include "wire/writer.h"

namespace trireme {
namespace {

constexpr uint8_t kQuestionsMax = 3;

// Up to the zero.
std::string_view TextAt(Bytes body) {
  const std::string_view text = AsText(body);
  return text.substr(0, text.find('\0'));
}

bool LeavesNothing(const Touch& touch) {
  return touch.doubt.empty() && touch.certain == 0 && !touch.reads_sequences &&
         !touch.advances_sequences;
}

// Of a Parse without a name: behind that name's zero.
std::string_view TextOfUnnamed(Bytes bytes) { return TextAt(bytes.subspan(kHeadBytes + 1)); }

PgError LeavesTraces(const Effect& effect) {
  return {.sqlstate = sqlstate::kFeatureNotSupported,
          .message = absl::StrCat("statement would leave state in the session: ", Describe(effect)),
          .detail =
              "The server connection changes between transactions, and the pool's "
              "on_session_state is \"reject\".",
          .hint =
              "Set pool.on_session_state to \"pin\" to keep the server while it has such state, or "
              "pool.mode to \"session\"."};
}

}  // namespace

// --- looking -------------------------------------------------------------------------------------

// One whole Query, that surely leaves nothing. PostgreSQL refuses one with a zero before its end.
bool Client::MayPassUnseen(Bytes query) const {
  if (!watched_) return true;
  if (query.size() <= kHeadBytes) return true;  // not even the zero: refused as well
  if (query.size() > kTextBytesMax) return false;
  const std::string_view text = AsText(query.subspan(kHeadBytes, query.size() - kHeadBytes - 1));
  const Numbers numbers = this->numbers();
  const TextVerdict verdict = JudgeText(text, text_rules_, numbers);
  if (verdict == TextVerdict::kTransaction && defers_begin()) return false;
  return !MustAnalyze(verdict, numbers);
}

// The text of the message at the front may leave something. False: it has to wait.
bool Client::ActOnText() {
  const Bytes bytes = inbox_.Front();
  const MessageHead head = ReadHead(bytes.data());
  if (server_->replies().skipping()) {  // the server passes it over
    requests_.OnTextSeen(Leaves::kNothing);
    return true;
  }
  if (head.type == frontend::kSync) return ActOnSync();
  if (keeps_server()) return ActOnPinnedText(head, bytes);
  const bool whole = head.body_size() <= kTextBytesMax && bytes.size() >= head.total_size();
  switch (head.type) {
    case frontend::kFunctionCall:
      AddTouch(TouchOf(LoadBig32(bytes.data() + kHeadBytes), PinsPerhaps()));
      requests_.OnTextSeen(Leaves::kNothing);
      return true;
    case frontend::kBind:  // of the unnamed statement
      if (requests_.unnamed()) {
        LookAtStatement(requests_.unnamed().text());
      } else {
        AddTouch(TouchOfAnything());
      }
      requests_.OnTextSeen(Leaves::kNothing);
      return true;
    case frontend::kParse: {
      if (whole) {
        const std::string_view text = TextOfUnnamed(bytes);
        if (RefusesTraces(text)) return true;
        const SessionEffects& effects = clients_.effects().Find(text, text_rules_);
        if (DeallocatesOurs(effects) && !effects.effects.front().name.empty()) {
          DeallocateOnServer(std::string(effects.effects.front().name));
          return true;
        }
        if (const Effect* executed = ExecutesOurs(effects)) return ExecuteOurs(*executed, bytes);
        const ResetVerdict verdict = LookForReset(effects, head.type);
        if (verdict == ResetVerdict::kWait) return false;
        requests_.OnTextSeen(verdict == ResetVerdict::kReset ? Leaves::kReset : LeavesOf(text));
      } else {
        requests_.OnTextSeen(Leaves::kSomething);
      }
      return true;
    }
    default:
      TRIREME_ASSERT(head.type == frontend::kQuery);
      if (whole) return ActOnQueryText(TextAt(bytes.subspan(kHeadBytes)));
      AddTouch(TouchOfAnything());
      requests_.OnTextSeen(Leaves::kNothing);
      return true;
  }
}

bool Client::ActOnQueryText(std::string_view text) {
  if (RefusesTraces(text)) return true;
  const SessionEffects& effects = clients_.effects().Find(text, text_rules_);
  if (DeallocatesOurs(effects)) return AnswerDeallocate(effects);
  if (const Effect* executed = ExecutesOurs(effects)) {
    return ExecuteOurs(*executed, inbox_.Front());
  }
  const ResetVerdict verdict = LookForReset(effects, frontend::kQuery);
  if (verdict == ResetVerdict::kWait) return false;
  const bool alone =
      !AnythingOfClientOwed() && server_->replies().status() == TransactionStatus::kIdle &&
      (kept_traces() == nullptr || (kept_traces()->doubt.empty() && !kept_traces()->alone));
  const Touch touch = TouchOf(effects, PinsPerhaps());
  if (alone && ErrorUndoes(effects, pins()) && !touch.reads_sequences) {
    Doubt doubt = touch.doubt;
    doubt.DropReported(server_->baseline());
    if (!doubt.empty() || pins() != 0) {  // it may undo a pin that no question answers
      traces().alone = effects;
      server_->MarkTraces();
    }
    AddTouch({.doubt = {}, .advances_sequences = touch.advances_sequences});
  } else {
    AddTouch(touch);
  }
  requests_.OnTextSeen(verdict == ResetVerdict::kReset ? Leaves::kReset : Leaves::kNothing);
  return true;
}

// In session mode it matters whether the startup packet's parameters are undone, and whether there
// is anything to reset; once there is, and nothing to be undone, nobody looks any more. A named
// statement is something.
bool Client::ActOnPinnedText(MessageHead head, Bytes bytes) {
  const bool whole = head.body_size() <= kTextBytesMax && bytes.size() >= head.total_size();
  const Bytes body = bytes.subspan(kHeadBytes);
  const bool query = head.type == frontend::kQuery;
  const bool unnamed = head.type == frontend::kParse && !body.empty() && body[0] == std::byte{0};
  bool leaves = true;
  ResetVerdict verdict = ResetVerdict::kNone;
  if (whole && (query || unnamed)) {
    const std::string_view text = query ? TextAt(body) : TextOfUnnamed(bytes);
    const SessionEffects& effects = clients_.effects().Find(text, text_rules_);
    leaves = !LeavesNothing(TouchOf(effects, 0));
    verdict = LookForReset(effects, head.type);
    if (verdict == ResetVerdict::kWait) return false;
  }
  if (leaves && resets_when_dirty()) server_->MarkDirty();
  if (leaves) watched_ = !startup_->empty();
  requests_.OnTextSeen(verdict == ResetVerdict::kReset ? Leaves::kReset : Leaves::kNothing);
  return true;
}

// Numbers of sequences begin to matter when somebody asks for them, which may be after this look.
Leaves Client::LeavesOf(std::string_view text) {
  switch (JudgeText(text, text_rules_, Numbers::kMatter)) {
    case TextVerdict::kHarmless:
    case TextVerdict::kTransaction:
      return Leaves::kNothing;
    case TextVerdict::kNumbers:
      return Leaves::kNumbers;
    case TextVerdict::kAnalyze:
      break;
  }
  Touch touch = TouchOf(clients_.effects().Find(text, text_rules_), pin::kAnswerable);
  const bool numbers = std::exchange(touch.advances_sequences, false);
  if (!LeavesNothing(touch)) return Leaves::kSomething;
  return numbers ? Leaves::kNumbers : Leaves::kNothing;
}

// In session mode nothing of an earlier client is there, and all of this one's is.
Numbers Client::numbers() const {
  const bool matter =
      !keeps_server() && account_->pool != nullptr && account_->pool->board().reads_sequences();
  return matter ? Numbers::kMatter : Numbers::kIgnored;
}

// What keeps the server, or may when all that is under way is answered.
Pins Client::PinsPerhaps() const {
  if (kept_traces() == nullptr) return 0;
  Pins pins = kept_traces()->pins | kept_traces()->doubt.pins;
  if (kept_traces()->asked) pins |= kept_traces()->asked->pins;
  if (kept_traces()->alone) pins |= TouchOf(*kept_traces()->alone, pins).doubt.pins;
  return pins;
}

bool Client::MustLook(Leaves leaves) const { return watched_ && Matters(leaves, numbers()); }

// It is about to be bound.
void Client::LookAtStatement(std::string_view text) {
  AddTouch(TouchOf(clients_.effects().Find(TextAt(AsBytes(text)), text_rules_), PinsPerhaps()));
}

// True: it is refused, and dropped.
bool Client::RefusesTraces(std::string_view text) {
  if (account_->pool->settings().pool.on_session_state != OnSessionState::kReject) return false;
  const Effect* effect = PinningEffect(clients_.effects().Find(text, text_rules_));
  if (effect == nullptr) return false;
  Refuse(LeavesTraces(*effect));
  return true;
}

// --- doubt ---------------------------------------------------------------------------------------

Client::Traces& Client::traces() {
  auto& traces = rare().traces;
  if (traces == nullptr) {
    traces = std::make_unique<Traces>();
    traces->earlier = clients_.wishes().Intern(*wish_);
  }
  return *traces;
}

void Client::DropTraces() {
  if (rare_ == nullptr) return;
  rare_->traces.reset();
  FreeRare();
}

void Client::AddTouch(const Touch& touch) {
  Doubt doubt = touch.doubt;
  doubt.DropReported(server_->baseline());
  const bool pins_allowed =
      account_->pool->settings().pool.on_session_state != OnSessionState::kAllow;
  if (pins_allowed) {
    if (touch.reads_sequences) OnSequenceRead();
    if (touch.advances_sequences && account_->pool->board().reads_sequences())
      AddPins(pin::kSequence);
    AddPins(touch.certain);
  } else {
    doubt.pins = 0;
  }
  if (doubt.empty()) return;
  traces().doubt.Add(doubt);
  server_->MarkTraces();
}

// What other clients have left there is not this one's to read; what it has left itself is
// elsewhere already, unless it is in this very transaction.
void Client::OnSequenceRead() {
  account_->pool->board().OnSequenceRead();
  if ((pins() & pin::kSequence) != 0) return;
  if (!AnythingOfClientOwed() && server_->replies().status() == TransactionStatus::kIdle) {
    ForgetSequences();
    OnQuery();
  }
  AddPins(pin::kSequence);
}

// What currval and lastval tell, which texts do not show (an INSERT into a serial column).
void Client::ForgetSequences() {
  std::string message;
  MessageWriter(message).Query("DISCARD SEQUENCES");
  server_->replies().Expect(Request::kQuery, Disposition::kSkip);
  server_->stream().SendCopy(AsBytes(message));
}

void Client::AddPins(Pins pins) {
  const Pins added = pins & ~this->pins();
  if (added == 0) return;
  traces().pins |= added;
  server_->MarkTraces();
  ++account_->counters.pins;
  clients_.log().Info("client keeps its server", {{"client", id_},
                                                  {"server", server_->id()},
                                                  {"user", account_->user},
                                                  {"database", account_->database},
                                                  {"reason", DescribePins(added)}});
}

// Nothing is owed. `counts`: what was answered since then.
void Client::SettleTraces(const Replies::Counts& counts) {
  if (kept_traces() == nullptr || !server_->replies().clean()) return;
  if (const auto alone = std::exchange(kept_traces()->alone, std::nullopt)) {
    const bool by_itself = counts.queries == 1;
    if (by_itself && counts.errors == 0 && IsPlain(*alone, pins())) {
      OnPlainText(*alone);
    } else if (!by_itself || counts.errors == 0) {
      AddTouch({.doubt = TouchOf(*alone, pins()).doubt});
    }
  }
  UpdateAuthorizationPin();
  Traces& traces = *kept_traces();
  if (counts.queries > 0) traces.questions_failed = 0;
  if (!traces.doubt.empty() && traces.questions_failed < kQuestionsMax) return Ask();
  if (!traces.free()) return;
  DropTraces();
  server_->ForgetTraces();
}

// A text alone has succeeded: what it does is known.
void Client::OnPlainText(const SessionEffects& effects) {
  for (const Effect& effect : effects.effects) {
    if (effect.kind == EffectKind::kDiscardAll || effect.kind == EffectKind::kDiscardSequences) {
      kept_traces()->pins &= ~pin::kSequence;
    }
  }
  TakeParameters(
      ApplyPlain(effects, {.wish = *wish_, .has = server_->parameters()}, LoginValues()));
  const bool told = works_on_parameters() && parameter_work().reset == ParameterWork::Reset::kTold;
  if (!told) TellStartupValues();
  if (pins() != 0) ChangeParameters();
}

// --- asking --------------------------------------------------------------------------------------

void Client::Ask() {
  std::string message;
  MessageWriter(message).Query(Question(kept_traces()->doubt));
  server_->replies().Expect(Request::kQuery, Disposition::kAsk);
  server_->stream().SendCopy(AsBytes(message));
  kept_traces()->asked = std::exchange(kept_traces()->doubt, Doubt());
}

void Client::OnAnswer(Bytes row) {
  TRIREME_ASSERT(kept_traces() != nullptr && kept_traces()->asked.has_value());
  Traces& traces = *kept_traces();
  const std::optional<Answer> answer = ParseAnswer(row, *traces.asked);
  if (!answer) return OnQuestionFailed();
  traces.pins &= ~(traces.asked->pins | pin::kUnknown);
  traces.asked.reset();
  traces.questions_failed = 0;
  AddPins(answer->pins);
  TakeParameters(ApplyAnswer(*answer, {.wish = *wish_, .has = server_->parameters()}, LoginValues(),
                             *traces.earlier));
  TellStartupValues();
  if (pins() != 0) ChangeParameters();
  traces.earlier = clients_.wishes().Intern(*wish_);
}

// A cancel that came too late, statement_timeout, a catalog that may not be read: until the server
// has answered, the client keeps it.
void Client::OnQuestionFailed() {
  Traces& traces = *kept_traces();
  traces.doubt.Add(*traces.asked);
  traces.asked.reset();
  ++traces.questions_failed;
  AddPins(pin::kUnknown);
}

LoginParameters Client::LoginValues() const {
  return {.startup = *startup_, .reported = server_->baseline()};
}

void Client::TakeParameters(SessionParameters parameters) {
  server_->parameters() = std::move(parameters.has);
  wish_ = clients_.wishes().Intern(std::move(parameters.wish));
  OnWishChanged();
}

// The server has told the client of its own values.
void Client::TellStartupValues() {
  std::string text;
  for (const ParameterSet::Entry& entry : startup_->entries()) {
    const ReportedParameter* reported = FindReportedParameter(entry.name);
    const std::string* has = server_->parameters().Find(entry.name);
    const std::string* wanted = wish_->Find(entry.name);
    if (reported == nullptr || !reported->settable || has == nullptr || *has == entry.value ||
        wanted == nullptr || *wanted != entry.value) {
      continue;
    }
    MessageWriter(text).ParameterStatus({reported->name, entry.value});
  }
  if (!text.empty()) SendText(text);
}

void Client::UpdateAuthorizationPin() {
  const std::string* now = server_->parameters().Find(kSessionAuthorization);
  const std::string* before = server_->baseline().Find(kSessionAuthorization);
  if (now != nullptr && before != nullptr && *now != *before) {
    AddPins(pin::kAuthorization);
  } else {
    kept_traces()->pins &= ~pin::kAuthorization;
  }
}

void Client::OnWishChanged() {
  satisfied_hash_ = 0;
  if (!watched_) return;  // nobody reads its texts
  const ParameterSet* welcome = account_->pool->welcome();
  WishTextRules& last = account_->text_rules;
  if (welcome != nullptr && last.reported == welcome && last.wish == wish_->hash()) {
    text_rules_ = last.rules;
    return;
  }
  const auto value = [&](std::string_view name) -> std::string_view {
    const std::string* found = wish_->Find(name);
    if (found == nullptr && welcome != nullptr) found = welcome->Find(name);
    return found != nullptr ? std::string_view(*found) : std::string_view();
  };
  text_rules_ = {.standard_conforming_strings = value("standard_conforming_strings") != "off",
                 .encoding_embeds_ascii = EncodingEmbedsAscii(value("client_encoding"))};
  last = {.wish = wish_->hash(), .reported = welcome, .rules = text_rules_};
}

// --- whose work is it ----------------------------------------------------------------------------

// What the server does now is ours: nobody else's cancel must hit it. A Parse of ours does not
// count: PostgreSQL may keep its answer until what follows has run.
bool Client::OwnWorkRuns() const {
  const ExpectedReplies& owed = server_->replies().owed();
  if (owed.empty()) return false;
  const ExpectedReply front = owed.front();
  return front.request == Request::kQuery && front.disposition != Disposition::kForward;
}

bool Client::AnythingOfClientOwed() const {
  const Replies& replies = server_->replies();
  if (replies.needs_sync() || deferred_ != DeferredBegin::kNone) return true;
  for (uint32_t i = 0; i < replies.owed().count(); ++i) {
    const ExpectedReply each = replies.owed().at(i);
    const bool ours = each.request == Request::kQuery && each.disposition != Disposition::kForward;
    if (!ours) return true;
  }
  return false;
}

}  // namespace trireme
