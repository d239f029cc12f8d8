// SPDX-License-Identifier: GPL-3.0-or-later
#include "net/inbox.h"

#include <gtest/gtest.h>

#include <string>

namespace trireme {
namespace {

constexpr Buffers::Options kSmall{.block_bytes = 1024, .blocks_max = 64};

// Pieces that cannot be merged: their blocks are full.
Slice Piece(Buffers& buffers, std::string_view text) {
  Block* block = buffers.TakeOnHeap(static_cast<uint32_t>(text.size()));
  std::memcpy(block->data, text.data(), text.size());
  return Slice(block, 0, static_cast<uint32_t>(text.size()));
}

std::string Drain(Inbox& inbox) {
  std::string text;
  while (!inbox.empty()) {
    text += AsText(inbox.Front());
    inbox.DropFront(static_cast<uint32_t>(inbox.Front().size()));
  }
  return text;
}

TEST(Inbox, IsEmptyAtFirst) {
  Inbox inbox;
  EXPECT_TRUE(inbox.empty());
  EXPECT_TRUE(inbox.Front().empty());
  EXPECT_EQ(inbox.slice_count(), 0u);
  inbox.Push(Slice{});
  EXPECT_TRUE(inbox.empty());
}

TEST(Inbox, GivesBytesInOrderWhateverTheSplitAndTheReads) {
  const std::string text = "0123456789abcdef";
  // Every way to cut 16 bytes at up to three places, read in every step.
  for (uint32_t i = 0; i <= 16; ++i) {
    for (uint32_t j = i; j <= 16; ++j) {
      for (uint32_t step = 1; step <= 16; step += 3) {
        Buffers buffers(kSmall);
        Inbox inbox;
        inbox.Push(Piece(buffers, text.substr(0, i)));
        inbox.Push(Piece(buffers, text.substr(i, j - i)));
        inbox.Push(Piece(buffers, text.substr(j)));
        ASSERT_EQ(inbox.size(), 16u);
        std::string got;
        while (!inbox.empty()) {
          const auto count = std::min<uint32_t>(step, static_cast<uint32_t>(inbox.Front().size()));
          got += AsText(inbox.TakeFront(count).bytes());
        }
        ASSERT_EQ(got, text) << i << " " << j << " " << step;
        ASSERT_EQ(buffers.in_use(), 0u);
      }
    }
  }
}

TEST(Inbox, JoinsAHeadThatIsSplitAnywhere) {
  const std::string text = "0123456789abcdef";
  for (uint32_t i = 1; i < 16; ++i) {
    for (uint32_t j = i; j <= 16; ++j) {
      for (uint32_t count = 0; count <= 16; ++count) {
        Buffers buffers(kSmall);
        Inbox inbox;
        inbox.Push(Piece(buffers, text.substr(0, i)));
        inbox.Push(Piece(buffers, text.substr(i, j - i)));
        inbox.Push(Piece(buffers, text.substr(j)));
        inbox.Join(count, buffers);
        ASSERT_GE(inbox.Front().size(), count);
        ASSERT_EQ(AsText(inbox.Front()).substr(0, count), text.substr(0, count));
        ASSERT_EQ(inbox.size(), 16u);
        inbox.Push(Piece(buffers, "!"));
        ASSERT_EQ(Drain(inbox), text + "!");
        ASSERT_EQ(buffers.in_use(), 0u);
      }
    }
  }
}

TEST(Inbox, JoinsInPlaceWhenTheFirstBlockHasRoom) {
  Buffers buffers(kSmall);
  Inbox inbox;
  inbox.Push(buffers.Copy(AsBytes("head")));
  inbox.Push(Piece(buffers, std::string(600, 'x')));
  const std::byte* before = inbox.Front().data();
  inbox.Join(10, buffers);
  EXPECT_EQ(inbox.Front().data(), before);
  EXPECT_EQ(AsText(inbox.Front()), "headxxxxxx");
  EXPECT_EQ(inbox.slice_count(), 2u);
  EXPECT_EQ(Drain(inbox), "head" + std::string(600, 'x'));
}

TEST(Inbox, PinsFewBlocksForAClientThatTrickles) {
  Buffers buffers(kSmall);
  Inbox inbox;
  for (int i = 0; i < 1000; ++i) inbox.Push(buffers.Copy(AsBytes("x")));
  EXPECT_EQ(inbox.size(), 1000u);
  EXPECT_EQ(buffers.in_use(), 1u);
  EXPECT_EQ(Drain(inbox), std::string(1000, 'x'));
}

TEST(Inbox, MovesAllToOneHeapBlock) {
  Buffers buffers(kSmall);
  Inbox inbox;
  inbox.MoveToHeap(buffers);
  const std::string long_text(700, 'a');
  for (int i = 0; i < 3; ++i) inbox.Push(buffers.Copy(AsBytes(long_text)));
  EXPECT_EQ(inbox.slice_count(), 3u);
  inbox.MoveToHeap(buffers);
  EXPECT_EQ(inbox.slice_count(), 1u);
  EXPECT_EQ(inbox.size(), 2100u);
  EXPECT_EQ(buffers.in_use(), 1u);
  EXPECT_EQ(buffers.heap_blocks(), 1u);
  EXPECT_EQ(Drain(inbox), long_text + long_text + long_text);
}

TEST(Inbox, ClearsALongListWithoutRecursion) {
  Buffers buffers(kSmall);
  Inbox inbox;
  for (int i = 0; i < 200000; ++i) inbox.Push(Piece(buffers, "x"));
  EXPECT_EQ(inbox.slice_count(), 200000u);
  inbox.Clear();
  EXPECT_TRUE(inbox.empty());
  EXPECT_EQ(buffers.in_use(), 0u);
}

}  // namespace
}  // namespace trireme
