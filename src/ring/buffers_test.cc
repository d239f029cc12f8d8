// SPDX-License-Identifier: GPL-3.0-or-later
#include "ring/buffers.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace trireme {
namespace {

constexpr Buffers::Options kSmall{.block_bytes = 64, .blocks_max = 8};

// A block as the kernel would bring it back.
Slice Receive(Buffers& buffers, std::string_view text) {
  Block* block = buffers.TakeToPublish();
  Slice slice = buffers.Filled(block, static_cast<uint32_t>(text.size()));
  std::memcpy(block->data, text.data(), text.size());
  return slice;
}

TEST(Buffers, EveryBlockIsInOnePlace) {
  Buffers buffers(kSmall);
  EXPECT_EQ(buffers.free_count(), 8u);
  Block* published = buffers.TakeToPublish();
  Slice held = Receive(buffers, "abc");
  EXPECT_EQ(buffers.free_count(), 6u);
  EXPECT_EQ(buffers.published(), 1u);
  EXPECT_EQ(buffers.in_use(), 1u);
  buffers.ReturnUnused(published);
  held = Slice{};
  EXPECT_EQ(buffers.free_count(), 8u);
  EXPECT_EQ(buffers.published(), 0u);
  EXPECT_EQ(buffers.in_use(), 0u);
}

TEST(Buffers, GivesTheWarmestBlockFirst) {
  Buffers buffers(kSmall);
  Slice first = buffers.Copy(AsBytes("a"));
  Slice second = buffers.Copy(AsBytes("b"));
  const uint32_t id = first.block()->id;
  second = Slice{};
  first = Slice{};
  Slice third = buffers.Copy(AsBytes("c"));
  EXPECT_EQ(third.block()->id, id);
}

TEST(Buffers, HasNoneToPublishWhenAllAreTaken) {
  Buffers buffers(kSmall);
  std::vector<Slice> all;
  for (int i = 0; i < 8; ++i) all.push_back(Receive(buffers, "x"));
  EXPECT_EQ(buffers.TakeToPublish(), nullptr);
  EXPECT_TRUE(buffers.scarce());
  all.pop_back();
  Block* block = buffers.TakeToPublish();
  ASSERT_NE(block, nullptr);
  buffers.ReturnUnused(block);
}

TEST(Buffers, TakesFromTheHeapWhatDoesNotFitOrIsNotThere) {
  Buffers buffers(kSmall);
  const std::string large(65, 'x');
  Slice slice = buffers.Copy(AsBytes(large));
  EXPECT_EQ(slice.block()->id, Block::kHeap);
  EXPECT_EQ(AsText(slice.bytes()), large);
  EXPECT_EQ(buffers.heap_blocks(), 1u);
  std::vector<Slice> all;
  for (int i = 0; i < 9; ++i) all.push_back(buffers.Copy(AsBytes("x")));
  EXPECT_EQ(buffers.heap_blocks(), 2u);
  EXPECT_EQ(buffers.in_use(), 10u);
  EXPECT_EQ(buffers.published(), 0u);
}

TEST(Buffers, MovesBytesToTheHeapAndTheBlockHome) {
  Buffers buffers(kSmall);
  Slice slice = buffers.MoveToHeap(Receive(buffers, "waits long"));
  EXPECT_EQ(AsText(slice.bytes()), "waits long");
  EXPECT_EQ(slice.block()->id, Block::kHeap);
  EXPECT_EQ(slice.block()->size, 10u);
  EXPECT_EQ(buffers.free_count(), 8u);
  const Block* block = slice.block();
  slice = buffers.MoveToHeap(std::move(slice));
  EXPECT_EQ(slice.block(), block) << "already there";
}

TEST(Buffers, TakesBackABlockThatNobodyUsed) {
  Buffers buffers(kSmall);
  buffers.Return(buffers.Take(10));
  buffers.Return(buffers.Take(1000));
  EXPECT_EQ(buffers.in_use(), 0u);
}

TEST(Slice, PartsKeepTheBlock) {
  Buffers buffers(kSmall);
  Slice whole = Receive(buffers, "hello world");
  Slice world = whole.Part(6, 5);
  EXPECT_EQ(whole.block()->references, 2u);
  whole = Slice{};
  EXPECT_EQ(AsText(world.bytes()), "world");
  EXPECT_EQ(buffers.in_use(), 1u);
  world.TrimFront(5);
  EXPECT_TRUE(world.empty());
  EXPECT_EQ(buffers.in_use(), 0u);
}

TEST(Slice, SplitsAtEveryPlace) {
  for (uint32_t count = 0; count <= 5; ++count) {
    Buffers buffers(kSmall);
    Slice back = Receive(buffers, "hello");
    Slice front = back.Split(count);
    EXPECT_EQ(AsText(front.bytes()), std::string_view("hello").substr(0, count));
    EXPECT_EQ(AsText(back.bytes()), std::string_view("hello").substr(count));
    EXPECT_EQ(front.empty() ? back.block()->references : front.block()->references,
              count == 0 || count == 5 ? 1u : 2u);
  }
}

TEST(Slice, ExtendsOnlyByWhatFollows) {
  Buffers buffers(kSmall);
  Slice whole = Receive(buffers, "abcdef");
  Slice a = whole.Part(0, 2);
  Slice c = whole.Part(4, 2);
  EXPECT_FALSE(a.Extend(c)) << "a gap";
  Slice b = whole.Part(2, 2);
  EXPECT_TRUE(a.Extend(b));
  EXPECT_TRUE(b.empty());
  EXPECT_TRUE(a.Extend(c));
  EXPECT_EQ(AsText(a.bytes()), "abcdef");
  Slice other = Receive(buffers, "ghi");
  EXPECT_FALSE(a.Extend(other)) << "another block";
  EXPECT_EQ(whole.block()->references, 2u);
}

TEST(Slice, AppendsOnlyToABlockOfItsOwnWithRoom) {
  Buffers buffers(kSmall);
  Slice slice = Receive(buffers, "abc");
  EXPECT_TRUE(slice.Append(AsBytes("def")));
  EXPECT_EQ(AsText(slice.bytes()), "abcdef");
  EXPECT_FALSE(slice.Append(AsBytes(std::string(59, 'x')))) << "no room";
  Slice part = slice.Part(0, 3);
  EXPECT_FALSE(part.Append(AsBytes("!"))) << "another slice looks at what follows";
  EXPECT_EQ(AsText(slice.bytes()), "abcdef");
  Slice none;
  EXPECT_FALSE(none.Append(AsBytes("!")));
}

#ifdef TRIREME_ADDRESS_SANITIZER
TEST(BuffersDeathTest, ReportsATouchAfterRelease) {
  Buffers buffers(kSmall);
  Slice slice = Receive(buffers, "abc");
  const std::byte* data = slice.data();
  slice = Slice{};
  EXPECT_DEATH({ [[maybe_unused]] volatile auto byte = *data; }, "use-after-poison");
}
#endif

TEST(BuffersDeathTest, MissesABlockThatDidNotComeHome) {
  EXPECT_DEATH(
      {
        auto* slice = new Slice;
        Buffers buffers(kSmall);
        *slice = Receive(buffers, "abc");
      },
      "in_use_ == 0");
}

}  // namespace
}  // namespace trireme
