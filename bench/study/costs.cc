// SPDX-License-Identifier: GPL-3.0-or-later
#include "study/costs.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace trireme::bench {
namespace {

using Json = nlohmann::json;

constexpr std::pair<const char*, Duration Costs::*> kDurations[] = {
    {"turn", &Costs::turn},
    {"completion", &Costs::completion},
    {"system_call", &Costs::system_call},
    {"send", &Costs::send},
    {"receive", &Costs::receive},
    {"begin", &Costs::begin},
    {"cancel", &Costs::cancel},
    {"close", &Costs::close},
    {"sleep", &Costs::sleep},
    {"sleep_latency", &Costs::sleep_latency},
    {"wake", &Costs::wake},
    {"line_transfer", &Costs::line_transfer},
    {"line_scan", &Costs::line_scan},
    {"mail", &Costs::mail},
    {"lock_hold", &Costs::lock_hold},
    {"lock_spin", &Costs::lock_spin},
    {"lock_sleep", &Costs::lock_sleep},
    {"network", &Costs::network},
};
constexpr char kLockLines[] = "lock_lines";
constexpr double kMostNs = 1e9;

Result<double> NumberOf(const Json& json, const char* key, const char* unit) {
  const auto entry = json.find(key);
  if (entry == json.end()) return InvalidArgument(absl::StrCat("\"", key, "\" is missing"));
  const auto value = entry->is_object() ? entry->find(unit) : entry->end();
  if (!entry->is_object() || value == entry->end() || !value->is_number() ||
      !(value->get<double>() >= 0 && value->get<double>() <= kMostNs)) {
    return InvalidArgument(
        absl::StrCat("\"", key, "\" needs a number \"", unit, "\" from 0 to 1000000000"));
  }
  return value->get<double>();
}

Result<Costs> FromJson(const Json& json) {
  if (!json.is_object()) return InvalidArgument("expected an object");
  Costs costs;
  for (const auto& [key, member] : kDurations) {
    const Result<double> ns = NumberOf(json, key, "ns");
    if (!ns.ok()) return ns.status();
    costs.*member = Duration(std::llround(*ns));
  }
  const Result<double> lines = NumberOf(json, kLockLines, "count");
  if (!lines.ok()) return lines.status();
  costs.lock_lines = static_cast<uint64_t>(*lines);
  for (const auto& [key, value] : json.items()) {
    const auto known = [&key = key](const auto& entry) { return key == entry.first; };
    if (key != kLockLines && key != "comment" &&
        std::none_of(std::begin(kDurations), std::end(kDurations), known)) {
      return InvalidArgument(absl::StrCat("unknown key \"", key, "\""));
    }
  }
  return costs;
}

}  // namespace

Result<Costs> ReadCosts(const std::string& path) {
  std::ifstream file(path);
  if (!file) return InvalidArgument(absl::StrCat("cannot read ", path));
  const Json json = Json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return InvalidArgument(absl::StrCat(path, ": not JSON"));
  Result<Costs> costs = FromJson(json);
  if (costs.ok()) return costs;
  return InvalidArgument(absl::StrCat(path, ": ", costs.status().message()));
}

}  // namespace trireme::bench
