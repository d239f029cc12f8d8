// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/session_functions.h"

#include <algorithm>
#include <array>

namespace trireme {
namespace {

using enum SessionFunction;

struct Named {
  std::string_view name;
  SessionFunction function;
};

// Sorted by name.
constexpr auto kByName = std::to_array<Named>({
    {"currval", kSequenceRead},
    {"lastval", kSequenceRead},
    {"nextval", kSequenceAdvance},
    {"pg_advisory_lock", kAdvisoryLock},
    {"pg_advisory_lock_shared", kAdvisoryLock},
    {"pg_advisory_unlock", kAdvisoryUnlock},
    {"pg_advisory_unlock_all", kAdvisoryUnlockAll},
    {"pg_advisory_unlock_shared", kAdvisoryUnlock},
    {"pg_backup_start", kOther},
    {"pg_backup_stop", kOther},
    {"pg_copy_logical_replication_slot", kOther},
    {"pg_copy_physical_replication_slot", kOther},
    {"pg_create_logical_replication_slot", kOther},
    {"pg_create_physical_replication_slot", kOther},
    {"pg_replication_origin_session_progress", kOther},
    {"pg_replication_origin_session_reset", kOther},
    {"pg_replication_origin_session_setup", kOther},
    {"pg_start_backup", kOther},  // up to 14
    {"pg_stop_backup", kOther},
    {"pg_try_advisory_lock", kAdvisoryLock},
    {"pg_try_advisory_lock_shared", kAdvisoryLock},
    {"set_config", kSetConfig},
    {"set_limit", kOther},  // pg_trgm
    {"setseed", kOther},
    {"setval", kSequenceAdvance},
});
static_assert(std::is_sorted(kByName.begin(), kByName.end(),
                             [](const Named& a, const Named& b) { return a.name < b.name; }));

}  // namespace

SessionFunction FindSessionFunction(std::string_view name) {
  if (name.starts_with("dblink_")) return kOther;
  const auto found =
      std::lower_bound(kByName.begin(), kByName.end(), name,
                       [](const Named& named, std::string_view n) { return named.name < n; });
  return found != kByName.end() && found->name == name ? found->function : kNone;
}

SessionFunction FindSessionFunction(uint32_t oid) {
  switch (oid) {
    case 2078:
      return kSetConfig;
    case 2880:  // one key of 8 bytes
    case 2881:
    case 2882:
    case 2883:
    case 2886:  // two of 4
    case 2887:
    case 2888:
    case 2889:
      return kAdvisoryLock;
    case 2884:
    case 2885:
    case 2890:
    case 2891:
      return kAdvisoryUnlock;
    case 2892:
      return kAdvisoryUnlockAll;
    case 1575:  // currval
    case 2559:  // lastval
      return kSequenceRead;
    case 1574:  // nextval
    case 1576:  // setval
    case 1765:
      return kSequenceAdvance;
    case 1599:  // setseed
    case 2172:  // backups, up to 14 and since
    case 2173:
    case 2739:
    case 3779:  // replication slots
    case 3786:
    case 4220:
    case 4221:
    case 4222:
    case 4223:
    case 4224:
    case 6006:  // replication origin of the session
    case 6007:
    case 6009:
      return kOther;
    default:
      return kNone;
  }
}

}  // namespace trireme
