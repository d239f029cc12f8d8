// SPDX-License-Identifier: GPL-3.0-or-later
//
// A bounded cursor over the body of one message. Reading past the end never touches memory: it
// returns zeros or empty views, moves to the end and makes ok() false for good, so a parser reads
// all its fields and asks once. Views point into the given bytes.
#pragma once

#include <cstring>
#include <string_view>

#include "base/bytes.h"

namespace trireme {

class MessageReader {
 public:
  explicit MessageReader(Bytes body) : rest_(body) {}

  bool ok() const { return ok_; }                      // nothing was missing so far
  bool AtEnd() const { return ok_ && rest_.empty(); }  // all read, and nothing was missing
  size_t left() const { return rest_.size(); }

  uint8_t Byte() {
    const Bytes taken = Take(1);
    return taken.empty() ? uint8_t{0} : static_cast<uint8_t>(taken[0]);
  }

  uint16_t Int16() {
    const Bytes taken = Take(2);
    return taken.empty() ? uint16_t{0} : LoadBig16(taken.data());
  }

  uint32_t Int32() {
    const Bytes taken = Take(4);
    return taken.empty() ? 0 : LoadBig32(taken.data());
  }

  // A string with its terminating zero; the view is without it.
  std::string_view String() {
    const void* zero = rest_.empty() ? nullptr : std::memchr(rest_.data(), 0, rest_.size());
    if (zero == nullptr) {
      Fail();
      return {};
    }
    const auto length = static_cast<size_t>(static_cast<const std::byte*>(zero) - rest_.data());
    const std::string_view text = AsText(rest_.first(length));
    rest_ = rest_.subspan(length + 1);
    return text;
  }

  // Exactly `count` bytes, or none and ok() is false.
  Bytes Take(size_t count) {
    if (count > rest_.size()) {
      Fail();
      return {};
    }
    const Bytes taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }

  Bytes TakeRest() { return Take(rest_.size()); }

 private:
  void Fail() {
    ok_ = false;
    rest_ = rest_.last(0);
  }

  Bytes rest_;
  bool ok_ = true;
};

}  // namespace trireme
