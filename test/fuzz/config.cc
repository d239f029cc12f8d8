// SPDX-License-Identifier: GPL-3.0-or-later
//
// config/load.h and config/print.h: any text as a configuration.
//
//   input:   the text; secrets in files and variables come from a made-up world
//
// Properties: a text gives a Config or errors, never both, never neither; every problem lies within
// the text and says something; no secret of the world is in any answer; the effective
// configuration, printed and loaded again, is the same.
#include "config/load.h"

#include "config/print.h"
#include "test/fuzz/input.h"

namespace trireme::fuzz {
namespace {

constexpr std::string_view kCanary = "canary-5f0c7be1";

// The name decides what is there.
class MadeUpWorld final : public Environment {
 public:
  Result<File> ReadFile(const std::string& path) const override {
    if (path.find("missing") != std::string::npos) return Unavailable("No such file or directory");
    const bool open = path.find("open") != std::string::npos;
    return File{.text = Content(path), .mode = open ? 0644u : 0600u};
  }
  std::optional<std::string> Variable(const std::string& name) const override {
    if (name.find("MISSING") != std::string::npos) return std::nullopt;
    return Content(name);
  }

 private:
  static std::string Content(const std::string& name) {
    const std::string canary(kCanary);
    if (name.find("5") != std::string::npos) return "md5" + canary;
    if (name.find("S") != std::string::npos) return "SCRAM-SHA-256$" + canary;
    if (name.find("0") != std::string::npos) return canary + std::string(1, '\0');
    return canary + "\n";
  }
};

void CheckSilent(std::string_view text) {
  Check(text.find(kCanary) == std::string_view::npos, "no answer shows a secret");
}

void CheckProblems(std::string_view text, const LoadResult& result) {
  const auto lines = 1 + static_cast<uint32_t>(std::count(text.begin(), text.end(), '\n'));
  for (const auto* problems : {&result.errors, &result.warnings}) {
    for (const ConfigProblem& problem : *problems) {
      Check(!problem.message.empty(), "a problem says something");
      Check(problem.position.line >= 1 && problem.position.line <= lines, "a problem has its line");
      Check(problem.position.column >= 1 && problem.position.column <= text.size() + 1,
            "a problem has its column");
    }
  }
  CheckSilent(result.Report());
}

void CheckPrinted(const Config& config) {
  const std::string printed = PrintConfig(config);
  CheckSilent(printed);
  for (const ConfigRow& row : ConfigRows(config)) {
    Check(!row.key.empty(), "an option has a name");
    CheckSilent(row.value);
  }
  const LoadResult again = Load(printed, "printed.json", MadeUpWorld());
  if (!again.config) {
    CheckEqual(again.Report(), "", "what is printed can be loaded");
    Broken("no errors, no configuration");
  }
  CheckEqual(PrintConfig(*again.config), printed, "what is printed and loaded is the same");
}

void Run(Input input) {
  const std::string_view text = input.RestText();
  // A fuzzer can read comparisons; what the text says itself is no secret.
  if (text.find(kCanary) != std::string_view::npos) return;
  const LoadResult result = Load(text, "fuzz.json", MadeUpWorld());
  Check(result.config.has_value() == result.errors.empty(), "a configuration or errors");
  CheckProblems(text, result);
  if (result.config) CheckPrinted(*result.config);
}

}  // namespace
}  // namespace trireme::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  trireme::fuzz::Run({data, size});
  return 0;
}
