// SPDX-License-Identifier: GPL-3.0-or-later
#include "admin/table.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

using std::string_literals::operator""s;

// The bytes of one value in one row.
std::string Value(ColumnType type, Format format, Cell cell) {
  const Column column{"c", type};
  std::string buffer;
  MessageWriter writer(buffer);
  WriteDataRow(writer, {&column, 1}, Formats({format}), {std::move(cell)});
  return buffer.substr(11);  // behind header, column count and size
}

TEST(Table, WritesNumbersInBothFormats) {
  struct Case {
    ColumnType type;
    int64_t number;
    std::string binary;
  };
  const Case cases[] = {
      {ColumnType::kInt4, 0, "\0\0\0\0"s},
      {ColumnType::kInt4, 258, "\0\0\x01\x02"s},
      {ColumnType::kInt4, -1, "\xff\xff\xff\xff"s},
      {ColumnType::kInt8, 0x0102030405060708, "\x01\x02\x03\x04\x05\x06\x07\x08"s},
      {ColumnType::kInt8, -2, "\xff\xff\xff\xff\xff\xff\xff\xfe"s},
      {ColumnType::kNumeric, 0, "\0\0\0\0\0\0\0\0"s},
      {ColumnType::kNumeric, 1, "\0\x01\0\0\0\0\0\0\0\x01"s},
      {ColumnType::kNumeric, 9999, "\0\x01\0\0\0\0\0\0\x27\x0f"s},
      {ColumnType::kNumeric, 10000, "\0\x01\0\x01\0\0\0\0\0\x01"s},
      {ColumnType::kNumeric, 10002, "\0\x02\0\x01\0\0\0\0\0\x01\0\x02"s},
      {ColumnType::kNumeric, -5, "\0\x01\0\0\x40\0\0\0\0\x05"s},
      {ColumnType::kText, 42, "42"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Value(c.type, Format::kBinary, c.number), c.binary) << c.number;
    EXPECT_EQ(Value(c.type, Format::kText, c.number), std::to_string(c.number));
  }
}

TEST(Table, KeepsInt4WithinItsBounds) {
  EXPECT_EQ(Value(ColumnType::kInt4, Format::kText, int64_t{1} << 40), "2147483647");
  EXPECT_EQ(Value(ColumnType::kInt4, Format::kBinary, int64_t{1} << 40), "\x7f\xff\xff\xff");
  EXPECT_EQ(Value(ColumnType::kInt4, Format::kText, -(int64_t{1} << 40)), "-2147483648");
}

TEST(Table, TellsNullFromEmpty) {
  const Column columns[] = {{"a"}, {"b"}};
  std::string buffer;
  MessageWriter writer(buffer);
  WriteDataRow(writer, columns, {}, {std::monostate{}, ""});
  EXPECT_EQ(buffer, "D\0\0\0\x0e\0\x02\xff\xff\xff\xff\0\0\0\0"s);
}

TEST(Formats, ApplyToNoneAllOrEachColumn) {
  EXPECT_EQ(Formats().Of(3), Format::kText);
  EXPECT_EQ(Formats({Format::kBinary}).Of(3), Format::kBinary);
  const Formats each({Format::kText, Format::kBinary});
  EXPECT_EQ(each.Of(0), Format::kText);
  EXPECT_EQ(each.Of(1), Format::kBinary);
}

TEST(Number, StopsAtTheLargestSigned) {
  EXPECT_EQ(Number(7), Cell(int64_t{7}));
  EXPECT_EQ(Number(UINT64_MAX), Cell(INT64_MAX));
}

}  // namespace
}  // namespace trireme
