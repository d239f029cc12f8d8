// SPDX-License-Identifier: GPL-3.0-or-later
//
// JSON with comments → a tree that knows the line and column of every key and value. nlohmann's
// parser does the reading (SAX, non-throwing); the tree is ours because an error must say where it
// is, and because duplicate keys must be seen. Depth and size are bounded.
//
// A tree views the text it was parsed from and lives no longer than it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/problem.h"

namespace trireme {

inline constexpr size_t kJsonDepthMax = 32;

struct JsonMember;

struct JsonValue {
  enum class Kind : uint8_t { kNull, kBoolean, kInteger, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  TextPosition position;
  bool boolean = false;
  int64_t integer = 0;      // kInteger; what does not fit is a kNumber
  std::string text;         // kString, unescaped; always valid UTF-8
  std::string_view source;  // scalars as they are written
  std::vector<JsonValue> items;
  std::vector<JsonMember> members;  // in the order of the text

  // The first member with this key, nullptr when there is none.
  const JsonMember* Find(std::string_view key) const;
};

struct JsonMember {
  std::string key;
  TextPosition position;
  bool duplicate = false;  // an earlier member has the same key; already reported
  JsonValue value;
};

struct JsonTree {
  std::optional<JsonValue> root;        // absent after a syntax error
  std::vector<ConfigProblem> problems;  // one syntax error at most, and every duplicate key
};

JsonTree ParseJson(std::string_view text, std::string_view file_name);

// The value at an RFC 6901 pointer, or its nearest ancestor that exists.
const JsonValue& Locate(const JsonValue& root, std::string_view pointer);

// One step of a pointer, with "~" and "/" escaped.
std::string PointerStep(std::string_view key);

}  // namespace trireme
