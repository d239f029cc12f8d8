// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/descriptors.h"

#include <cerrno>
#include <string>

#include "test/sim/sim_kernel.h"

namespace trireme::sim {

int Descriptors::CheckRoom() {
  if (open_count_ >= limit_) return -EMFILE;
  if (!kernel_.Roll(Fault::kNoDescriptors)) return 0;
  return kernel_.random().Below(2) == 0 ? -EMFILE : -ENFILE;
}

int Descriptors::Add(Socket& socket) {
  socket.Reference();
  sockets_.push_back(&socket);
  ++open_count_;
  return kFirst + static_cast<int>(sockets_.size()) - 1;
}

Socket& Descriptors::Get(int fd) {
  const auto index = static_cast<size_t>(fd - kFirst);
  if (fd < kFirst || index >= sockets_.size()) {
    kernel_.Violation("fd " + std::to_string(fd) + " was never open");
  }
  if (sockets_[index] == nullptr) {
    kernel_.Violation("fd " + std::to_string(fd) + " is used after it was closed");
  }
  return *sockets_[index];
}

void Descriptors::Close(int fd) {
  Socket& socket = Get(fd);
  sockets_[static_cast<size_t>(fd - kFirst)] = nullptr;
  --open_count_;
  kernel_.Trace(static_cast<uint64_t>(fd));
  socket.Unreference();
}

}  // namespace trireme::sim
