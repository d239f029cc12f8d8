// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/wishes.h"

#include <gtest/gtest.h>

#include <utility>

namespace trireme {
namespace {

ParameterSet Set(std::string_view name, std::string_view value) {
  ParameterSet set;
  set.Set(name, value);
  return set;
}

TEST(Wishes, KeepsEqualSetsOnce) {
  Wishes wishes;
  const WishRef a = wishes.Intern(Set("TimeZone", "UTC"));
  const WishRef b = wishes.Intern(Set("timezone", "UTC"));
  EXPECT_EQ(&*a, &*b);
  EXPECT_EQ(wishes.count(), 1u);
}

TEST(Wishes, TellsDifferentSetsApart) {
  Wishes wishes;
  const WishRef a = wishes.Intern(Set("TimeZone", "UTC"));
  const WishRef b = wishes.Intern(Set("TimeZone", "CET"));
  EXPECT_NE(&*a, &*b);
  EXPECT_EQ(*b->Find("TimeZone"), "CET");
  EXPECT_EQ(wishes.count(), 2u);
}

TEST(Wishes, ForgetsASetWithItsLastReference) {
  Wishes wishes;
  WishRef a = wishes.Intern(Set("TimeZone", "UTC"));
  WishRef b = wishes.Intern(Set("TimeZone", "UTC"));
  a = WishRef();
  EXPECT_EQ(wishes.count(), 1u);
  b = wishes.Intern(Set("TimeZone", "CET"));
  EXPECT_EQ(wishes.count(), 1u);
  EXPECT_EQ(*b->Find("TimeZone"), "CET");
  b = WishRef();
  EXPECT_EQ(wishes.count(), 0u);
}

TEST(Wishes, NoWishesNeedNoPlace) {
  Wishes wishes;
  const WishRef none = wishes.Intern(ParameterSet());
  EXPECT_EQ(wishes.count(), 0u);
  EXPECT_TRUE(none->empty());
}

TEST(Wishes, MovingKeepsTheReference) {
  Wishes wishes;
  WishRef a = wishes.Intern(Set("TimeZone", "UTC"));
  WishRef b = std::move(a);
  WishRef& same = b;
  b = std::move(same);
  EXPECT_EQ(*b->Find("TimeZone"), "UTC");
  EXPECT_EQ(wishes.count(), 1u);
}

}  // namespace
}  // namespace trireme
