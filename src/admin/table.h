// SPDX-License-Identifier: GPL-3.0-or-later
//
// Rows of an answer before they are bytes. A column's type decides how a cell is written, in text
// or in the binary format of PostgreSQL: text, int4, int8, numeric (whole numbers).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "wire/writer.h"

namespace trireme {

enum class ColumnType : uint8_t { kText, kInt4, kInt8, kNumeric };

struct Column {
  std::string_view name;
  ColumnType type = ColumnType::kText;
};

// NULL, a number, or a text. A number in a text column is written out.
using Cell = std::variant<std::monostate, int64_t, std::string>;
using Row = std::vector<Cell>;

// Any counter as a cell; beyond int64 it stays at the largest.
Cell Number(uint64_t value);

enum class Format : int16_t { kText = 0, kBinary = 1 };

// Result formats as Bind gives them: none = all text, one = for all columns, else one a column.
class Formats {
 public:
  Formats() = default;
  explicit Formats(std::vector<Format> formats) : formats_(std::move(formats)) {}

  size_t count() const { return formats_.size(); }
  Format Of(size_t column) const {
    if (formats_.empty()) return Format::kText;
    return formats_.size() == 1 ? formats_[0] : formats_[column];
  }

 private:
  std::vector<Format> formats_;
};

void WriteRowDescription(MessageWriter& writer, std::span<const Column> columns,
                         const Formats& formats);
// One cell for each column.
void WriteDataRow(MessageWriter& writer, std::span<const Column> columns, const Formats& formats,
                  const Row& row);

}  // namespace trireme
