// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/bytes.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

TEST(Bytes, TextAndBytesAreTheSameMemory) {
  const std::string_view text("a\0b", 3);
  EXPECT_EQ(AsBytes(text).size(), 3u);
  EXPECT_EQ(AsBytes(text)[1], std::byte{0});
  EXPECT_EQ(AsText(AsBytes(text)), text);
  EXPECT_EQ(AsText(AsBytes(text)).data(), text.data());
}

TEST(Bytes, LoadsBigEndianFromAnyAlignment) {
  const Bytes bytes = AsBytes("\x7f\x01\x02\x03\xff\xfe");
  EXPECT_EQ(LoadBig32(bytes.data()), 0x7f010203u);
  EXPECT_EQ(LoadBig32(bytes.data() + 1), 0x010203ffu);
  EXPECT_EQ(LoadBig16(bytes.data() + 1), 0x0102u);
  EXPECT_EQ(LoadBig16(bytes.data() + 4), 0xfffeu);
}

TEST(Bytes, StoresWhatItLoads) {
  std::byte bytes[7] = {};
  StoreBig32(bytes + 1, 0xdeadbeefu);
  StoreBig16(bytes + 5, 0x1234u);
  EXPECT_EQ(bytes[0], std::byte{0});
  EXPECT_EQ(bytes[1], std::byte{0xde});
  EXPECT_EQ(LoadBig32(bytes + 1), 0xdeadbeefu);
  EXPECT_EQ(LoadBig16(bytes + 5), 0x1234u);
}

}  // namespace
}  // namespace trireme
