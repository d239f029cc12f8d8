// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/wishes.h"

#include "base/assert.h"

namespace trireme {

const ParameterSet& WishRef::Empty() {
  static const ParameterSet empty;
  return empty;
}

void WishRef::Drop() {
  if (--wish_->references == 0) wish_->home->Free(wish_);
}

Wishes::~Wishes() { TRIREME_ASSERT(by_hash_.empty()); }

WishRef Wishes::Intern(ParameterSet parameters) {
  if (parameters.empty()) return WishRef();
  auto& same_hash = by_hash_[parameters.hash()];
  for (const std::unique_ptr<Wish>& wish : same_hash) {
    if (wish->parameters == parameters) return WishRef(wish.get());
  }
  same_hash.push_back(std::make_unique<Wish>());
  Wish& wish = *same_hash.back();
  wish.parameters = std::move(parameters);
  wish.home = this;
  return WishRef(&wish);
}

void Wishes::Free(Wish* wish) {
  const auto found = by_hash_.find(wish->parameters.hash());
  TRIREME_ASSERT(found != by_hash_.end());
  auto& same_hash = found->second;
  for (auto at = same_hash.begin(); at != same_hash.end(); ++at) {
    if (at->get() != wish) continue;
    same_hash.erase(at);
    break;
  }
  if (same_hash.empty()) by_hash_.erase(found);
}

}  // namespace trireme
