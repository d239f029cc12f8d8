// SPDX-License-Identifier: GPL-3.0-or-later
#include "admin/table.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "base/assert.h"

namespace trireme {
namespace {

TypeInfo TypeOf(ColumnType type) {
  switch (type) {
    case ColumnType::kText:
      return kTypeText;
    case ColumnType::kInt4:
      return kTypeInt4;
    case ColumnType::kInt8:
      return kTypeInt8;
    case ColumnType::kNumeric:
      return kTypeNumeric;
  }
  TRIREME_UNREACHABLE();
}

void AppendBig16(std::string& bytes, uint16_t value) {
  bytes.push_back(static_cast<char>(value >> 8));
  bytes.push_back(static_cast<char>(value));
}

void AppendBig32(std::string& bytes, uint32_t value) {
  AppendBig16(bytes, static_cast<uint16_t>(value >> 16));
  AppendBig16(bytes, static_cast<uint16_t>(value));
}

// numeric_send: |digit count 2|weight 2|sign 2|display scale 2|digits of base 10000, 2 each|
std::string BinaryNumeric(int64_t value) {
  constexpr uint16_t kNegative = 0x4000;
  uint64_t rest = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::vector<uint16_t> digits;  // lowest first
  for (; rest > 0; rest /= 10000) digits.push_back(static_cast<uint16_t>(rest % 10000));
  const size_t weight = digits.empty() ? 0 : digits.size() - 1;
  const auto lowest =
      std::find_if(digits.begin(), digits.end(), [](uint16_t digit) { return digit != 0; });
  digits.erase(digits.begin(), lowest);  // trailing zeros are not sent
  std::string bytes;
  AppendBig16(bytes, static_cast<uint16_t>(digits.size()));
  AppendBig16(bytes, static_cast<uint16_t>(weight));
  AppendBig16(bytes, value < 0 ? kNegative : 0);
  AppendBig16(bytes, 0);
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit) AppendBig16(bytes, *digit);
  return bytes;
}

std::string BinaryNumber(ColumnType type, int64_t value) {
  std::string bytes;
  switch (type) {
    case ColumnType::kText:
      return std::to_string(value);
    case ColumnType::kInt4:
      AppendBig32(bytes, static_cast<uint32_t>(value));
      return bytes;
    case ColumnType::kInt8:
      AppendBig32(bytes, static_cast<uint32_t>(static_cast<uint64_t>(value) >> 32));
      AppendBig32(bytes, static_cast<uint32_t>(value));
      return bytes;
    case ColumnType::kNumeric:
      return BinaryNumeric(value);
  }
  TRIREME_UNREACHABLE();
}

// An int4 column cannot hold more, in either format: a reader would fail on the whole row.
int64_t FitInto(ColumnType type, int64_t value) {
  if (type != ColumnType::kInt4) return value;
  return std::clamp<int64_t>(value, std::numeric_limits<int32_t>::min(),
                             std::numeric_limits<int32_t>::max());
}

std::optional<std::string> CellBytes(const Cell& cell, ColumnType type, Format format) {
  if (std::holds_alternative<std::monostate>(cell)) return std::nullopt;
  if (const std::string* text = std::get_if<std::string>(&cell)) {
    TRIREME_ASSERT(type == ColumnType::kText);
    return *text;
  }
  const int64_t number = FitInto(type, std::get<int64_t>(cell));
  return format == Format::kBinary ? BinaryNumber(type, number) : std::to_string(number);
}

}  // namespace

Cell Number(uint64_t value) {
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  return static_cast<int64_t>(std::min(value, kMax));
}

void WriteRowDescription(MessageWriter& writer, std::span<const Column> columns,
                         const Formats& formats) {
  std::vector<ColumnDescription> descriptions;
  descriptions.reserve(columns.size());
  for (size_t i = 0; i < columns.size(); ++i) {
    descriptions.push_back({.name = columns[i].name,
                            .type = TypeOf(columns[i].type),
                            .format = static_cast<int16_t>(formats.Of(i))});
  }
  writer.RowDescription(descriptions);
}

void WriteDataRow(MessageWriter& writer, std::span<const Column> columns, const Formats& formats,
                  const Row& row) {
  TRIREME_ASSERT(row.size() == columns.size());
  std::vector<std::optional<std::string>> cells;
  cells.reserve(row.size());
  for (size_t i = 0; i < row.size(); ++i) {
    cells.push_back(CellBytes(row[i], columns[i].type, formats.Of(i)));
  }
  const std::vector<std::optional<std::string_view>> views(cells.begin(), cells.end());
  writer.DataRow(views);
}

}  // namespace trireme
