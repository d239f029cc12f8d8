// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/sim_client.h"

#include <algorithm>

#include "test/sim/sim_client_connection.h"
#include "wire/writer.h"

namespace trireme::sim {

// Sends one CancelRequest and waits for the end, as libpq does.
class CancelSender final : public PeerHandler {
 public:
  explicit CancelSender(std::string packet) : packet_(std::move(packet)) {}
  void Begin(Network& network, const SocketAddress& address) {
    socket_ = &network.Connect(address, *this);
  }
  bool done() const { return done_; }

 private:
  void OnConnect(PeerSocket& socket) override { socket.Send(AsBytes(packet_)); }
  void OnReceive(PeerSocket&, Bytes) override {}
  void OnEnd(PeerSocket& socket, int) override {
    if (done_) return;
    done_ = true;
    socket.Close();
  }

  const std::string packet_;
  PeerSocket* socket_ = nullptr;
  bool done_ = false;
};

SimClient::SimClient(Network& network, ClientSettings settings, ClientHabits habits,
                     Verdict& verdict)
    : network_(network),
      settings_(std::move(settings)),
      habits_(habits),
      verdict_(verdict),
      random_(network.random().Next()) {}

SimClient::~SimClient() = default;

void SimClient::Start() { ConnectAfter(habits_.reconnect.Draw(random_)); }

void SimClient::ConnectAfter(Duration pause) {
  network_.At(network_.now() + pause, [this, plan = ++plan_] {
    if (plan == plan_) Connect();
  });
}

void SimClient::Connect() {
  if (stopping_ || connection_ != nullptr) return;
  connection_ = std::make_unique<ClientConnection>(*this, ++last_connection_);
  connection_->Begin();
}

void SimClient::Heal() {
  habits_ = habits_.Healed();
  if (connection_ != nullptr) {
    connection_->Heal();
  } else if (!stopping_) {
    ConnectAfter({});
  }
}

void SimClient::Stop() {
  stopping_ = true;
  ++plan_;
  if (connection_ != nullptr) connection_->Stop();
}

void SimClient::EndDeafness() {
  if (connection_ != nullptr) connection_->EndDeafness();
}

SimClient::State SimClient::state() const {
  if (connection_ == nullptr) return stopping_ ? State::kStopped : State::kOffline;
  switch (connection_->state()) {
    case ClientConnection::State::kConnecting:
      return State::kConnecting;
    case ClientConnection::State::kEncryption:
    case ClientConnection::State::kLogin:
      return State::kLogin;
    case ClientConnection::State::kResting:
      return State::kPause;
    case ClientConnection::State::kWorking:
    case ClientConnection::State::kLeaving:
      return State::kWorking;
    case ClientConnection::State::kGone:
      return State::kOffline;
  }
  return State::kOffline;
}

std::optional<Time> SimClient::waiting_since() const {
  return connection_ != nullptr ? connection_->waiting_since() : std::nullopt;
}

std::string SimClient::Text() const {
  std::string text = "c" + std::to_string(settings_.id) + " ";
  if (connection_ == nullptr) return text + (stopping_ ? "stopped" : "offline");
  text += connection_->Text();
  if (const auto since = waiting_since()) {
    text += " since " + std::to_string(Microseconds(since->time_since_epoch())) + " us";
  }
  return text;
}

ClientConnection* SimClient::Find(uint64_t id) {
  return connection_ != nullptr && connection_->id() == id ? connection_.get() : nullptr;
}

// Its own call is still on the stack: it dies when the event is over.
void SimClient::OnGone(ClientConnection&) {
  gone_.push_back(std::move(connection_));
  network_.At(network_.now(), [this] { gone_.clear(); });
  if (!stopping_) ConnectAfter(habits_.reconnect.Draw(random_));
}

void SimClient::Cancel(uint32_t process_id, std::string_view key) {
  std::string packet;
  MessageWriter(packet).CancelRequest(process_id, AsBytes(key));
  std::erase_if(cancels_, [](const auto& sender) { return sender->done(); });
  cancels_.push_back(std::make_unique<CancelSender>(std::move(packet)));
  cancels_.back()->Begin(network_, settings_.address);
}

void SimClient::Tell(const std::string& line) {
  if (story_) story_("c" + std::to_string(settings_.id) + " " + line);
}

ClientCounts& ClientCounts::operator+=(const ClientCounts& other) {
  static constexpr uint64_t ClientCounts::*kCounts[] = {&ClientCounts::logins,
                                                        &ClientCounts::logins_failed,
                                                        &ClientCounts::transactions,
                                                        &ClientCounts::statements,
                                                        &ClientCounts::rows,
                                                        &ClientCounts::copies,
                                                        &ClientCounts::connections_lost,
                                                        &ClientCounts::vanished,
                                                        &ClientCounts::half_closed,
                                                        &ClientCounts::cancels,
                                                        &ClientCounts::wrong_cancels,
                                                        &ClientCounts::garbage,
                                                        &ClientCounts::receive_pauses,
                                                        &ClientCounts::stalled_logins,
                                                        &ClientCounts::notices,
                                                        &ClientCounts::notifications,
                                                        &ClientCounts::deaf};
  for (const auto count : kCounts) this->*count += other.*count;
  for (const auto& [sqlstate, count] : other.errors) errors[sqlstate] += count;
  return *this;
}

// --- habits --------------------------------------------------------------------------------------

ClientHabits ClientHabits::Drawn(Random& random) {
  const auto maybe = [&random](uint32_t permille_max) {
    return random.Below(2) == 0 ? 0 : static_cast<uint32_t>(random.Below(permille_max) + 1);
  };
  ClientHabits habits;
  for (uint32_t* weight : {&habits.simple_weight, &habits.extended_weight, &habits.pipeline_weight,
                           &habits.block_weight, &habits.copy_in_weight, &habits.copy_out_weight,
                           &habits.portal_weight, &habits.set_weight, &habits.function_call_weight,
                           &habits.session_weight}) {
    *weight = static_cast<uint32_t>(random.Below(4) == 0 ? 0 : random.Below(10));
  }
  habits.statements_max = 1 + static_cast<uint32_t>(random.Below(8));
  habits.pipeline_max = 1 + static_cast<uint32_t>(random.Below(random.Below(4) == 0 ? 300 : 20));
  habits.rows_max = 1 + static_cast<uint32_t>(random.Below(20));
  habits.row_bytes_max = 1 + static_cast<uint32_t>(random.Below(2000));
  habits.big_permille = maybe(20);
  habits.error_permille = maybe(100);
  habits.sleep_permille = maybe(100);
  habits.think.max = DurationRange{10us, 5ms}.Draw(random);
  habits.pause.max = DurationRange{10us, 20ms}.Draw(random);
  habits.transactions_per_login_max = 1 + static_cast<uint32_t>(random.Below(100));
  habits.wishes_permille = maybe(1000);
  habits.vanish_permille = maybe(100);
  habits.pause_receive_permille = maybe(50);
  habits.cancel_permille = maybe(400);
  habits.wrong_cancel_permille = maybe(50);
  habits.garbage_permille = maybe(20);
  habits.stale_statement_permille = maybe(60);
  habits.named_statement_permille = maybe(300);
  habits.stall_login_permille = maybe(50);
  habits.wrong_password_permille = maybe(50);
  return habits;
}

ClientHabits ClientHabits::Healed() const {
  ClientHabits healed = *this;
  healed.vanish_permille = healed.pause_receive_permille = healed.cancel_permille = 0;
  healed.deaf_permille = 0;
  healed.wrong_cancel_permille = healed.garbage_permille = healed.stale_statement_permille = 0;
  healed.named_statement_permille = healed.stall_login_permille = 0;
  healed.wrong_password_permille = 0;
  return healed;
}

}  // namespace trireme::sim
