// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a statement gives: rows, COPY, its completion.
#include <charconv>
#include <cinttypes>
#include <cstdio>

#include "test/sim/sim_client.h"
#include "test/sim/sim_conversation.h"
#include "wire/messages.h"
#include "wire/reader.h"

namespace trireme::sim {
namespace {

using StatementKind = SimStatement::Kind;

template <typename Number>
bool ReadNumber(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

std::optional<SimRow> ReadRow(Bytes body) {
  MessageReader reader(body);
  if (reader.Int16() != kRowColumns) return std::nullopt;
  std::string_view columns[kRowColumns];
  for (std::string_view& column : columns) column = AsText(reader.Take(reader.Int32()));
  if (!reader.AtEnd()) return std::nullopt;
  SimRow row{.tag = std::string(columns[0]),
             .session = std::string(columns[4]),
             .payload = std::string(columns[5])};
  if (!ReadNumber(columns[1], row.row) || !ReadNumber(columns[2], row.process_id) ||
      !ReadNumber(columns[3], row.sequence)) {
    return std::nullopt;
  }
  return row;
}

std::string Shown(std::string_view bytes) {
  constexpr size_t kMax = 40;
  std::string text = std::to_string(bytes.size()) + " bytes \"";
  text += bytes.substr(0, kMax);
  return text + (bytes.size() > kMax ? "...\"" : "\"");
}

}  // namespace

// The first word of an answer to the statement at hand: from here on the model has run it.
bool Conversation::Begin() {
  if (begun_) return true;
  const SimStatement& s = *statement();
  begun_ = true;
  if (requests_.front().kind == Kind::kExecute) {
    const auto found = session_.portals().find(requests_.front().portal);
    if (found == session_.portals().end()) {
      Violate(Rule::kReplyOrder,
              "expected error 34000, for there is no such portal, got an answer");
      return false;
    }
    first_row_ = found->second.next_row;
    if (found->second.begun) {
      command_ = s.Command();
      return true;
    }
    found->second.begun = true;
  }
  if (!s.tag.empty()) ++begun_since_;
  const SimSession::Effect effect = session_.Run(s);
  command_ = effect.command;
  if (effect.notify) notifications_.push_back(s.value);
  if (!effect.error) return true;
  Violate(Rule::kTransaction,
          "expected " + ToString(*effect.error) + ", got an answer as if it had succeeded");
  return false;
}

void Conversation::OnDataRow(Bytes body) {
  const SimStatement* s = statement();
  if (s == nullptr || answered_ || !s->ReturnsRows()) return Unexpected(backend::kDataRow);
  if (requests_.front().kind == Kind::kQuery && !described_) return Unexpected(backend::kDataRow);
  if (!Begin()) return;
  const std::optional<SimRow> row = ReadRow(body);
  if (!row) return Violate(Rule::kBytes, "got a malformed row: " + Shown(AsText(body)));
  if (row->tag != s->tag) {
    return Violate(Rule::kCrossTalk, "expected a row of its own, got one of " + row->tag);
  }
  const uint32_t place = first_row_ + rows_;
  const uint32_t rows = s->kind == StatementKind::kShow ? 1 : s->rows;
  if (row->row != place || place >= rows) {
    return Violate(
        Rule::kBytes,
        "expected " +
            (place < rows ? "row " + std::to_string(place) : std::string("no more rows")) + " of " +
            std::to_string(rows) + ", got row " + std::to_string(row->row));
  }
  const uint32_t limit = requests_.front().row_limit;
  if (limit > 0 && rows_ >= limit) {
    return Violate(Rule::kBytes, "expected at most " + std::to_string(limit) + " rows, got more");
  }
  const std::string session = session_.Digest(keeps_server_ ? SimSession::Statements::kNamed
                                                            : SimSession::Statements::kNotHere);
  if (row->session != session) {
    return Violate(Rule::kSessionState, "expected the session " + session + ", got " +
                                            row->session + " on backend " +
                                            std::to_string(row->process_id));
  }
  std::string payload;
  if (s->kind == StatementKind::kShow) {
    const std::string* value = session_.parameters().Find(s->name);
    payload = value != nullptr ? *value : "";
  } else {
    payload = Payload(s->tag, place, s->size);
  }
  if (row->payload != payload) {
    return Violate(Rule::kBytes, "expected " + Shown(payload) + " in row " + std::to_string(place) +
                                     ", got " + Shown(row->payload));
  }
  CheckPlace(*row);
  ++rows_;
  ++counts_.rows;
}

// While the server must stay the same, nobody else's statements run in between.
void Conversation::CheckPlace(const SimRow& row) {
  if (pinned_ && row.process_id != process_id_) {
    return Violate(Rule::kTransaction, "expected backend " + std::to_string(process_id_) +
                                           " as before, got backend " +
                                           std::to_string(row.process_id));
  }
  const bool same = row.tag == sequence_tag_;
  if (pinned_ && same && row.sequence != sequence_) {
    return Violate(Rule::kTransaction, "expected rows of one run, got two: sequence " +
                                           std::to_string(sequence_) + ", then " +
                                           std::to_string(row.sequence));
  }
  const bool follows = row.sequence > sequence_ && row.sequence - sequence_ <= begun_since_;
  if (pinned_ && !same && !follows) {
    return Violate(Rule::kTransaction, "expected at most " + std::to_string(begun_since_) +
                                           " statements on the backend since sequence " +
                                           std::to_string(sequence_) + ", got sequence " +
                                           std::to_string(row.sequence));
  }
  pinned_ = true;
  process_id_ = row.process_id;
  sequence_ = row.sequence;
  if (!same) begun_since_ = 0;
  sequence_tag_ = row.tag;
}

void Conversation::OnCopyBegin(Copy copy) {
  const char type = copy == Copy::kIn ? backend::kCopyInResponse : backend::kCopyOutResponse;
  const SimStatement* s = statement();
  const StatementKind wanted =
      copy == Copy::kIn ? StatementKind::kCopyFrom : StatementKind::kCopyTo;
  if (s == nullptr || answered_ || s->kind != wanted || copy_ != Copy::kNone || copy_ended_) {
    return Unexpected(type);
  }
  if (!Begin()) return;
  copy_ = copy;
  copy_sent_ = requests_.front().copy_eager;
  if (copy != Copy::kIn) return;
  while (requests_.size() > 1 && requests_[1].ignored_in_copy)
    requests_.erase(requests_.begin() + 1);
}

void Conversation::OnCopyData(Bytes body) {
  const SimStatement* s = statement();
  if (s == nullptr || copy_ != Copy::kOut) return Unexpected(backend::kCopyData);
  const std::string payload = Payload(s->tag, rows_, s->size);
  if (rows_ >= s->rows || AsText(body) != payload) {
    return Violate(Rule::kBytes,
                   "expected " + (rows_ < s->rows ? Shown(payload) : std::string("no more data")) +
                       " as part " + std::to_string(rows_) + " of COPY, got " +
                       Shown(AsText(body)));
  }
  ++rows_;
}

void Conversation::OnCopyDone() {
  if (copy_ != Copy::kOut) return Unexpected(backend::kCopyDone);
  copy_ = Copy::kNone;
  copy_ended_ = true;
}

void Conversation::OnCommandComplete(std::string_view text) {
  const SimStatement* s = statement();
  if (s == nullptr || answered_) return Unexpected(backend::kCommandComplete);
  const SimRequest& request = requests_.front();
  const bool described = request.kind != Kind::kQuery || described_ || !s->ReturnsRows();
  const bool copied = s->kind != StatementKind::kCopyTo || copy_ended_;
  const bool copying = s->kind != StatementKind::kCopyFrom || copy_ == Copy::kIn;
  if (!described || !copied || !copying) return Unexpected(backend::kCommandComplete);
  if (!Begin()) return;
  const bool has_rows = s->ReturnsRows() || s->kind == StatementKind::kCopyTo;
  const uint32_t rows = s->kind == StatementKind::kShow ? 1 : s->rows;
  if (has_rows && first_row_ + rows_ != rows) {
    return Violate(Rule::kBytes, "expected " + std::to_string(rows) + " rows, got " +
                                     std::to_string(first_row_ + rows_));
  }
  if (!s->error.empty()) {
    return Violate(Rule::kError, "expected error " + s->error + ", got its completion");
  }
  std::string command(command_);
  std::string ending;
  if (s->kind == StatementKind::kSelect || s->kind == StatementKind::kCopyTo) {
    command += " " + std::to_string(rows_);
  } else if (s->kind == StatementKind::kCopyFrom) {
    command += " " + std::to_string(request.copy_messages);
    char digest[20];
    std::snprintf(digest, sizeof digest, " %016" PRIx64, request.copy_digest);
    ending = digest;
  }
  const std::string expected = CompletionText(command, s->tag) + ending;
  if (text != expected) {
    const bool of_another = text.find(s->tag) == std::string_view::npos;
    return Violate(
        of_another ? Rule::kCrossTalk : Rule::kBytes,
        "expected CommandComplete \"" + expected + "\", got \"" + std::string(text) + "\"");
  }
  EndStatement();
}

void Conversation::EndStatement() {
  ++counts_.statements;
  if (copy_ != Copy::kNone || copy_ended_) ++counts_.copies;
  const SimRequest& request = requests_.front();
  if (request.kind == Kind::kExecute) {
    if (auto found = session_.portals().find(request.portal); found != session_.portals().end()) {
      found->second.next_row = first_row_ + rows_;
      found->second.done = true;
    }
    return Pop();
  }
  ++statement_index_;
  begun_ = described_ = copy_ended_ = copy_sent_ = false;
  rows_ = 0;
  copy_ = Copy::kNone;
  answered_ = statement_index_ == request.statements.size();
}

void Conversation::OnPortalSuspended() {
  const SimStatement* s = statement();
  if (s == nullptr || requests_.front().kind != Kind::kExecute || !s->ReturnsRows()) {
    return Unexpected(backend::kPortalSuspended);
  }
  if (!Begin()) return;
  const uint32_t limit = requests_.front().row_limit;
  if (limit == 0 || rows_ != limit) {
    return Violate(Rule::kBytes, "expected " + std::to_string(limit) +
                                     " rows before PortalSuspended, got " + std::to_string(rows_));
  }
  session_.portals()[requests_.front().portal].next_row = first_row_ + rows_;
  Pop();
}

void Conversation::OnEmptyQuery() {
  const bool due = !requests_.empty() && requests_.front().statements.empty() && !answered_;
  if (!due) return Unexpected(backend::kEmptyQueryResponse);
  if (requests_.front().kind == Kind::kQuery) {
    answered_ = true;
  } else if (requests_.front().kind == Kind::kExecute) {
    Pop();
  } else {
    Unexpected(backend::kEmptyQueryResponse);
  }
}

}  // namespace trireme::sim
