// SPDX-License-Identifier: GPL-3.0-or-later
#include "study/peers.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "wire/framer.h"
#include "wire/messages.h"
#include "wire/writer.h"

namespace trireme::bench {
namespace {

constexpr std::string_view kSelect = "SELECT ";
constexpr std::string_view kStatement = "s";
constexpr ParameterView kReported[] = {
    {"application_name", ""},      {"client_encoding", "UTF8"},
    {"DateStyle", "ISO, MDY"},     {"integer_datetimes", "on"},
    {"IntervalStyle", "postgres"}, {"is_superuser", "on"},
    {"server_encoding", "UTF8"},   {"server_version", "15.0"},
    {"session_authorization", ""}, {"standard_conforming_strings", "on"},
    {"TimeZone", "Etc/UTC"},
};

// ---- what clients say ----

std::string Padding(const Talk& talk) {
  return talk.query_bytes == 0 ? "" : " /*" + std::string(talk.query_bytes, 'q') + "*/";
}

void AppendParse(std::string& bytes, std::string_view statement, const Talk& talk) {
  MessageWriter writer(bytes);
  writer.Begin(frontend::kParse);
  writer.String(statement);
  writer.String(std::string(kSelect) + "$1" + Padding(talk));
  writer.Int16(0);
  writer.End();
}

void AppendBind(std::string& bytes, std::string_view statement, std::string_view value) {
  MessageWriter writer(bytes);
  writer.Begin(frontend::kBind);
  writer.String("");
  writer.String(statement);
  writer.Int16(0);
  writer.Int16(1);
  writer.Int32(static_cast<int32_t>(value.size()));
  writer.RawBytes(AsBytes(value));
  writer.Int16(0);
  writer.End();
}

// Of the unnamed portal.
void AppendDescribe(std::string& bytes) {
  MessageWriter writer(bytes);
  writer.Begin(frontend::kDescribe);
  writer.Byte('P');
  writer.String("");
  writer.End();
}

void AppendExecute(std::string& bytes) {
  MessageWriter writer(bytes);
  writer.Begin(frontend::kExecute);
  writer.String("");
  writer.Int32(0);
  writer.End();
}

// A whole transaction.
std::string Question(const Talk& talk, uint32_t client) {
  std::string bytes;
  MessageWriter writer(bytes);
  const std::string value = std::to_string(client) + Padding(talk);
  switch (talk.protocol) {
    case Protocol::kSimple:
      writer.Query(std::string(kSelect) + value);
      return bytes;
    case Protocol::kExtended:
      AppendParse(bytes, "", talk);
      AppendBind(bytes, "", value);
      AppendDescribe(bytes);
      break;
    case Protocol::kPrepared:
      AppendBind(bytes, kStatement, value);
      break;
  }
  AppendExecute(bytes);
  writer.Sync();
  return bytes;
}

// The value of the one parameter of a Bind.
std::string_view ParameterOf(std::string_view bind) {
  bind.remove_prefix(bind.find('\0') + 1);      // the portal
  bind.remove_prefix(bind.find('\0') + 1 + 4);  // the statement, no formats, one value
  const uint32_t size = LoadBig32(AsBytes(bind).data());
  return bind.substr(4, size);
}

// ---- what servers say ----

void AppendDescription(std::string& bytes) {
  const ColumnDescription column{.name = "stub"};
  MessageWriter(bytes).RowDescription(std::span(&column, 1));
}

// One row of one column, as trireme-stub answers.
void AppendRows(std::string& bytes, const Talk& talk) {
  const std::string digits(talk.answer_bytes, '1');
  const std::optional<std::string_view> value = digits;
  MessageWriter writer(bytes);
  writer.DataRow(std::span(&value, 1));
  writer.CommandComplete("SELECT 1");
}

// Bytes of the answer to a transaction.
size_t AnswerBytes(const Talk& talk) {
  std::string bytes;
  MessageWriter writer(bytes);
  if (talk.protocol == Protocol::kExtended) writer.ParseComplete();
  if (talk.protocol != Protocol::kSimple) writer.BindComplete();
  if (talk.protocol != Protocol::kPrepared) AppendDescription(bytes);
  AppendRows(bytes, talk);
  writer.ReadyForQuery(TransactionStatus::kIdle);
  return bytes.size();
}

// Takes whole messages off the front; `act(type, body)`.
template <typename Act>
void TakeMessages(std::string& input, const Act& act) {
  size_t taken = 0;
  while (input.size() - taken >= kHeadBytes) {
    const Bytes rest = AsBytes(std::string_view(input).substr(taken));
    const size_t size = 1 + size_t{LoadBig32(rest.data() + 1)};
    if (rest.size() < size) break;
    act(input[taken], std::string_view(input).substr(taken + kHeadBytes, size - kHeadBytes));
    taken += size;
  }
  input.erase(0, taken);
}

}  // namespace

class StudyPeers::Client final : public sim::PeerHandler {
 public:
  Client(StudyPeers& peers, uint32_t index)
      : peers_(peers), index_(index), question_(Question(peers.settings_.talk, index)) {}
  void Connect() { socket_ = &peers_.network_.Connect(peers_.settings_.pooler, *this); }
  void Ask() {
    if (socket_ == nullptr) return;
    begun_ = peers_.network_.now();
    received_ = 0;
    socket_->Send(AsBytes(question_));
  }
  void Leave() {
    if (socket_ == nullptr) return;
    if (begun_ != kNever) return;  // after its answer
    std::string bytes;
    MessageWriter(bytes).Terminate();
    socket_->Send(AsBytes(bytes));
    std::exchange(socket_, nullptr)->Close();
  }

  // PeerHandler
  void OnConnect(sim::PeerSocket& socket) override {
    std::string bytes;
    const ParameterView parameters[] = {{"user", peers_.settings_.user},
                                        {"database", peers_.settings_.database}};
    MessageWriter(bytes).StartupMessage(kProtocol30, parameters);
    socket.Send(AsBytes(bytes));
  }
  void OnReceive(sim::PeerSocket&, Bytes bytes) override {
    if (begun_ == kNever) return OnLogin(bytes);
    if (received_ == 0 && std::to_integer<char>(bytes[0]) == backend::kErrorResponse) {
      return Fail(std::string(AsText(bytes)));
    }
    received_ += bytes.size();
    if (received_ < peers_.answer_bytes_) return;
    peers_.OnDone(index_, std::exchange(begun_, kNever));
  }
  void OnEnd(sim::PeerSocket&, int error) override { Fail("ended: " + std::to_string(error)); }

 private:
  void OnLogin(Bytes bytes) {
    login_.append(AsText(bytes));
    bool ready = false;
    std::string failure;
    TakeMessages(login_, [&](char type, std::string_view body) {
      ready |= type == backend::kReadyForQuery;
      if (type == backend::kErrorResponse) failure = body;
    });
    if (!failure.empty()) return Fail(failure);
    if (!ready) return;
    const Talk& talk = peers_.settings_.talk;
    if (talk.protocol != Protocol::kPrepared || std::exchange(prepared_, true)) {
      ++peers_.logged_in_;
      return;
    }
    std::string question;
    AppendParse(question, kStatement, talk);
    MessageWriter(question).Sync();
    socket_->Send(AsBytes(question));
  }
  void Fail(const std::string& why) {
    if (!peers_.ending_) peers_.OnFailed(why);
    begun_ = kNever;
    if (socket_ != nullptr) std::exchange(socket_, nullptr)->Close();
  }

  StudyPeers& peers_;
  const uint32_t index_;
  sim::PeerSocket* socket_ = nullptr;
  const std::string question_;
  std::string login_;
  bool prepared_ = false;  // the statement is parsed, or on its way
  Time begun_ = kNever;    // of a transaction under way
  size_t received_ = 0;
};

class StudyPeers::Server final : public sim::PeerHandler {
 public:
  Server(StudyPeers& peers, uint32_t index, sim::PeerSocket& socket)
      : peers_(peers), index_(index), socket_(&socket) {}

  void OnReceive(sim::PeerSocket&, Bytes bytes) override {
    input_.append(AsText(bytes));
    if (!logged_in_ && !LogIn()) return;
    TakeMessages(input_, [this](char type, std::string_view body) { Act(type, body); });
    if (leaves_ && socket_ != nullptr) std::exchange(socket_, nullptr)->Close();
  }
  void OnEnd(sim::PeerSocket&, int) override {
    if (socket_ != nullptr) std::exchange(socket_, nullptr)->Close();
  }

 private:
  bool LogIn() {
    if (input_.size() < 4) return false;
    const size_t size = LoadBig32(AsBytes(input_).data());
    if (input_.size() < size) return false;
    input_.erase(0, size);
    logged_in_ = true;
    std::string bytes;
    MessageWriter writer(bytes);
    writer.AuthenticationOk();
    for (const ParameterView& parameter : kReported) writer.ParameterStatus(parameter);
    const std::byte key[4] = {};
    writer.BackendKeyData(index_ + 1, key);
    writer.ReadyForQuery(TransactionStatus::kIdle);
    socket_->Send(AsBytes(bytes));
    return true;
  }
  void Act(char type, std::string_view body) {
    MessageWriter writer(answer_);
    switch (type) {
      case frontend::kTerminate:
        leaves_ = true;
        return;
      case frontend::kQuery:
        if (body.starts_with(kSelect)) NoteClient(body.substr(kSelect.size()));
        if (client_) {
          AppendDescription(answer_);
          AppendRows(answer_, peers_.settings_.talk);
        } else {
          writer.CommandComplete("RESET");
        }
        return Answer();
      case frontend::kParse:
        return writer.ParseComplete();
      case frontend::kBind:
        NoteClient(ParameterOf(body));
        return writer.BindComplete();
      case frontend::kDescribe:
        return AppendDescription(answer_);
      case frontend::kExecute:
        return AppendRows(answer_, peers_.settings_.talk);
      case frontend::kClose:
        return writer.CloseComplete();
      case frontend::kSync:
        return Answer();
      default:
        return;
    }
  }
  // Whose transaction this is, if it is a client's.
  void NoteClient(std::string_view text) {
    uint32_t client = 0;
    const bool number =
        std::from_chars(text.data(), text.data() + text.size(), client).ec == std::errc();
    if (number && client < peers_.service_.size()) client_ = client;
  }
  // What concerns no client takes no time.
  void Answer() {
    MessageWriter(answer_).ReadyForQuery(TransactionStatus::kIdle);
    if (!client_) return socket_->Send(AsBytes(std::exchange(answer_, {})));
    const Duration service = peers_.settings_.service.Next(peers_.random_);
    peers_.service_[*client_] = service;
    client_.reset();
    peers_.network_.At(peers_.network_.now() + service,
                       [this, answer = std::exchange(answer_, {})] {
                         if (socket_ != nullptr) socket_->Send(AsBytes(answer));
                       });
  }

  StudyPeers& peers_;
  const uint32_t index_;
  sim::PeerSocket* socket_;
  std::string input_;
  std::string answer_;              // not sent yet
  std::optional<uint32_t> client_;  // who is answered
  bool logged_in_ = false;
  bool leaves_ = false;
};

StudyPeers::StudyPeers(sim::Network& network, const PeerSettings& settings, uint64_t seed)
    : network_(network),
      settings_(settings),
      random_(seed),
      answer_bytes_(AnswerBytes(settings.talk)) {}

StudyPeers::~StudyPeers() = default;

void StudyPeers::Start(uint32_t client_count, Duration apart) {
  sim::PeerAcceptor& acceptor = *this;
  network_.Listen(settings_.server, acceptor);
  service_.resize(client_count);
  results_.by_client.resize(client_count);
  for (uint32_t i = 0; i < client_count; ++i) {
    clients_.push_back(std::make_unique<Client>(*this, i));
    network_.At(network_.now() + apart * i,
                [client = clients_.back().get()] { client->Connect(); });
  }
}

void StudyPeers::Begin(Duration spread) {
  for (const auto& client : clients_) {
    const Duration later(random_.Below(static_cast<uint64_t>(spread.count()) + 1));
    network_.At(network_.now() + later, [it = client.get()] { it->Ask(); });
  }
}

void StudyPeers::BeginMeasuring() { measured_from_ = network_.now(); }

void StudyPeers::End() {
  ending_ = true;
  for (const auto& client : clients_) client->Leave();
}

sim::PeerHandler& StudyPeers::OnAccept(sim::PeerSocket& socket) {
  const auto index = static_cast<uint32_t>(servers_.size());
  servers_.push_back(std::make_unique<Server>(*this, index, socket));
  return *servers_.back();
}

void StudyPeers::OnDone(uint32_t client, Time begun) {
  const Time now = network_.now();
  ++transactions_;
  if (now >= measured_from_ && !ending_) {
    const Duration latency = now - begun;
    ++results_.transactions;
    ++results_.by_client[client];
    results_.latency.Record(latency);
    results_.wait.Record(latency - service_[client] - 4 * settings_.network);
  }
  if (ending_) return clients_[client]->Leave();
  if (settings_.pace == Pace::kTogether) return AskTogether();
  Client* again = clients_[client].get();
  if (settings_.think.is_zero()) return again->Ask();
  network_.At(now + settings_.think.Next(random_), [again] { again->Ask(); });
}

void StudyPeers::AskTogether() {
  if (++done_together_ < clients_.size()) return;
  done_together_ = 0;
  for (const auto& client : clients_) client->Ask();
}

void StudyPeers::OnFailed(const std::string& why) {
  ++results_.failed;
  if (first_failure_.empty()) first_failure_ = why;
}

}  // namespace trireme::bench
