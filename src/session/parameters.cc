// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/parameters.h"

#include "wire/parameters.h"

namespace trireme {
namespace {

// A value with a zero byte inside comes from no startup packet and no server.
constexpr std::string_view kUnknown("\0", 1);

// Facts about the server are not ours to change; who it acts for is (SET SESSION AUTHORIZATION).
bool MayBeReset(const std::string& name) {
  const ReportedParameter* reported = FindReportedParameter(name);
  return reported == nullptr || reported->settable || reported->name == "session_authorization";
}

}  // namespace

std::string ParameterChanges(const ParameterComparison& comparison) {
  std::string sql;
  for (const ParameterSet::Entry& wanted : comparison.wish.entries()) {
    const std::string* has = comparison.has.Find(wanted.name);
    if (has != nullptr && *has == wanted.value) continue;
    AppendExactSet(sql, {wanted.name, wanted.value});
  }
  for (const ParameterSet::Entry& entry : comparison.has.entries()) {
    if (comparison.wish.Find(entry.name) != nullptr || !MayBeReset(entry.name)) continue;
    const std::string* before = comparison.baseline.Find(entry.name);
    if (before != nullptr && *before == entry.value) continue;
    // A name alone would need the right to become that user; RESET does not.
    if (before == nullptr || CompareNames(entry.name, "session_authorization") == 0) {
      AppendReset(sql, entry.name);
    } else {
      AppendExactSet(sql, {entry.name, *before});
    }
  }
  return sql;
}

void ForgetUnreported(const ParameterSet& baseline, ParameterSet& has) {
  const std::vector<ParameterSet::Entry> before = has.entries();
  for (const ParameterSet::Entry& entry : before) {
    if (baseline.Find(entry.name) == nullptr) has.Set(entry.name, kUnknown);
  }
}

void ApplyChanges(const ParameterSet& wish, const ParameterSet& baseline, ParameterSet& has) {
  const std::vector<ParameterSet::Entry> before = has.entries();
  for (const ParameterSet::Entry& entry : before) {
    if (wish.Find(entry.name) != nullptr || !MayBeReset(entry.name)) continue;
    const std::string* value = baseline.Find(entry.name);
    if (value == nullptr) {
      has.Remove(entry.name);
    } else {
      has.Set(entry.name, *value);
    }
  }
  for (const ParameterSet::Entry& entry : wish.entries()) has.Set(entry.name, entry.value);
}

}  // namespace trireme
