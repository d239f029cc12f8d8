// SPDX-License-Identifier: GPL-3.0-or-later
#include "study/peers.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/assert.h"
#include "wire/framer.h"
#include "wire/messages.h"
#include "wire/writer.h"

namespace trireme::bench {
namespace {

constexpr std::string_view kSelect = "SELECT ";
constexpr ParameterView kReported[] = {
    {"application_name", ""},      {"client_encoding", "UTF8"},
    {"DateStyle", "ISO, MDY"},     {"integer_datetimes", "on"},
    {"IntervalStyle", "postgres"}, {"is_superuser", "on"},
    {"server_encoding", "UTF8"},   {"server_version", "15.0"},
    {"session_authorization", ""}, {"standard_conforming_strings", "on"},
    {"TimeZone", "Etc/UTC"},
};

// One row of one column of ten bytes, as trireme-stub answers.
std::string MakeAnswer() {
  std::string bytes;
  MessageWriter writer(bytes);
  const ColumnDescription column{.name = "stub"};
  writer.RowDescription(std::span(&column, 1));
  const std::optional<std::string_view> value = "1111111111";
  writer.DataRow(std::span(&value, 1));
  writer.CommandComplete("SELECT 1");
  writer.ReadyForQuery(TransactionStatus::kIdle);
  return bytes;
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
  Client(StudyPeers& peers, uint32_t index) : peers_(peers), index_(index) {
    MessageWriter writer(query_);
    writer.Query(std::string(kSelect) + std::to_string(index));
  }
  void Connect() { socket_ = &peers_.network_.Connect(peers_.settings_.pooler, *this); }
  void Ask() {
    if (socket_ == nullptr) return;
    begun_ = peers_.network_.now();
    received_ = 0;
    socket_->Send(AsBytes(query_));
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
    if (received_ < peers_.answer_.size()) return;
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
    if (ready) ++peers_.logged_in_;
  }
  void Fail(const std::string& why) {
    if (!peers_.ending_) peers_.OnFailed(why);
    begun_ = kNever;
    if (socket_ != nullptr) std::exchange(socket_, nullptr)->Close();
  }

  StudyPeers& peers_;
  const uint32_t index_;
  sim::PeerSocket* socket_ = nullptr;
  std::string query_;
  std::string login_;
  Time begun_ = kNever;  // of a transaction under way
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
    if (type == frontend::kTerminate) leaves_ = true;
    if (type != frontend::kQuery) return;
    uint32_t client = 0;
    const bool ours =
        body.starts_with(kSelect) &&
        std::from_chars(body.data() + kSelect.size(), body.data() + body.size(), client).ec ==
            std::errc();
    if (!ours || client >= peers_.service_.size()) return Answer("RESET");
    const Duration service = peers_.settings_.service.Next(peers_.random_);
    peers_.service_[client] = service;
    peers_.network_.At(peers_.network_.now() + service, [this] {
      if (socket_ != nullptr) socket_->Send(AsBytes(peers_.answer_));
    });
  }
  void Answer(std::string_view tag) {
    std::string bytes;
    MessageWriter writer(bytes);
    writer.CommandComplete(tag);
    writer.ReadyForQuery(TransactionStatus::kIdle);
    socket_->Send(AsBytes(bytes));
  }

  StudyPeers& peers_;
  const uint32_t index_;
  sim::PeerSocket* socket_;
  std::string input_;
  bool logged_in_ = false;
  bool leaves_ = false;
};

StudyPeers::StudyPeers(sim::Network& network, const PeerSettings& settings, uint64_t seed)
    : network_(network), settings_(settings), random_(seed), answer_(MakeAnswer()) {}

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
  Client* again = clients_[client].get();
  if (settings_.think.is_zero()) return again->Ask();
  network_.At(now + settings_.think.Next(random_), [again] { again->Ask(); });
}

void StudyPeers::OnFailed(const std::string& why) {
  ++results_.failed;
  if (first_failure_.empty()) first_failure_ = why;
}

}  // namespace trireme::bench
