// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/reader.h"

#include "absl/strings/str_cat.h"
#include "base/result.h"

namespace trireme {
namespace {

constexpr size_t kFoundBytesMax = 48;

// At most kFoundBytesMax bytes, cut between characters.
std::string Shortened(std::string_view text) {
  if (text.size() <= kFoundBytesMax) return std::string(text);
  size_t length = kFoundBytesMax;
  while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80) --length;
  return absl::StrCat(ToAbsl(text.substr(0, length)), "…");
}

}  // namespace

std::string FoundType(const JsonValue& value) {
  switch (value.kind) {
    case JsonValue::Kind::kNull:
      return "null";
    case JsonValue::Kind::kBoolean:
      return "a boolean";
    case JsonValue::Kind::kInteger:
    case JsonValue::Kind::kNumber:
      return "a number";
    case JsonValue::Kind::kString:
      return "a string";
    case JsonValue::Kind::kArray:
      return "a list";
    case JsonValue::Kind::kObject:
      return "an object";
  }
  return "";
}

std::string Found(const JsonValue& value) {
  const bool scalar =
      value.kind != JsonValue::Kind::kArray && value.kind != JsonValue::Kind::kObject;
  return scalar ? Shortened(value.source) : FoundType(value);
}

void Reader::Report(ConfigProblem problem) {
  problem.file = file_name_;
  problems_.push_back(std::move(problem));
}

void Reader::Error(TextPosition position, std::string message) {
  ErrorAt(pointer_, position, std::move(message));
}

void Reader::Warning(TextPosition position, std::string message) {
  WarningAt(pointer_, position, std::move(message));
}

void Reader::ErrorAt(std::string pointer, TextPosition position, std::string message) {
  Report({.severity = ConfigProblem::Severity::kError,
          .position = position,
          .pointer = std::move(pointer),
          .message = std::move(message)});
}

void Reader::WarningAt(std::string pointer, TextPosition position, std::string message) {
  Report({.severity = ConfigProblem::Severity::kWarning,
          .position = position,
          .pointer = std::move(pointer),
          .message = std::move(message)});
}

void Reader::Expected(std::string_view what, const JsonValue& found, std::string_view advice) {
  Error(found.position,
        absl::StrCat("expected ", ToAbsl(what), ", found ", Found(found), ToAbsl(advice)));
}

Reader::Step::Step(Reader& reader, std::string_view key)
    : reader_(reader), length_before_(reader.pointer_.size()) {
  absl::StrAppend(&reader.pointer_, "/", PointerStep(key));
}

Reader::Step::~Step() { reader_.pointer_.resize(length_before_); }

}  // namespace trireme
