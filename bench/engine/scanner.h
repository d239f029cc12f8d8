// SPDX-License-Identifier: GPL-3.0-or-later
//
// Walks over a stream of PostgreSQL messages, from either side, wherever receives have cut it.
// Heads are read; bodies are passed over, except those of the few types the user wants whole.
//
//   scanner.Feed(bytes, wants, on_message)
//     wants(type)              true: gather the body
//     on_message(type, body)   once a message: at its head, or, when wanted, with its body, which
//                              lives until the call returns
//
// A wanted body of more than 1 MiB, or a length word below 4, makes broken() true for good.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "wire/framer.h"

namespace trireme::bench {

class Scanner {
 public:
  bool broken() const { return broken_; }
  // Between two messages.
  bool at_boundary() const { return skip_ == 0 && partial_.empty(); }
  void Reset() {
    partial_.clear();
    skip_ = 0;
    broken_ = false;
  }

  // `on_message` may call Reset() only as its last act, returning false; then the rest is dropped.
  template <typename Wants, typename OnMessage>
  void Feed(Bytes bytes, Wants&& wants, OnMessage&& on_message) {
    while (!bytes.empty() && !broken_) {
      if (skip_ > 0) {
        const size_t passed = std::min<size_t>(skip_, bytes.size());
        skip_ -= static_cast<uint32_t>(passed);
        bytes = bytes.subspan(passed);
        continue;
      }
      if (!partial_.empty()) {
        bytes = bytes.subspan(Complete(bytes, wants));
        if (!PartialIsWhole(wants)) continue;
        std::string whole;
        whole.swap(partial_);
        if (!Deliver(AsBytes(whole), wants, on_message)) return;
        whole.clear();
        if (partial_.empty()) partial_.swap(whole);  // keeps its memory
        continue;
      }
      if (bytes.size() < kHeadBytes) {
        partial_.assign(AsText(bytes));
        return;
      }
      const MessageHead head = ReadHead(bytes.data());
      if (!Acceptable(head, wants)) return;
      const bool wanted = wants(head.type);
      if (wanted && bytes.size() < head.total_size()) {
        partial_.assign(AsText(bytes));
        return;
      }
      const size_t size = std::min<size_t>(bytes.size(), wanted ? head.total_size() : kHeadBytes);
      if (!Deliver(bytes.first(size), wants, on_message)) return;
      bytes = bytes.subspan(size);
    }
  }

 private:
  static constexpr uint32_t kWantedBytesMax = 1 << 20;

  template <typename Wants>
  bool Acceptable(const MessageHead& head, Wants& wants) {
    if (head.length >= 4 && (!wants(head.type) || head.body_size() <= kWantedBytesMax)) return true;
    broken_ = true;
    return false;
  }

  // Adds to partial_ what its head, and then its body when wanted, still lacks; how much it took.
  template <typename Wants>
  size_t Complete(Bytes bytes, Wants& wants) {
    size_t taken = 0;
    const auto take_up_to = [&](size_t size) {
      const size_t count = std::min(size - std::min(size, partial_.size()), bytes.size() - taken);
      partial_.append(AsText(bytes.subspan(taken, count)));
      taken += count;
    };
    take_up_to(kHeadBytes);
    if (partial_.size() < kHeadBytes) return taken;
    const MessageHead head = ReadHead(AsBytes(partial_).data());
    if (Acceptable(head, wants) && wants(head.type)) take_up_to(head.total_size());
    return taken;
  }

  template <typename Wants>
  bool PartialIsWhole(Wants& wants) {
    if (broken_ || partial_.size() < kHeadBytes) return false;
    const MessageHead head = ReadHead(AsBytes(partial_).data());
    return !wants(head.type) || partial_.size() == head.total_size();
  }

  // `message`: head and body when wanted, else the head.
  template <typename Wants, typename OnMessage>
  bool Deliver(Bytes message, Wants& wants, OnMessage& on_message) {
    const MessageHead head = ReadHead(message.data());
    if (!wants(head.type)) skip_ = head.body_size();
    return on_message(head.type, message.subspan(kHeadBytes));
  }

  std::string partial_;
  uint32_t skip_ = 0;
  bool broken_ = false;
};

}  // namespace trireme::bench
