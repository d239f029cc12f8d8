// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/intrusive_list.h"

#include <gtest/gtest.h>

#include <string>

namespace trireme {
namespace {

struct Base {
  virtual ~Base() = default;
  int64_t before = 0;
};

// Not standard-layout, and on two lists at once.
struct Item : Base {
  explicit Item(char n) : name(n) {}
  char name;
  ListNode node;
  std::string between;
  ListNode other;
};

using Items = List<Item, &Item::node>;

std::string Names(Items& items) {
  std::string names;
  for (Item* item = items.front(); item != nullptr; item = items.next(*item)) names += item->name;
  return names;
}

void Clear(Items& items) {
  while (items.PopFront() != nullptr) {
  }
}

TEST(List, KeepsOrderFromBothEnds) {
  Item a('a'), b('b'), c('c');
  Items items;
  EXPECT_EQ(items.front(), nullptr);
  EXPECT_EQ(items.PopBack(), nullptr);
  items.PushBack(b);
  items.PushFront(a);
  items.PushBack(c);
  EXPECT_EQ(Names(items), "abc");
  EXPECT_EQ(items.count(), 3u);
  EXPECT_EQ(items.back(), &c);
  EXPECT_EQ(items.PopBack(), &c);
  EXPECT_EQ(items.PopFront(), &a);
  EXPECT_EQ(items.PopFront(), &b);
  EXPECT_TRUE(items.empty());
}

TEST(List, InsertsBeforeAnElementAndLooksBack) {
  Item a('a'), b('b'), c('c');
  Items items;
  items.PushBack(c);
  items.InsertBefore(c, a);
  items.InsertBefore(c, b);
  EXPECT_EQ(Names(items), "abc");
  EXPECT_EQ(items.previous(c), &b);
  EXPECT_EQ(items.previous(a), nullptr);
  Clear(items);
}

TEST(List, ErasesFromAnywhere) {
  Item a('a'), b('b'), c('c');
  Items items;
  for (Item* item : {&a, &b, &c}) items.PushBack(*item);
  items.Erase(b);
  EXPECT_FALSE(b.node.linked());
  EXPECT_EQ(Names(items), "ac");
  items.Erase(a);
  items.PushBack(b);
  EXPECT_EQ(Names(items), "cb");
  Clear(items);
}

TEST(List, ErasesWhileIterating) {
  Item a('a'), b('b'), c('c');
  Items items;
  for (Item* item : {&a, &b, &c}) items.PushBack(*item);
  for (Item* item = items.front(); item != nullptr;) {
    Item* next = items.next(*item);
    if (item != &b) items.Erase(*item);
    item = next;
  }
  EXPECT_EQ(Names(items), "b");
  Clear(items);
}

TEST(List, TwoNodesOfOneElementAreIndependent) {
  Item a('a');
  Items items;
  List<Item, &Item::other> others;
  items.PushBack(a);
  others.PushBack(a);
  EXPECT_EQ(items.front(), &a);
  EXPECT_EQ(others.front(), &a);
  items.Erase(a);
  EXPECT_EQ(others.PopFront(), &a);
}

TEST(ListDeathTest, RefusesAnElementTwice) {
  Item a('a');
  Items items;
  items.PushBack(a);
  EXPECT_DEATH(items.PushBack(a), "assertion failed: !node.linked");
  items.Erase(a);
  EXPECT_DEATH(items.Erase(a), "assertion failed: node.linked");
}

TEST(ListDeathTest, RefusesToLoseALinkedElement) {
  EXPECT_DEATH(
      {
        Items items;
        Item a('a');
        items.PushBack(a);
      },
      "assertion failed: !linked");
}

}  // namespace
}  // namespace trireme
