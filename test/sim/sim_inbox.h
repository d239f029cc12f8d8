// SPDX-License-Identifier: GPL-3.0-or-later
//
// Bytes as they come in, messages as they are whole. One connection's; not for speed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "wire/framer.h"

namespace trireme::sim {

class SimInbox {
 public:
  static constexpr uint32_t kMessageBytesMax = 64 << 20;

  void Push(Bytes bytes) {
    if (at_ > 65536 && at_ > bytes_.size() / 2) {
      bytes_.erase(0, at_);
      at_ = 0;
    }
    bytes_.append(AsText(bytes));
  }
  Bytes rest() const { return AsBytes(std::string_view(bytes_).substr(at_)); }
  size_t size() const { return bytes_.size() - at_; }
  bool empty() const { return size() == 0; }
  void Drop(size_t count) { at_ += count; }
  void Clear() {
    bytes_.clear();
    at_ = 0;
  }

  // A head that no message can have is at the front.
  bool broken() const {
    return size() >= kHeadBytes && !ReadHead(rest().data()).valid(kMessageBytesMax);
  }
  // The whole message at the front; its body is valid until the next Push.
  struct Message {
    char type;
    Bytes body;
  };
  std::optional<Message> Front() const {
    if (size() < kHeadBytes || broken()) return std::nullopt;
    const MessageHead head = ReadHead(rest().data());
    if (size() < head.total_size()) return std::nullopt;
    return Message{head.type, rest().subspan(kHeadBytes, head.body_size())};
  }
  void DropFront() { Drop(ReadHead(rest().data()).total_size()); }

 private:
  std::string bytes_;
  size_t at_ = 0;
};

}  // namespace trireme::sim
