// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/load.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "config/check.h"
#include "config/fields.h"
#include "config/json_tree.h"
#include "config/reader.h"

namespace trireme {
namespace {

Status LastError() {
  return Unavailable(std::error_code(errno, std::generic_category()).message());
}

class OpenFile {
 public:
  explicit OpenFile(const std::string& path)
      : descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY)) {}
  ~OpenFile() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

class ProcessWorld final : public Environment {
 public:
  // Reads to the end instead of trusting st_size: pipes and /dev/fd are welcome.
  Result<File> ReadFile(const std::string& path) const override {
    const OpenFile file(path);
    struct stat status {};
    if (file.descriptor() < 0 || fstat(file.descriptor(), &status) != 0) return LastError();
    File result{.mode = status.st_mode & 07777u};
    std::array<char, 16384> buffer;
    while (result.text.size() <= kConfigBytesMax) {
      const ssize_t count = read(file.descriptor(), buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return LastError();
      if (count == 0) return result;
      result.text.append(buffer.data(), static_cast<size_t>(count));
    }
    return InvalidArgument(absl::StrCat("larger than ", kConfigBytesMax >> 20, " MiB"));
  }

  std::optional<std::string> Variable(const std::string& name) const override {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  }
};

LoadResult OneError(std::string_view file_name, std::string message) {
  LoadResult result;
  result.errors.push_back({.file = std::string(file_name), .message = std::move(message)});
  return result;
}

// Errors and warnings apart, each in the order of the text.
LoadResult Sorted(std::vector<ConfigProblem> problems) {
  std::stable_sort(
      problems.begin(), problems.end(),
      [](const ConfigProblem& a, const ConfigProblem& b) { return a.position < b.position; });
  LoadResult result;
  for (ConfigProblem& problem : problems) {
    const bool error = problem.severity == ConfigProblem::Severity::kError;
    (error ? result.errors : result.warnings).push_back(std::move(problem));
  }
  return result;
}

int Rank(const RouteConfig& route) {
  return (route.database == "*" ? 2 : 0) + (route.user == "*" ? 1 : 0);
}

}  // namespace

const Environment& ProcessEnvironment() {
  static const ProcessWorld world;
  return world;
}

std::string ConfigProblem::ToString() const {
  const std::string_view kind = severity == Severity::kError ? "error" : "warning";
  const std::string_view colon = pointer.empty() ? "" : ": ";
  return absl::StrCat(file, ":", position.line, ":", position.column, ": ", ToAbsl(kind), ": ",
                      pointer, ToAbsl(colon), message);
}

std::string LoadResult::Report() const {
  std::string report;
  for (const ConfigProblem& problem : errors) absl::StrAppend(&report, problem.ToString(), "\n");
  for (const ConfigProblem& problem : warnings) absl::StrAppend(&report, problem.ToString(), "\n");
  return report;
}

LoadResult Load(std::string_view text, std::string_view file_name, const Environment& environment) {
  if (text.size() > kConfigBytesMax) {
    return OneError(file_name, absl::StrCat("larger than ", kConfigBytesMax >> 20, " MiB"));
  }
  const JsonTree tree = ParseJson(text, file_name);
  std::vector<ConfigProblem> problems = tree.problems;
  Config config;
  if (tree.root) {
    Reader reader(file_name, environment, config);
    Object<Config>().Read(*tree.root, reader, config);
    CheckConfig(*tree.root, reader);
    for (ConfigProblem& problem : reader.TakeProblems()) problems.push_back(std::move(problem));
  }
  LoadResult result = Sorted(std::move(problems));
  if (result.errors.empty()) result.config = InLookupOrder(std::move(config));
  return result;
}

LoadResult LoadFile(const std::string& path, const Environment& environment) {
  const Result<Environment::File> file = environment.ReadFile(path);
  if (!file.ok()) {
    return OneError(path, absl::StrCat("cannot read the configuration: ", file.status().message()));
  }
  return Load(file->text, path, environment);
}

Config InLookupOrder(Config config) {
  std::sort(config.users.begin(), config.users.end(),
            [](const UserConfig& a, const UserConfig& b) { return a.name < b.name; });
  for (StorageConfig& storage : config.storages) {
    std::sort(storage.databases.begin(), storage.databases.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
  }
  std::stable_sort(config.routes.begin(), config.routes.end(),
                   [](const RouteConfig& a, const RouteConfig& b) { return Rank(a) < Rank(b); });
  return config;
}

}  // namespace trireme
