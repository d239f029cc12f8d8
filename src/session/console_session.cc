// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/console_session.h"

#include <algorithm>
#include <string>

#include "base/assert.h"
#include "session/client.h"
#include "session/clients.h"
#include "wire/framer.h"

namespace trireme {

ConsoleSession::ConsoleSession(Client& client, Clients& clients, ConsoleRole role,
                               std::string_view user)
    : client_(client), clients_(clients), user_(user), console_(role) {}

void ConsoleSession::Begin() {
  MessageWriter writer(answer_);
  writer.AuthenticationOk();
  WriteConsoleParameters(writer, clients_.console().version());
  std::byte secret[sizeof(uint32_t)] = {};  // the console has nothing to cancel
  writer.BackendKeyData(clients_.CancelIdOf(client_), secret);
  writer.ReadyForQuery(TransactionStatus::kIdle);
  client_.SendText(answer_);
  answer_.clear();
  if (clients_.config().log.connections) {
    clients_.log().Info("console login", {{"client", client_.id()},
                                          {"user", user_},
                                          {"address", client_.stream().PeerAddress().Text()}});
  }
  OnBytes();
}

void ConsoleSession::OnBytes() {
  Inbox& inbox = client_.inbox_;
  // What must be whole has to fit into the backlog that a client may have.
  const uint32_t body_max = std::min(kMessageBytesMax, clients_.backlog_bytes_max() - kHeadBytes);
  while (client_.state() == Client::State::kConsole && !gathering_ && !client_.stream().clogged() &&
         inbox.size() >= kHeadBytes) {
    Buffers& buffers = clients_.streams().buffers();
    if (inbox.Front().size() < kHeadBytes) inbox.Join(kHeadBytes, buffers);
    const MessageHead head = ReadHead(inbox.Front().data());
    if (!head.valid(body_max)) {
      client_.CloseWith({.severity = severity::kFatal,
                         .sqlstate = sqlstate::kProtocolViolation,
                         .message = "console message is longer than " + std::to_string(body_max) +
                                    " bytes, or malformed"},
                        "protocol violation");
      return;
    }
    if (inbox.size() < head.total_size()) break;
    if (inbox.Front().size() < head.total_size()) inbox.Join(head.total_size(), buffers);
    const Slice message = inbox.TakeFront(head.total_size());
    MessageWriter writer(answer_);
    Act(console_.OnMessage(writer, head.type, message.bytes().subspan(kHeadBytes)));
  }
  EndIfDraining();
  client_.UpdateReceiving();
}

void ConsoleSession::EndIfDraining() {
  if (client_.draining_ && !gathering_) client_.CloseWith(clients_.ShutdownError(), "shutdown");
}

void ConsoleSession::OnSnapshot(const FleetSnapshot& fleet) {
  TRIREME_ASSERT(gathering_);
  gathering_ = false;
  MessageWriter writer(answer_);
  Act(console_.OnSnapshot(writer, fleet));
  OnBytes();
}

void ConsoleSession::Act(const Console::Step& step) {
  if (!answer_.empty()) client_.SendText(answer_);
  answer_.clear();
  switch (step.kind) {
    case Console::Step::Kind::kDone:
      return;
    case Console::Step::Kind::kNeedsSnapshot:
      gathering_ = true;
      clients_.console().Gather(step.parts, clients_.HandleOf(client_));
      return;
    case Console::Step::Kind::kClose:
      client_.Close("client closed the session", Client::Farewell::kFlush);
      return;
  }
}

}  // namespace trireme
