// SPDX-License-Identifier: GPL-3.0-or-later
//
// The file descriptors of the one simulated process, shared by all its rings. Unlike Linux a number
// is never given out twice in a run: whoever still uses a closed one is found at once, and does not
// reach somebody else's connection.
#pragma once

#include <cstdint>
#include <vector>

namespace trireme::sim {

class SimKernel;
class Socket;

class Descriptors {
 public:
  explicit Descriptors(SimKernel& kernel) : kernel_(kernel) {}

  // Whether another one may be had: 0, -EMFILE or -ENFILE; rolls for the fault.
  int CheckRoom();
  int Add(Socket& socket);  // takes a reference
  Socket& Get(int fd);      // a violation when it is not open
  void Close(int fd);       // likewise

  uint32_t open_count() const { return open_count_; }
  void set_limit(uint32_t count) { limit_ = count; }

 private:
  static constexpr int kFirst = 3;
  SimKernel& kernel_;
  std::vector<Socket*> sockets_;  // by fd - kFirst; nullptr once closed
  uint32_t open_count_ = 0;
  uint32_t limit_ = 1 << 20;
};

}  // namespace trireme::sim
