// SPDX-License-Identifier: GPL-3.0-or-later
//
// Where the loader is in the text, and what it has found wrong so far. Codecs (config/codec.h)
// report through it and go on: every problem of a text is found in one pass.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/json_tree.h"
#include "config/load.h"

namespace trireme {

// The value in a few words for "…, found X": scalars as written, shortened; "a list", "an object".
std::string Found(const JsonValue& value);

// The same for what may hold a secret: the type only.
std::string FoundType(const JsonValue& value);

class Reader {
 public:
  // `config` is what is being filled: later fields look up names that earlier ones defined.
  Reader(std::string_view file_name, const Environment& environment, const Config& config)
      : file_name_(file_name), environment_(environment), config_(config) {}
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  void Error(TextPosition position, std::string message);
  void Warning(TextPosition position, std::string message);
  // The same for a place other than the current one.
  void ErrorAt(std::string pointer, TextPosition position, std::string message);
  void WarningAt(std::string pointer, TextPosition position, std::string message);
  // "expected <what>, found <value><advice>".
  void Expected(std::string_view what, const JsonValue& found, std::string_view advice = "");

  const Environment& environment() const { return environment_; }
  const Config& config() const { return config_; }
  std::string_view file_name() const { return file_name_; }
  std::vector<ConfigProblem> TakeProblems() { return std::move(problems_); }

  // While it lives, the pointer of reported problems has one more step.
  class Step {
   public:
    Step(Reader& reader, std::string_view key);
    ~Step();
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    Reader& reader_;
    size_t length_before_;
  };

 private:
  void Report(ConfigProblem problem);

  std::string_view file_name_;
  const Environment& environment_;
  const Config& config_;
  std::string pointer_;
  std::vector<ConfigProblem> problems_;
};

}  // namespace trireme
