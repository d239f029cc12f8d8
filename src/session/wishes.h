// SPDX-License-Identifier: GPL-3.0-or-later
//
// What clients want their session parameters to be. Thousands of clients want the same few sets, so
// a core keeps each distinct set once and clients hold counted references: an idle client pays one
// pointer.
//
// Owned by one core.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "wire/parameter_set.h"

namespace trireme {

class Wishes;

struct Wish {
  ParameterSet parameters;
  uint32_t references = 0;
  Wishes* home = nullptr;
};

// A counted reference to an interned set; empty = no wishes.
class WishRef {
 public:
  WishRef() = default;
  explicit WishRef(Wish* wish) : wish_(wish) { ++wish_->references; }
  WishRef(WishRef&& other) noexcept : wish_(std::exchange(other.wish_, nullptr)) {}
  WishRef& operator=(WishRef&& other) noexcept {
    WishRef taken(std::move(other));
    std::swap(wish_, taken.wish_);
    return *this;
  }
  WishRef(const WishRef&) = delete;
  WishRef& operator=(const WishRef&) = delete;
  ~WishRef() {
    if (wish_ != nullptr) Drop();
  }
  // Another reference to the same set.
  WishRef Share() const { return wish_ != nullptr ? WishRef(wish_) : WishRef(); }

  const ParameterSet& operator*() const { return wish_ != nullptr ? wish_->parameters : Empty(); }
  const ParameterSet* operator->() const { return &**this; }

 private:
  static const ParameterSet& Empty();
  void Drop();
  Wish* wish_ = nullptr;
};

class Wishes {
 public:
  Wishes() = default;
  ~Wishes();  // nobody holds one (asserted)
  Wishes(const Wishes&) = delete;
  Wishes& operator=(const Wishes&) = delete;

  WishRef Intern(ParameterSet parameters);
  size_t count() const { return by_hash_.size(); }

 private:
  friend class WishRef;
  void Free(Wish* wish);
  // A short list per hash: two sets may share one.
  absl::flat_hash_map<uint64_t, absl::InlinedVector<std::unique_ptr<Wish>, 1>> by_hash_;
};

}  // namespace trireme
