// SPDX-License-Identifier: GPL-3.0-or-later
//
// Command-line flags of the programs here: a table of names, help lines and setters. Both
// "--name value" and "--name=value". Errors say what was expected; nothing exits but the caller.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "engine/draw.h"

namespace trireme::bench {

class Flags {
 public:
  // `usage` is what stands before the table in Help().
  explicit Flags(std::string usage) : usage_(std::move(usage)) {}

  using Setter = std::function<Status(std::string_view)>;
  void Add(std::string_view name, std::string_view help, Setter setter);
  void AddText(std::string_view name, std::string_view help, std::string& target);
  void AddCount(std::string_view name, std::string_view help, uint64_t& target, uint64_t least,
                uint64_t most);
  void AddNumber(std::string_view name, std::string_view help, double& target, double least,
                 double most);
  void AddDuration(std::string_view name, std::string_view help, Duration& target);
  void AddDraw(std::string_view name, std::string_view help, Draw& target);
  void AddCpus(std::string_view name, std::string_view help, std::vector<int>& target);

  Status Parse(int argc, char** argv);
  bool help_asked() const { return help_asked_; }
  std::string Help() const;

 private:
  struct Flag {
    std::string name;
    std::string help;
    Setter setter;
  };
  std::string usage_;
  std::vector<Flag> flags_;
  bool help_asked_ = false;
};

// "4096", "64k", "1M", "2G"; k is 1024.
Result<uint64_t> ParseSize(std::string_view text);

}  // namespace trireme::bench
