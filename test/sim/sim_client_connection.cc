// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/sim_client_connection.h"

#include <algorithm>

#include "test/sim/sim_script.h"
#include "wire/messages.h"
#include "wire/writer.h"

namespace trireme::sim {
namespace {

constexpr size_t kKeysMax = 4;
constexpr Digest kNoSecretAtAll{};

}  // namespace

ClientConnection::ClientConnection(SimClient& client, uint64_t id)
    : client_(client),
      id_(id),
      secrets_(client.random_.Next()),
      keys_(kKeysMax, kNoSecretAtAll),
      salts_(kNoSecretAtAll) {}

ClientConnection::~ClientConnection() = default;

Random& ClientConnection::random() { return client_.random_; }
const ClientHabits& ClientConnection::habits() const { return client_.habits_; }

void ClientConnection::After(Duration time, void (ClientConnection::*next)()) {
  const uint64_t timer = ++timer_;
  Network& network = client_.network_;
  network.At(network.now() + time, [&client = client_, id = id_, timer, next] {
    ClientConnection* connection = client.Find(id);
    if (connection != nullptr && connection->timer_ == timer) (connection->*next)();
  });
}

void ClientConnection::Begin() {
  since_ = client_.network_.now();
  socket_ = &client_.network_.Connect(client_.settings_.address, *this);
}

std::optional<Time> ClientConnection::waiting_since() const {
  if (rude_ || not_reading_) return std::nullopt;
  switch (state_) {
    case State::kConnecting:
    case State::kEncryption:
    case State::kLogin:
      return since_;
    case State::kWorking:
      return conversation_->told_why() ? since_ : conversation_->waiting_since();
    case State::kResting:
    case State::kLeaving:
    case State::kGone:
      return std::nullopt;
  }
  return std::nullopt;
}

std::string ClientConnection::Text() const {
  static constexpr const char* kStates[] = {
      "connecting", "asks for encryption", "logs in", "rests", "works", "leaves", "gone"};
  std::string text = kStates[static_cast<size_t>(state_)];
  if (conversation_ != nullptr && !conversation_->at_rest()) {
    text += ", waits for " + conversation_->waiting_for();
  }
  if (rude_) text += ", was rude";
  if (not_reading_) text += ", does not read";
  return text;
}

// --- bytes and ends ------------------------------------------------------------------------------

void ClientConnection::OnReceive(PeerSocket&, Bytes bytes) {
  if (state_ == State::kGone || state_ == State::kLeaving) return;
  inbox_.Push(bytes);
  if (state_ == State::kEncryption) {
    const char answer = AsText(inbox_.rest())[0];
    // An error is an answer too, from a server that is going down.
    if (answer != kEncryptionRefused && answer != backend::kErrorResponse) {
      return Violate(Rule::kProtocol,
                     std::string("expected 'N' to SSLRequest, got '") + answer + "'");
    }
    if (answer == kEncryptionRefused) {
      inbox_.Drop(1);
      SendStartup();
    } else {
      state_ = State::kLogin;
    }
  }
  while (state_ != State::kGone && state_ != State::kLeaving) {
    if (inbox_.broken()) {
      return Violate(Rule::kProtocol, "expected a message, got bytes that are none");
    }
    const auto message = inbox_.Front();
    if (!message) break;
    if (state_ == State::kLogin) {
      OnLoginMessage(message->type, message->body);
    } else if (conversation_ != nullptr) {
      conversation_->OnMessage(message->type, message->body);
      if (conversation_->over() && !conversation_->told_why()) return Leave();
      if (conversation_->over()) since_ = client_.network_.now();
    } else {
      return Violate(Rule::kProtocol, "expected nothing, got a message");
    }
    if (state_ == State::kGone) return;
    inbox_.DropFront();
  }
  if (state_ == State::kWorking) AfterMessages();
}

void ClientConnection::OnEnd(PeerSocket&, int error) {
  if (state_ == State::kGone) return;
  const bool told = conversation_ != nullptr && conversation_->told_why();
  const bool may_end =
      rude_ || told || state_ == State::kLeaving || client_.settings_.connections_may_break;
  if (!may_end) {
    Violate(Rule::kProtocol, "expected the connection to live, it ended with errno " +
                                 std::to_string(error) + " and without a word");
    return;
  }
  if (!rude_ && state_ != State::kLeaving) ++client_.counts_.connections_lost;
  if (!rude_ &&
      (state_ == State::kConnecting || state_ == State::kEncryption || state_ == State::kLogin)) {
    ++client_.counts_.logins_failed;
  }
  Leave();
}

void ClientConnection::Violate(Rule rule, const std::string& text) {
  client_.verdict_.OnViolation(
      {.rule = rule, .text = "client " + std::to_string(client_.id()) + ": " + text});
  Leave();
}

void ClientConnection::Leave() {
  if (state_ == State::kGone) return;
  ++timer_;
  state_ = State::kGone;
  socket_->Close();
  client_.OnGone(*this);
}

// It expects nothing any more, but gives the other side a while to end it.
void ClientConnection::BeginLeaving(Duration patience) {
  rude_ = true;
  After(patience, &ClientConnection::Leave);
}

void ClientConnection::Heal() {
  if (deaf_) return;  // whoever serves it must get over that
  if (not_reading_) ReadOn();
  if (rude_) Leave();
}

void ClientConnection::Stop() {
  if (state_ == State::kResting) Goodbye();
}

void ClientConnection::EndDeafness() {
  if (deaf_) Leave();
}

void ClientConnection::Goodbye() {
  std::string bytes;
  MessageWriter(bytes).Terminate();
  socket_->Send(AsBytes(bytes));
  client_.Tell("says goodbye");
  Leave();
}

// --- work ----------------------------------------------------------------------------------------

void ClientConnection::Rest() {
  state_ = State::kResting;
  if (client_.stopping_ || scripts_left_ == 0) return Goodbye();
  --scripts_left_;
  const DurationRange& pause = Chance(habits().nap_permille) ? habits().nap : habits().pause;
  After(UntilBeat() + pause.Draw(random()), &ClientConnection::BeginScript);
}

Duration ClientConnection::UntilBeat() const {
  const Duration beat = client_.habits_.beat;
  if (beat == Duration()) return {};
  return beat - client_.network_.now().time_since_epoch() % beat;
}

void ClientConnection::BeginScript() {
  if (conversation_->over()) return;  // it waits for the end
  if (client_.stopping_) return Goodbye();
  const ScriptWriter::Setup setup{.client = client_.id(),
                                  .mode = client_.settings_.mode,
                                  .keeps_statements = client_.settings_.keeps_statements,
                                  .habits = habits(),
                                  .may_reset = wishes_.empty(),
                                  .last_query = client_.last_query_};
  script_ = ScriptWriter(setup, random(), conversation_->session()).Write();
  step_ = 0;
  vanish_step_ = Chance(habits().vanish_permille) ? random().Below(script_.size()) : SIZE_MAX;
  cancels_ = Chance(habits().cancel_permille);
  state_ = State::kWorking;
  ++scripts_begun_;
  if (Chance(habits().garbage_permille)) return SendGarbage();
  if (Chance(habits().deaf_permille)) return GoDeaf();
  if (Chance(habits().wrong_cancel_permille)) {
    ++client_.counts_.wrong_cancels;
    client_.Cancel(process_id_ + static_cast<uint32_t>(random().Below(3)), "nope");
  }
  if (Chance(habits().pause_receive_permille)) StopReading();
  SendStep();
}

void ClientConnection::SendStep() {
  const SimStep& step = script_[step_];
  const bool skip = (step.when == SimStep::When::kInCopy && !conversation_->wants_copy_data()) ||
                    (step.when == SimStep::When::kSkipping && !conversation_->skipping());
  if (skip) return AfterMessages();
  if (step_ == vanish_step_) return Vanish(step);
  for (const SimRequest& request : step.requests) {
    SimRequest asked = request;
    asked.asked_at = client_.network_.now();
    conversation_->Ask(std::move(asked));
  }
  if (step.when == SimStep::When::kInCopy) conversation_->OnCopySent();
  socket_->Send(AsBytes(step.bytes));
  if (cancels_ && random().Below(2) == 0) {
    cancels_ = false;
    client_.network_.At(client_.network_.now() + DurationRange{{}, 5ms}.Draw(random()),
                        [&client = client_, id = id_, script = scripts_begun_] {
                          ClientConnection* connection = client.Find(id);
                          if (connection == nullptr || connection->scripts_begun_ != script) return;
                          connection->SendCancel();
                        });
  }
  AfterMessages();
}

// The next step when the one at hand has its answers.
void ClientConnection::AfterMessages() {
  if (state_ != State::kWorking || rude_ || conversation_->over() || waiting_to_send_) return;
  if (!conversation_->at_rest() && !conversation_->wants_copy_data()) return;
  if (step_ + 1 >= script_.size()) {
    if (conversation_->at_rest()) EndScript();
    return;
  }
  const SimStep& next = script_[step_ + 1];
  // Behind COPY data that was sent, the answer is owed first.
  if (!conversation_->at_rest() && next.when != SimStep::When::kInCopy) return;
  ++step_;
  waiting_to_send_ = true;
  After(next.think, &ClientConnection::NextStep);
}

void ClientConnection::NextStep() {
  waiting_to_send_ = false;
  if (state_ == State::kWorking && !conversation_->over()) SendStep();
}

void ClientConnection::EndScript() {
  ++client_.counts_.transactions;
  if (!not_reading_) return Rest();
  state_ = State::kResting;  // ReadOn goes on
}

// --- rudeness ------------------------------------------------------------------------------------

// Sends a part of the step, perhaps all of it, and is gone, or says that it sends no more.
void ClientConnection::Vanish(const SimStep& step) {
  const uint64_t how = random().Below(3);
  size_t cut = random().Below(step.bytes.size() + 1);
  if (how == 0) {  // who still reads does not ask in half sentences
    size_t whole = 0;
    for (const SimRequest& request : step.requests) {
      if (request.end <= cut) whole = request.end;
    }
    cut = whole;
  }
  for (const SimRequest& request : step.requests) {
    if (request.end > cut) break;
    SimRequest asked = request;
    asked.asked_at = client_.network_.now();
    conversation_->Ask(std::move(asked));
  }
  socket_->Send(AsBytes(step.bytes).first(cut));
  rude_ = true;
  if (cut < step.bytes.size()) conversation_->OnCutShort();
  const Duration later =
      random().Below(2) == 0 ? Duration() : DurationRange{{}, 5ms}.Draw(random());
  client_.Tell("vanishes, way " + std::to_string(how));
  if (how == 0) {
    ++client_.counts_.half_closed;
    socket_->ShutdownWrite();
    return BeginLeaving(habits().stall.Draw(random()));
  }
  ++client_.counts_.vanished;
  After(later, how == 1 ? &ClientConnection::Leave : &ClientConnection::LeaveAbruptly);
}

void ClientConnection::LeaveAbruptly() {
  if (state_ == State::kGone) return;
  ++timer_;
  state_ = State::kGone;
  socket_->Reset();
  client_.OnGone(*this);
}

void ClientConnection::SendGarbage() {
  ++client_.counts_.garbage;
  client_.Tell("sends garbage");
  std::string garbage;
  const uint64_t size = 1 + random().Below(100);
  for (uint64_t i = 0; i < size; ++i) garbage += static_cast<char>(random().Below(256));
  socket_->Send(AsBytes(garbage));
  state_ = State::kLeaving;
  BeginLeaving(habits().stall.Draw(random()));
}

void ClientConnection::StopReading() {
  ++client_.counts_.receive_pauses;
  not_reading_ = true;
  socket_->PauseReceive();
  client_.network_.At(client_.network_.now() + habits().pause_receive.Draw(random()),
                      [&client = client_, id = id_] {
                        if (ClientConnection* connection = client.Find(id)) connection->ReadOn();
                      });
}

void ClientConnection::ReadOn() {
  if (!not_reading_ || state_ == State::kGone) return;
  not_reading_ = false;
  socket_->ResumeReceive();
  if (state_ == State::kResting && !rude_) Rest();
}

// What it asks for is more than the connection takes, at least most of the time.
void ClientConnection::GoDeaf() {
  ++client_.counts_.deaf;
  client_.Tell("goes deaf");
  deaf_ = not_reading_ = true;
  socket_->PauseReceive();
  const uint64_t queries = 1 + random().Below(1 + random().Below(30));
  std::string bytes;
  for (uint64_t i = 0; i < queries; ++i) {
    const SimStatement statement{
        .tag = "c" + std::to_string(client_.id()) + ".q" + std::to_string(++client_.last_query_),
        .rows = 1 + static_cast<uint32_t>(random().Below(10)),
        .size = static_cast<uint32_t>(random().Below(4000))};
    MessageWriter(bytes).Query(statement.Text());
  }
  socket_->Send(AsBytes(bytes));
  state_ = State::kLeaving;
  BeginLeaving(habits().deaf.Draw(random()));
}

void ClientConnection::SendCancel() {
  if (state_ != State::kWorking || conversation_->at_rest()) return;
  ++client_.counts_.cancels;
  client_.Tell("cancels " + conversation_->waiting_for());
  conversation_->OnCancelSent();
  client_.Cancel(process_id_, key_);
}

}  // namespace trireme::sim
