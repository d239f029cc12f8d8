// SPDX-License-Identifier: GPL-3.0-or-later
//
// nlohmann's SAX events carry no positions. The parser reads through an iterator that counts, so at
// each event the end of the token is known; the start is found by walking back over the token. A
// number is known to have ended only by the character after it, which has been read too.
#include "config/json_tree.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/result.h"

namespace trireme {
namespace {

class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** furthest) : at_(at), furthest_(furthest) {}

  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    if (furthest_ != nullptr) *furthest_ = at_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const CountingIterator& a, const CountingIterator& b) {
    return a.at_ == b.at_;
  }

 private:
  const char* at_;
  const char** furthest_;  // shared by all copies of the reading iterator
};

bool IsNumberCharacter(char c) {
  return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Offsets ⇄ lines and columns.
class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text) {
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\n') starts_.push_back(i + 1);
    }
  }

  TextPosition At(size_t offset) {
    offset = std::min(offset, text_.size());
    const auto next = std::upper_bound(starts_.begin(), starts_.end(), offset);
    const uint32_t line = static_cast<uint32_t>(next - starts_.begin());
    if (line != last_.line || offset < last_offset_) {
      last_ = {.line = line, .column = 1};
      last_offset_ = starts_[line - 1];
    }
    for (; last_offset_ < offset; ++last_offset_) {
      const bool continuation = (static_cast<unsigned char>(text_[last_offset_]) & 0xc0) == 0x80;
      if (!continuation) ++last_.column;
    }
    return last_;
  }

 private:
  std::string_view text_;
  std::vector<size_t> starts_{0};
  // Where the last answer was: a text of one long line must not cost its length at every token.
  TextPosition last_;
  size_t last_offset_ = 0;
};

using Exception = nlohmann::detail::exception;

// What the parser's own message says was found and expected, in the words of a person.
struct SyntaxWords {
  std::string found;     // "" when a token itself is malformed
  std::string problem;   // what is malformed about it
  std::string expected;  // "" when the parser does not say
  bool in_key = false;
};

// Nothing for a text that is none of the parser's token names.
std::string_view PersonsWord(std::string_view token) {
  constexpr std::pair<std::string_view, std::string_view> kWords[] = {
      {"end of input", "the end of the text"},
      {"string literal", "a string"},
      {"number literal", "a number"},
      {"true literal", "true"},
      {"false literal", "false"},
      {"null literal", "null"},
      {"'[', '{', or a literal", "a value"},
      {"'{'", "'{'"},
      {"'}'", "'}'"},
      {"'['", "'['"},
      {"']'", "']'"},
      {"':'", "':'"},
      {"','", "','"},
  };
  for (const auto& [theirs, ours] : kWords) {
    if (token == theirs) return ours;
  }
  return "";
}

std::string ExpectedWords(std::string_view token, bool in_key) {
  if (in_key && token == "string literal") return "a key in double quotes";
  const std::string_view word = PersonsWord(token);
  const bool closes = word == "'}'" || word == "']'";
  return absl::StrCat(closes ? "',' or " : "", ToAbsl(word));
}

// "… syntax error while parsing <what> - unexpected <token>; expected <token>"
// "… syntax error while parsing <what> - <problem>; last read: '<text>'; expected <token>"
// <text> is the file's, perhaps a secret, and stays out of every answer.
SyntaxWords ReadParserMessage(std::string_view what) {
  SyntaxWords words;
  constexpr std::string_view kExpected = "; expected ";
  constexpr std::string_view kUnexpected = "unexpected ";
  if (const size_t dash = what.find(" - "); dash != what.npos) {
    words.in_key = what.substr(0, dash).ends_with("object key");
    what = what.substr(dash + 3);
  }
  const size_t last_read = what.find("; last read: ");
  const size_t expected = what.rfind(kExpected);
  if (expected != what.npos) {
    words.expected = ExpectedWords(what.substr(expected + kExpected.size()), words.in_key);
  }
  const std::string_view head = what.substr(0, last_read != what.npos ? last_read : expected);
  if (head.starts_with(kUnexpected)) {
    words.found = PersonsWord(head.substr(kUnexpected.size()));
  } else if (head.find("control character U+000A") != head.npos) {
    words.problem = "the string is not closed on its line";
  } else if (head == "invalid literal") {
    words.problem = "this is not JSON (strings and keys go in double quotes)";
  } else {
    words.problem = head;
  }
  return words;
}

class TreeBuilder {
 public:
  TreeBuilder(std::string_view text, std::string_view file_name, const char* const& furthest)
      : text_(text), file_name_(file_name), furthest_(furthest), lines_(text) {}

  JsonTree Take(bool complete) {
    JsonTree tree;
    if (complete) tree.root = std::move(root_);
    tree.problems = std::move(problems_);
    return tree;
  }

  // SAX events; false stops the parser.
  bool null() {
    AddScalar(Kind::kNull, {End() - 4, End()});
    return true;
  }
  bool boolean(bool value) {
    AddScalar(Kind::kBoolean, {End() - (value ? 4 : 5), End()}).boolean = value;
    return true;
  }
  bool number_integer(int64_t value) {
    AddNumber(Kind::kInteger).integer = value;
    return true;
  }
  bool number_unsigned(uint64_t value) {
    const bool fits = value <= static_cast<uint64_t>(INT64_MAX);
    AddNumber(fits ? Kind::kInteger : Kind::kNumber).integer =
        fits ? static_cast<int64_t>(value) : 0;
    return true;
  }
  bool number_float(double, const std::string&) {
    AddNumber(Kind::kNumber);
    return true;
  }
  bool string(std::string& value) {
    AddScalar(Kind::kString, {StringStart(End()), End()}).text = std::move(value);
    return true;
  }
  bool binary(const std::vector<uint8_t>&) { return false; }  // JSON text has none

  bool start_object(size_t) { return Open(Kind::kObject); }
  bool start_array(size_t) { return Open(Kind::kArray); }
  bool end_object() { return Close(); }
  bool end_array() { return Close(); }

  bool key(std::string& name) {
    const TextPosition position = lines_.At(StringStart(End()));
    const auto [first, is_new] = keys_.back().try_emplace(name, position);
    open_.back()->members.push_back({.key = name, .position = position, .duplicate = !is_new});
    if (!is_new) {
      Report(position, absl::StrCat("duplicate key \"", name, "\": it is already set in line ",
                                    first->second.line, ", column ", first->second.column,
                                    "; remove one of the two"));
    }
    return true;
  }

  bool parse_error(size_t, const std::string&, const Exception& error) {
    const SyntaxWords words = ReadParserMessage(error.what());
    const size_t at = ErrorStart(words);
    std::string message = "syntax error: ";
    if (words.found.empty()) {
      absl::StrAppend(&message, words.problem);
      if (!words.expected.empty()) absl::StrAppend(&message, "; expected ", words.expected);
    } else if (words.expected.empty()) {
      absl::StrAppend(&message, "unexpected ", words.found);
    } else {
      absl::StrAppend(&message, "expected ", words.expected, ", found ", words.found);
    }
    absl::StrAppend(&message, SyntaxHint(words, at));
    Report(lines_.At(at), std::move(message));
    return false;
  }

 private:
  using Kind = JsonValue::Kind;

  size_t End() const { return static_cast<size_t>(furthest_ - text_.data()); }

  // From just past a closing quote back to the opening one: the nearest quote that no odd run of
  // backslashes precedes.
  size_t StringStart(size_t end) const {
    size_t at = end - 1;
    while (at > 0) {
      --at;
      if (text_[at] != '"') continue;
      size_t slashes = 0;
      while (slashes < at && text_[at - slashes - 1] == '\\') ++slashes;
      if (slashes % 2 == 0) return at;
    }
    return 0;
  }

  struct Extent {
    size_t begin;
    size_t end;
  };
  Extent NumberExtent() const {
    size_t end = End();
    while (end > 0 && !IsNumberCharacter(text_[end - 1])) --end;  // the one character read ahead
    size_t begin = end;
    while (begin > 0 && IsNumberCharacter(text_[begin - 1])) --begin;
    return {begin, end};
  }

  JsonValue& Place() {
    if (open_.empty()) return root_.emplace();
    JsonValue& container = *open_.back();
    if (container.kind == Kind::kObject) return container.members.back().value;
    return container.items.emplace_back();
  }

  JsonValue& AddScalar(Kind kind, Extent extent) {
    JsonValue& value = Place();
    value.kind = kind;
    value.position = lines_.At(extent.begin);
    value.source = text_.substr(extent.begin, extent.end - extent.begin);
    return value;
  }
  JsonValue& AddNumber(Kind kind) { return AddScalar(kind, NumberExtent()); }

  bool Open(Kind kind) {
    const size_t at = End() - 1;
    if (open_.size() == kJsonDepthMax) {
      Report(lines_.At(at), absl::StrCat("nested deeper than ", kJsonDepthMax, " levels"));
      return false;
    }
    JsonValue& value = Place();
    value.kind = kind;
    value.position = lines_.At(at);
    // Only the innermost open container grows, so pointers to the outer ones stay good.
    open_.push_back(&value);
    keys_.emplace_back();
    return true;
  }

  bool Close() {
    open_.pop_back();
    keys_.pop_back();
    return true;
  }

  // The parser stops after the offending token, or inside it.
  size_t ErrorStart(const SyntaxWords& words) const {
    const size_t end = End();
    if (words.found == "the end of the text" || end == 0) return text_.size();
    if (words.found == "a string") return StringStart(end);
    if (words.found == "a number") return NumberExtent().begin;
    if (words.found == "true" || words.found == "null") return end - 4;
    if (words.found == "false") return end - 5;
    return end - 1;
  }

  std::string SyntaxHint(const SyntaxWords& words, size_t at) const {
    if (words.found == "the end of the text" && !open_.empty()) {
      const JsonValue& container = *open_.back();
      return absl::StrCat("; the ", container.kind == Kind::kObject ? "'{'" : "'['", " of line ",
                          container.position.line, ", column ", container.position.column,
                          " is never closed");
    }
    if (words.found == "'}'" || words.found == "']'") {
      size_t before = at;
      while (before > 0 && IsSpace(text_[before - 1])) --before;
      if (before > 0 && text_[before - 1] == ',') return "; remove the ',' before it";
    }
    return "";
  }

  std::string Pointer() const {
    std::string pointer;
    for (const JsonValue* container : open_) {
      if (container->kind == Kind::kArray) {
        absl::StrAppend(&pointer, "/", container->items.empty() ? 0 : container->items.size() - 1);
      } else if (!container->members.empty()) {
        absl::StrAppend(&pointer, "/", PointerStep(container->members.back().key));
      }
    }
    return pointer;
  }

  void Report(TextPosition position, std::string message) {
    problems_.push_back({.file = std::string(file_name_),
                         .position = position,
                         .pointer = Pointer(),
                         .message = std::move(message)});
  }

  std::string_view text_;
  std::string_view file_name_;
  const char* const& furthest_;
  Lines lines_;
  std::optional<JsonValue> root_;
  std::vector<JsonValue*> open_;                                      // outermost first
  std::vector<absl::flat_hash_map<std::string, TextPosition>> keys_;  // of each open container
  std::vector<ConfigProblem> problems_;
};

}  // namespace

const JsonMember* JsonValue::Find(std::string_view key) const {
  for (const JsonMember& member : members) {
    if (member.key == key) return &member;
  }
  return nullptr;
}

JsonTree ParseJson(std::string_view text, std::string_view file_name) {
  const char* furthest = text.data();
  TreeBuilder builder(text, file_name, furthest);
  const bool complete = nlohmann::json::sax_parse(
      CountingIterator(text.data(), &furthest),
      CountingIterator(text.data() + text.size(), nullptr), &builder,
      nlohmann::json::input_format_t::json, /*strict=*/true, /*ignore_comments=*/true);
  return builder.Take(complete);
}

std::string PointerStep(std::string_view key) {
  return absl::StrReplaceAll(ToAbsl(key), {{"~", "~0"}, {"/", "~1"}});
}

const JsonValue& Locate(const JsonValue& root, std::string_view pointer) {
  const JsonValue* value = &root;
  while (pointer.starts_with('/')) {
    pointer.remove_prefix(1);
    const std::string_view step = pointer.substr(0, pointer.find('/'));
    pointer.remove_prefix(step.size());
    const JsonValue* next = nullptr;
    for (const JsonMember& member : value->members) {
      if (PointerStep(member.key) == step && !member.duplicate) next = &member.value;
    }
    size_t index = 0;
    const bool is_index = absl::SimpleAtoi(ToAbsl(step), &index);
    if (is_index && index < value->items.size()) next = &value->items[index];
    if (next == nullptr) return *value;
    value = next;
  }
  return *value;
}

}  // namespace trireme
