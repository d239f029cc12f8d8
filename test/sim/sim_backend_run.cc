// SPDX-License-Identifier: GPL-3.0-or-later
//
// The statement at hand: its time, its rows, its COPY, its end.
//
//   BeginStatement ─(service time)▶ RunStatement ─▶ SendRows ... ─▶ FinishStatement ─▶ the next one
//                                        └────────▶ kCopyIn ────────────┘
#include <cinttypes>
#include <cstdio>
#include <utility>

#include "test/sim/sim_backend.h"
#include "test/sim/sim_postgres.h"
#include "wire/command.h"

namespace trireme::sim {
namespace {

using Kind = SimStatement::Kind;

constexpr size_t kOutBytes = 8192;           // PostgreSQL's send buffer
constexpr uint64_t kUnsentBytes = 64 << 10;  // what the kernel takes before a write blocks
constexpr Duration kWriteWait = 200us;

}  // namespace

SimStatement* SimBackend::statement() {
  if (!extended_) return statements_.empty() ? nullptr : &statements_.front();
  const auto found = session_->portals().find(portal_);
  return found == session_->portals().end() ? nullptr : &found->second.statements[0];
}

void SimBackend::BeginStatement() {
  const SimStatement& s = *statement();
  const bool resumed = extended_ && session_->portals().find(portal_)->second.begun;
  state_ = State::kRunning;
  cancelled_ = false;
  rows_sent_ = 0;
  next_row_ = resumed ? session_->portals().find(portal_)->second.next_row : 0;
  running_tag_ = s.tag;
  ++cluster_.counts_.statements;
  if (!resumed && !s.tag.empty()) {
    ++sequence_;
    cluster_.observer_->OnQuery(*this, s.tag);
  }
  Duration time = habits().service_time.Draw(random()) + s.sleep;
  if (Happens(random(), habits().slow_permille)) time += habits().slow_time.Draw(random());
  interruptible_ = true;
  if (Happens(random(), habits().die_in_query_permille)) {
    ++cluster_.counts_.deaths_in_query;
    return After(DurationRange{{}, time}.Draw(random()), &SimBackend::Die);
  }
  if (time == Duration()) return RunStatement();
  After(time, &SimBackend::RunStatement);
}

bool SimBackend::CancelTaken() {
  if (!std::exchange(cancelled_, false)) return false;
  Error(sqlstate::kQueryCanceled, "canceling statement due to user request");
  return true;
}

void SimBackend::RunStatement() {
  interruptible_ = false;
  const SimStatement s = *statement();
  const bool resumed = extended_ && session_->portals().find(portal_)->second.begun;
  if (resumed) {
    if (session_->status() == TransactionStatus::kFailed) {
      return Error(sqlstate::kInFailedSqlTransaction, "current transaction is aborted");
    }
    SendRows();
    return Step();
  }
  if (s.kind == Kind::kQuestion && Happens(random(), habits().question_fails_permille)) {
    ++cluster_.counts_.questions_failed;
    Error("53200", "out of memory");
    return Step();
  }
  SendNotices();
  const SimSession::Effect effect = session_->Run(s);
  if (effect.error) {
    Error(*effect.error);
    return Step();
  }
  if (effect.warning) MessageWriter(out_).NoticeResponse(*effect.warning);
  if (effect.notify) notifications_.push_back(s.name + " " + s.value);
  command_ = effect.command;
  if (extended_) {
    // COMMIT and its like have closed all portals, this one too.
    auto& portal = session_->portals()[portal_];
    if (portal.statements.empty()) portal.statements.push_back(s);
    portal.begun = true;
  }
  if (s.kind == Kind::kCopyFrom) {
    BeginCopyIn();
  } else if (s.ReturnsRows() || s.kind == Kind::kCopyTo) {
    if (s.ReturnsRows() && !extended_) RowDescription();
    if (s.kind == Kind::kCopyTo) {
      MessageWriter writer(out_);
      writer.Begin(backend::kCopyOutResponse);
      writer.Byte(0);
      writer.Int16(0);
      writer.End();
    }
    SendRows();
  } else {
    FinishStatement();
  }
  Step();
}

void SimBackend::SendNotices() {
  const SimStatement& s = *statement();
  uint32_t count = s.notices;
  MessageWriter writer(out_);
  for (; count > 0; --count) {
    writer.NoticeResponse({.severity = severity::kNotice,
                           .sqlstate = sqlstate::kSuccessfulCompletion,
                           .message = "tag " + s.tag});
  }
  if (Happens(random(), habits().notice_permille)) {
    writer.NoticeResponse({.severity = severity::kNotice,
                           .sqlstate = sqlstate::kSuccessfulCompletion,
                           .message = s.tag.empty() ? "for nobody" : "tag " + s.tag});
  }
  if (Happens(random(), habits().standby_report_permille)) {
    standby_ = !standby_;
    writer.ParameterStatus({"in_hot_standby", standby_ ? "on" : "off"});
  }
}

void SimBackend::BeginCopyIn() {
  MessageWriter writer(out_);
  writer.Begin(backend::kCopyInResponse);
  writer.Byte(0);
  writer.Int16(0);
  writer.End();
  copy_messages_ = 0;
  copy_digest_ = kDigestStart;
  ++cluster_.counts_.copies;
  state_ = State::kCopyIn;
  interruptible_ = true;
  Flush();
}

void SimBackend::OnCopyData(Bytes data) {
  ++copy_messages_;
  copy_digest_ = Digest64(copy_digest_, AsText(data));
  const SimStatement& s = *statement();
  if (!s.error.empty()) Error(s.error, "COPY is asked to fail");
}

void SimBackend::OnCopyDone() {
  interruptible_ = false;
  const SimStatement& s = *statement();
  if (!s.error.empty()) return Error(s.error, "COPY is asked to fail");
  char digest[20];
  std::snprintf(digest, sizeof digest, " %016" PRIx64, copy_digest_);
  CompleteStatement(CompletionText("COPY " + std::to_string(copy_messages_), s.tag) + digest);
}

// A part of the rows, as much as a write takes; the rest when that has gone.
void SimBackend::SendRows() {
  if (CancelTaken()) return Step();
  const SimStatement s = *statement();
  const uint32_t rows = s.kind == Kind::kSelect || s.kind == Kind::kCopyTo ? s.rows : 1;
  const bool limited = extended_ && row_limit_ > 0 && s.ReturnsRows();
  while (next_row_ < rows && (!limited || rows_sent_ < row_limit_)) {
    if (out_.size() >= kOutBytes) Flush();
    if (state_ == State::kEnded) return;
    if (!gone_ && socket_->unsent() > kUnsentBytes) return After(kWriteWait, &SimBackend::SendRows);
    SendRow(s, next_row_);
    ++next_row_;
    ++rows_sent_;
  }
  if (extended_) {
    if (auto found = session_->portals().find(portal_); found != session_->portals().end()) {
      found->second.next_row = next_row_;
    }
  }
  if (limited && rows_sent_ == row_limit_) {
    ++cluster_.counts_.suspended_portals;
    MessageWriter(out_).PortalSuspended();
    running_tag_.clear();
    state_ = State::kReady;
  } else {
    FinishStatement();
  }
  Step();
}

void SimBackend::SendRow(const SimStatement& s, uint32_t row) {
  MessageWriter writer(out_);
  if (s.kind == Kind::kCopyTo) {
    writer.Begin(backend::kCopyData);
    writer.RawBytes(AsBytes(Payload(s.tag, row, s.size)));
    writer.End();
    return;
  }
  if (s.kind == Kind::kQuestion) return SendAnswer(s.value);
  std::string payload;
  if (s.kind == Kind::kShow) {
    const std::string* value = session_->parameters().Find(s.name);
    payload = value != nullptr ? *value : "";
  } else {
    payload = Payload(s.tag, row, s.size);
  }
  const std::string number = std::to_string(row);
  const std::string process_id = std::to_string(process_id_);
  const std::string sequence = std::to_string(sequence_);
  const std::string session = session_->Digest();
  const std::optional<std::string_view> values[] = {s.tag,    number,  process_id,
                                                    sequence, session, payload};
  writer.DataRow(values);
}

// The items of a question are a line each.
void SimBackend::SendAnswer(std::string_view items) {
  std::vector<std::optional<std::string>> answers;
  for (size_t at = 0; at <= items.size();) {
    const size_t end = std::min(items.find(",\n", at), items.size());
    answers.push_back(session_->AnswerTo(items.substr(at, end - at)));
    at = end + 2;
  }
  std::vector<std::optional<std::string_view>> values(answers.begin(), answers.end());
  MessageWriter(out_).DataRow(values);
}

void SimBackend::FinishStatement() {
  const SimStatement s = *statement();
  if (!s.error.empty()) return Error(s.error, "the statement asks for this error, tag " + s.tag);
  std::string command(command_);
  if (s.kind == Kind::kCopyTo) {
    ++cluster_.counts_.copies;
    MessageWriter writer(out_);
    writer.Begin(backend::kCopyDone);
    writer.End();
  }
  if (s.kind == Kind::kSelect || s.kind == Kind::kCopyTo || s.kind == Kind::kQuestion)
    command += " " + std::to_string(rows_sent_);
  CompleteStatement(CompletionText(command, s.tag));
}

void SimBackend::CompleteStatement(std::string text) {
  MessageWriter(out_).CommandComplete(text);
  if (habits().reports_parameters_at_once) ReportParameters();
  interruptible_ = false;
  state_ = State::kReady;
  if (extended_) {
    running_tag_.clear();
    if (auto found = session_->portals().find(portal_); found != session_->portals().end()) {
      found->second.done = true;
    }
    return;
  }
  statements_.pop_front();
  if (statements_.empty()) return Ready();
  BeginStatement();
}

}  // namespace trireme::sim
