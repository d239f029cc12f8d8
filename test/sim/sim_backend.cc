// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/sim_backend.h"

#include <algorithm>

#include "test/sim/sim_postgres.h"
#include "wire/writer.h"

namespace trireme::sim {
namespace {

constexpr size_t kUnreadBytes = 64 << 10;  // what it takes in while it is busy

}  // namespace

SimBackend::SimBackend(SimPostgres& cluster, PeerSocket& socket, uint64_t id)
    : cluster_(cluster), socket_(&socket), id_(id), process_id_(static_cast<uint32_t>(1000 + id)) {
  secret_ = static_cast<uint32_t>(random().Next());
  mute_ = Happens(random(), habits().mute_login_permille);
  After(habits().accept_time.Draw(random()), &SimBackend::Open);
}

SimBackend::~SimBackend() = default;

Network& SimBackend::network() const { return cluster_.network_; }
Random& SimBackend::random() const { return cluster_.random_; }
const PostgresHabits& SimBackend::habits() const { return cluster_.habits_; }

void SimBackend::After(Duration time, void (SimBackend::*next)()) {
  const uint64_t timer = ++timer_;
  network().At(network().now() + time, [&cluster = cluster_, id = id_, timer, next] {
    SimBackend* backend = cluster.Find(id);
    if (backend != nullptr && backend->timer_ == timer) (backend->*next)();
  });
}

void SimBackend::Open() {
  open_ = true;
  if (mute_) ++cluster_.counts_.mute_logins;
  Step();
}

void SimBackend::OnReceive(PeerSocket&, Bytes bytes) {
  if (state_ == State::kEnded) return;
  inbox_.Push(bytes);
  Step();
  if (state_ == State::kEnded || paused_ || inbox_.size() < kUnreadBytes) return;
  if (state_ != State::kRunning || !inbox_.Front()) return;  // a long message must come
  paused_ = true;
  socket_->PauseReceive();
}

void SimBackend::OnEnd(PeerSocket&, int error) {
  peer_done_ = true;
  if (error != 0) {
    gone_ = true;
    connected_ = false;
    cluster_.CountConnections();
  }
  Step();
}

void SimBackend::Step() {
  if (stepping_ || !open_) return;
  stepping_ = true;
  while (state_ != State::kEnded && state_ != State::kRunning && !gone_) {
    if (!StepOnce()) break;
  }
  stepping_ = false;
  if (state_ == State::kEnded || state_ == State::kRunning) return;
  if (gone_) return End();
  if (paused_) {  // all that was whole is done
    paused_ = false;
    socket_->ResumeReceive();
  }
  if (peer_done_ && !paused_) End();
}

// False: it must wait for more.
bool SimBackend::StepOnce() {
  if (state_ == State::kStartup) {
    if (mute_) return false;
    const size_t before = inbox_.size();
    OnStartupBytes();
    return inbox_.size() != before;
  }
  if (inbox_.broken()) {
    ++cluster_.counts_.protocol_errors;
    Fatal(sqlstate::kProtocolViolation, "invalid message length");
    return false;
  }
  const auto message = inbox_.Front();
  if (!message) return false;
  // The body may be read by steps that push nothing, so it stays where it is until then.
  const std::string body(AsText(message->body));
  const char type = message->type;
  inbox_.DropFront();
  if (state_ == State::kProof) {
    if (type != frontend::kPasswordMessage) {
      Fatal(sqlstate::kProtocolViolation, "expected password response");
      return false;
    }
    OnProof(AsBytes(body));
  } else if (state_ == State::kCopyIn) {
    OnCopyInMessage(type, AsBytes(body));
  } else {
    OnMessage(type, AsBytes(body));
  }
  return true;
}

void SimBackend::Flush() {
  if (state_ == State::kEnded || out_.empty()) return;
  if (!gone_ && Happens(random(), habits().die_mid_reply_permille)) {
    ++cluster_.counts_.deaths_mid_reply;
    socket_->Send(AsBytes(out_).first(random().Below(out_.size())));
    return DieNow();
  }
  if (!gone_) socket_->Send(AsBytes(out_));
  out_.clear();
}

void SimBackend::Fatal(std::string_view sqlstate, std::string_view message) {
  ++cluster_.counts_.errors;
  MessageWriter(out_).ErrorResponse({.severity = severity::kFatal,
                                     .sqlstate = std::string(sqlstate),
                                     .message = std::string(message)});
  if (!gone_) socket_->Send(AsBytes(out_));
  out_.clear();
  End();
}

void SimBackend::Die() {
  if (state_ == State::kEnded) return;
  if (random().Below(2) == 0) {
    return Fatal(sqlstate::kAdminShutdown, "terminating connection due to administrator command");
  }
  DieNow();
}

void SimBackend::DieNow() {
  if (state_ == State::kEnded) return;
  ++timer_;
  state_ = State::kEnded;
  connected_ = false;
  socket_->Reset();
  cluster_.OnEnded(*this);
}

void SimBackend::End() {
  if (state_ == State::kEnded) return;
  ++timer_;
  state_ = State::kEnded;
  connected_ = false;
  socket_->Close();
  cluster_.OnEnded(*this);
}

// A backend between queries says something nobody asked for.
void SimBackend::Talk() {
  if (state_ != State::kReady || session_ == nullptr || skipping_ || !out_.empty()) return;
  MessageWriter writer(out_);
  if (random().Below(2) == 0) {
    standby_ = !standby_;
    writer.ParameterStatus({"in_hot_standby", standby_ ? "on" : "off"});
  } else {
    writer.NoticeResponse({.severity = severity::kWarning,
                           .sqlstate = sqlstate::kWarning,
                           .message = "the server has something to say"});
  }
  Flush();
}

void SimBackend::Cancel() {
  const bool running = state_ == State::kRunning || state_ == State::kCopyIn;
  cluster_.observer_->OnCancel({.backend = this,
                                .running = running,
                                .tag = running ? std::string_view(running_tag_) : "",
                                .process_id = process_id_});
  ++(running ? cluster_.counts_.cancels_hit : cluster_.counts_.cancels_missed);
  if (!running) return;
  cancelled_ = true;
  if (!interruptible_) return;
  ++timer_;
  CancelTaken();
  Step();
}

std::string SimBackend::Text() const {
  static constexpr const char* kStates[] = {"startup", "proof",   "ready",
                                            "running", "copy in", "ended"};
  std::string text = cluster_.settings_.name + " backend " + std::to_string(process_id_) + " " +
                     kStates[static_cast<int>(state_)];
  if (!running_tag_.empty()) text += " " + running_tag_;
  if (session_ != nullptr) text += " " + Digest();
  return text;
}

}  // namespace trireme::sim
