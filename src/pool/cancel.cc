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

CancelConnection::CancelConnection(Pools& pools, Server& server, CancelObserver* observer)
    : pools_(pools),
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
  TRIREME_ASSERT(closed() && server_ == nullptr && observer_ == nullptr);
  pools_.context_.timers.Cancel(timer_);
}

void CancelConnection::Begin() {
  pools_.context_.timers.Schedule(timer_, pools_.now() + pools_.context_.config.timeouts.cancel);
  stream_.Connect(address_);
}

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
  stream_.Abort();
  if (Server* server = std::exchange(server_, nullptr)) server->OnCancelEnded();
  if (CancelObserver* observer = std::exchange(observer_, nullptr)) {
    observer->connection_ = nullptr;
    observer->OnCancelEnd();
  }
}

void CancelConnection::OnClosed() { pools_.OnCancelClosed(*this); }

}  // namespace trireme
