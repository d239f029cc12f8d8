// SPDX-License-Identifier: GPL-3.0-or-later
//
// Configuration text → one checked Config, or every error in it at once.
//
//   text ──json_tree──▶ values with positions ──fields──▶ Config ──check──▶ errors and warnings
//
// Runs off the cores: at start, for --check, and before a reload. Nothing here asserts on input;
// whatever is wrong is answered with file, line, column, JSON pointer, what was expected, what was
// found, and the nearest valid name. The text of a secret never appears in an answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "config/problem.h"

namespace trireme {

// What the loader may ask of the world: secrets live in files and environment variables.
class Environment {
 public:
  struct File {
    std::string text;
    uint32_t mode = 0;  // permission bits, as in st_mode
  };

  virtual ~Environment() = default;
  // The error's text says why ("No such file or directory"), without the path.
  virtual Result<File> ReadFile(const std::string& path) const = 0;
  virtual std::optional<std::string> Variable(const std::string& name) const = 0;
};

// The real world: files up to kConfigBytesMax, getenv.
const Environment& ProcessEnvironment();

inline constexpr size_t kConfigBytesMax = size_t{16} << 20;

struct LoadResult {
  std::optional<Config> config;         // set exactly when there are no errors
  std::vector<ConfigProblem> errors;    // in the order of the text
  std::vector<ConfigProblem> warnings;  // worth a log line; the configuration works

  // One problem a line, errors first; "" when there are none.
  std::string Report() const;
};

// `file_name` names the text in messages; a relative {"file": …} of a secret is looked up beside
// it.
LoadResult Load(std::string_view text, std::string_view file_name, const Environment& environment);

// The same, reading the text through the environment. An unreadable file is one error.
LoadResult LoadFile(const std::string& path, const Environment& environment);

// The order that lookups rely on: users by name, routes most specific first. Load() returns it so;
// a Config put together by hand goes through here.
Config InLookupOrder(Config config);

}  // namespace trireme
