// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/flags.h"

#include <charconv>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace trireme::bench {

Result<uint64_t> ParseSize(std::string_view text) {
  uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  const std::string_view unit(rest, static_cast<size_t>(end - rest));
  const unsigned shift = unit == "k" || unit == "K" ? 10 : unit == "M" ? 20 : unit == "G" ? 30 : 0;
  const bool known = unit.empty() || shift > 0;
  if (error != std::errc() || !known || value > (UINT64_MAX >> shift)) {
    return InvalidArgument(
        absl::StrCat("\"", ToAbsl(text), "\" is not a size; write 4096, 64k, 1M or 2G"));
  }
  return value << shift;
}

void Flags::Add(std::string_view name, std::string_view help, Setter setter) {
  flags_.push_back({std::string(name), std::string(help), std::move(setter)});
}

void Flags::AddText(std::string_view name, std::string_view help, std::string& target) {
  Add(name, help, [&target](std::string_view text) {
    target = text;
    return OkStatus();
  });
}

void Flags::AddCount(std::string_view name, std::string_view help, uint64_t& target, uint64_t least,
                     uint64_t most) {
  Add(name, help, [&target, least, most](std::string_view text) -> Status {
    const Result<uint64_t> value = ParseSize(text);
    if (!value.ok()) return value.status();
    if (*value < least || *value > most) {
      return InvalidArgument(absl::StrCat("expected ", least, " to ", most, ", found ", *value));
    }
    target = *value;
    return OkStatus();
  });
}

void Flags::AddNumber(std::string_view name, std::string_view help, double& target, double least,
                      double most) {
  Add(name, help, [&target, least, most](std::string_view text) -> Status {
    const std::string copy(text);
    char* end = nullptr;
    const double value = std::strtod(copy.c_str(), &end);
    if (copy.empty() || *end != 0 || !(value >= least) || !(value <= most)) {
      return InvalidArgument(
          absl::StrCat("expected a number from ", least, " to ", most, ", found \"", copy, "\""));
    }
    target = value;
    return OkStatus();
  });
}

void Flags::AddDuration(std::string_view name, std::string_view help, Duration& target) {
  Add(name, help, [&target](std::string_view text) -> Status {
    const Result<Duration> value = ParseDuration(text);
    if (value.ok()) target = *value;
    return value.status();
  });
}

void Flags::AddDraw(std::string_view name, std::string_view help, Draw& target) {
  Add(name, help, [&target](std::string_view text) -> Status {
    const Result<Draw> value = Draw::Parse(text);
    if (value.ok()) target = *value;
    return value.status();
  });
}

void Flags::AddCpus(std::string_view name, std::string_view help, std::vector<int>& target) {
  Add(name, help, [&target](std::string_view text) -> Status {
    target.clear();
    for (const auto word : absl::StrSplit(ToAbsl(text), ',')) {
      const Result<uint64_t> cpu = ParseSize(FromAbsl(word));
      if (!cpu.ok() || *cpu >= 4096) {
        return InvalidArgument("expected CPU numbers with commas between them: 0,1");
      }
      target.push_back(static_cast<int>(*cpu));
    }
    return OkStatus();
  });
}

Status Flags::Parse(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    std::string_view word = argv[i];
    if (word == "--help" || word == "-h") {
      help_asked_ = true;
      continue;
    }
    const size_t equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    const Flag* found = nullptr;
    for (const Flag& flag : flags_) {
      if (name.starts_with("--") && name.substr(2) == flag.name) found = &flag;
    }
    if (found == nullptr) {
      return InvalidArgument(absl::StrCat("unknown option ", ToAbsl(name), "; see --help"));
    }
    std::string_view value;
    if (equals != std::string_view::npos) {
      value = word.substr(equals + 1);
    } else if (i + 1 < argc) {
      value = argv[++i];
    } else {
      return InvalidArgument(absl::StrCat("--", found->name, " needs a value"));
    }
    const Status status = found->setter(value);
    if (!status.ok()) {
      return InvalidArgument(
          absl::StrCat("--", found->name, ": ", absl::string_view(status.message())));
    }
  }
  return OkStatus();
}

std::string Flags::Help() const {
  std::string text = usage_;
  for (const Flag& flag : flags_) {
    std::string line = absl::StrCat("  --", flag.name);
    line.resize(std::max<size_t>(line.size() + 2, 24), ' ');
    for (const char c : flag.help) {
      line += c;
      if (c == '\n') line.append(24, ' ');
    }
    absl::StrAppend(&text, line, "\n");
  }
  return text;
}

}  // namespace trireme::bench
