// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/slab.h"

#include <gtest/gtest.h>

#include <vector>

namespace trireme {
namespace {

struct Connection {
  explicit Connection(int i) : id(i) { ++alive; }
  ~Connection() { --alive; }
  int id;
  char rest[60] = {};
  static inline int alive = 0;
};

void FreeAll(Slab<Connection>& slab) {
  slab.ForEach([&](Connection& connection) { slab.Free(&connection); });
}

TEST(Slab, ConstructsAndDestroysInPlace) {
  Slab<Connection> slab(8);
  Connection* a = slab.New(1);
  Connection* b = slab.New(2);
  EXPECT_EQ(a->id, 1);
  EXPECT_EQ(b->id, 2);
  EXPECT_EQ(slab.count(), 2u);
  EXPECT_EQ(Connection::alive, 2);
  slab.Free(a);
  slab.Free(b);
  EXPECT_EQ(Connection::alive, 0);
}

TEST(Slab, FindsTheLivingOnly) {
  Slab<Connection> slab(8);
  Connection* a = slab.New(1);
  const Handle handle = slab.HandleOf(a);
  EXPECT_EQ(slab.Find(handle), a);
  EXPECT_EQ(slab.FindByIndex(handle.index), a);
  slab.Free(a);
  EXPECT_EQ(slab.Find(handle), nullptr);
  EXPECT_EQ(slab.FindByIndex(handle.index), nullptr);
}

TEST(Slab, AStaleHandleDoesNotFindTheSlotsNextObject) {
  Slab<Connection> slab(8);
  Connection* first = slab.New(1);
  const Handle stale = slab.HandleOf(first);
  slab.Free(first);
  Connection* second = slab.New(2);
  ASSERT_EQ(second, first) << "the warm slot is reused";
  EXPECT_EQ(slab.HandleOf(second).index, stale.index);
  EXPECT_NE(slab.HandleOf(second), stale);
  EXPECT_EQ(slab.Find(stale), nullptr);
  EXPECT_EQ(slab.Find(slab.HandleOf(second)), second);
  slab.Free(second);
}

TEST(Slab, FindsNothingForHandlesItNeverGave) {
  Slab<Connection> slab(8);
  Connection* a = slab.New(1);
  EXPECT_EQ(slab.Find(Handle{}), nullptr);
  EXPECT_EQ(slab.Find({.index = 1, .generation = 1}), nullptr);
  EXPECT_EQ(slab.Find({.index = 0, .generation = 99}), nullptr);
  EXPECT_EQ(slab.FindByIndex(7), nullptr);
  slab.Free(a);
}

TEST(Slab, ReusesLastInFirstOut) {
  Slab<Connection> slab(8);
  Connection* a = slab.New(1);
  Connection* b = slab.New(2);
  slab.Free(a);
  slab.Free(b);
  EXPECT_EQ(slab.New(3), b);
  EXPECT_EQ(slab.New(4), a);
  FreeAll(slab);
}

TEST(Slab, RefusesBeyondItsLimitAndRecovers) {
  Slab<Connection> slab(2);
  Connection* a = slab.New(1);
  ASSERT_NE(slab.New(2), nullptr);
  EXPECT_EQ(slab.New(3), nullptr);
  EXPECT_EQ(slab.count(), 2u);
  slab.Free(a);
  EXPECT_NE(slab.New(4), nullptr);
  FreeAll(slab);
}

TEST(Slab, ObjectsStayWhereTheyAreWhenItGrows) {
  Slab<Connection> slab(1000);
  std::vector<Connection*> all;
  for (int i = 0; i < 1000; ++i) all.push_back(slab.New(i));
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(all[i]->id, i);
    EXPECT_EQ(slab.Find(slab.HandleOf(all[i])), all[i]);
  }
  FreeAll(slab);
  EXPECT_EQ(slab.count(), 0u);
}

TEST(Slab, VisitsTheLivingInSlotOrder) {
  Slab<Connection> slab(100);
  std::vector<Connection*> all;
  for (int i = 0; i < 70; ++i) all.push_back(slab.New(i));
  for (int i = 0; i < 70; i += 2) slab.Free(all[i]);
  std::vector<int> seen;
  slab.ForEach([&](Connection& connection) { seen.push_back(connection.id); });
  ASSERT_EQ(seen.size(), 35u);
  for (size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], static_cast<int>(2 * i + 1));
  FreeAll(slab);
}

TEST(SlabDeathTest, RefusesToFreeTwice) {
  Slab<Connection> slab(2);
  Connection* a = slab.New(1);
  slab.Free(a);
  EXPECT_DEATH(slab.Free(a), "assertion failed");
}

TEST(SlabDeathTest, RefusesToDieWithLivingObjects) {
  EXPECT_DEATH(
      {
        Slab<Connection> slab(2);
        slab.New(1);
      },
      "assertion failed: count_ == 0");
}

#ifdef TRIREME_ASAN
TEST(SlabDeathTest, UseAfterFreeIsReported) {
  Slab<Connection> slab(2);
  Connection* a = slab.New(1);
  slab.Free(a);
  EXPECT_DEATH({ static_cast<volatile Connection*>(a)->id = 2; }, "use-after-poison");
}
#endif

}  // namespace
}  // namespace trireme
