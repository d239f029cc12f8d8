// SPDX-License-Identifier: GPL-3.0-or-later
//
// The functions of PostgreSQL and of its own extensions that change what a session keeps beyond a
// transaction, or read it. Those that lock until the end of the transaction (…_xact_…) and large
// object descriptors are not among them: the transaction ends them.
#pragma once

#include <cstdint>
#include <string_view>

namespace trireme {

enum class SessionFunction : uint8_t {
  kNone,
  kSetConfig,
  kAdvisoryLock,  // also the ones that try
  kAdvisoryUnlock,
  kAdvisoryUnlockAll,
  kSequenceRead,     // currval, lastval
  kSequenceAdvance,  // nextval, setval
  kOther,            // setseed, set_limit, dblink_…, backups, origins and temporary slots
};

// By its folded name, without a schema.
SessionFunction FindSessionFunction(std::string_view name);

// By its number in pg_proc, as FunctionCall messages name it. Functions of extensions have none
// that is fixed.
SessionFunction FindSessionFunction(uint32_t oid);

}  // namespace trireme
