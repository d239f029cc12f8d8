// SPDX-License-Identifier: GPL-3.0-or-later
#include "pool/cancel.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/assert.h"
#include "pool/pools.h"
#include "pool/server.h"
#include "wire/writer.h"

namespace trireme {

CancelObserver::~CancelObserver() {
  if (connection_ != nullptr) connection_->observer_ = nullptr;
}

CancelConnection::CancelConnection(Pools& pools, CancelLine& line, Server& server,
                                   CancelObserver* observer)
    : pools_(pools),
      line_(line),
      server_(&server),
      observer_(observer),
      key_(server.key()),
      address_(server.address()),
      stream_(pools.context_.streams, *this),
      timer_([](void* cancel) { static_cast<CancelConnection*>(cancel)->Finish(); }, this) {
  if (observer_ == nullptr) return;
  TRIREME_ASSERT(observer_->connection_ == nullptr);
  observer_->connection_ = this;
}

CancelConnection::~CancelConnection() {
  using State = Stream::State;
  TRIREME_ASSERT(stream_.state() == State::kClosed || stream_.state() == State::kIdle);
  TRIREME_ASSERT(!waits() && server_ == nullptr && observer_ == nullptr);
  pools_.context_.timers.Cancel(timer_);
}

void CancelConnection::Begin() {
  pools_.context_.timers.Schedule(timer_, pools_.now() + pools_.context_.config.timeouts.cancel);
  line_.Join(*this);
}

// One whose server we have given up may run on in PostgreSQL.
bool CancelConnection::pointless() const {
  return server_ != nullptr && server_->replies().at_rest();
}

void CancelConnection::Go() { stream_.Connect(address_); }

void CancelConnection::Hurry() {
  if (!timer_.scheduled()) return;  // it has finished, and is closing
  const Time end = std::min(timer_.expiry(), pools_.now() + kLastWait);
  pools_.context_.timers.Schedule(timer_, end);
}

void CancelConnection::OnConnected(int error) {
  if (error != 0) return Finish();
  std::string packet;
  MessageWriter(packet).CancelRequest(key_.process_id, AsBytes(key_.secret));
  stream_.SendCopy(AsBytes(packet));
}

// PostgreSQL answers nothing; its closing says that the signal is sent.
void CancelConnection::OnReceive(Slice&&) {}
void CancelConnection::OnEnd(int) { Finish(); }
void CancelConnection::OnDetached(int) { TRIREME_UNREACHABLE(); }

void CancelConnection::Finish() {
  pools_.context_.timers.Cancel(timer_);
  if (waits()) {
    line_.Leave(*this);
    pools_.OnCancelEnded(*this);
  } else {
    stream_.Abort();
  }
  if (Server* server = std::exchange(server_, nullptr)) server->OnCancelEnded();
  if (CancelObserver* observer = std::exchange(observer_, nullptr)) {
    observer->connection_ = nullptr;
    observer->OnCancelEnd();
  }
}

void CancelConnection::OnClosed() {
  pools_.OnCancelEnded(*this);
  line_.OnClosed();
}

void CancelLine::Join(CancelConnection& cancel) {
  if (under_way_ >= most_) return waiting_.PushBack(cancel);
  ++under_way_;
  cancel.Go();
}

void CancelLine::OnClosed() {
  TRIREME_ASSERT(under_way_ > 0);
  --under_way_;
  while (CancelConnection* next = waiting_.front()) {
    if (next->pointless()) {
      next->Finish();
      continue;
    }
    waiting_.Erase(*next);
    return Join(*next);
  }
}

void CancelLine::Drop(const Server& server) {
  for (CancelConnection* cancel = waiting_.front(); cancel != nullptr;) {
    CancelConnection* next = waiting_.next(*cancel);
    if (cancel->server_ == &server) cancel->Finish();
    cancel = next;
  }
}

}  // namespace trireme
