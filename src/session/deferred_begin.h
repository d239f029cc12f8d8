// SPDX-License-Identifier: GPL-3.0-or-later
//
// pool.deferred_begin: a BEGIN that a client without a server sends is answered at once, and goes
// ahead of its next statement, in the same send. An end that comes before any statement is answered
// as well: then PostgreSQL has never heard of the transaction.
//
//   kNone ── BEGIN ──▶ kBegun ── a request that needs a server ──▶ kJoined ── answered ──▶ kNone
//                        │ ▲                                         │
//      COMMIT, ROLLBACK ─┘ │ refused or cancelled before it has      │ as above, but the server's
//      ─▶ kNone            ▼ a server                                │ transaction is made to fail
//                      kFailed ── a request that needs a server ──▶ kJoinedFailed
//
// Only what cannot fail is deferred: BEGIN or START TRANSACTION without modes or comments, alone.
// Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace trireme {

enum class DeferredBegin : uint8_t { kNone, kBegun, kFailed, kJoined, kJoinedFailed };

// The statement that a text is, by its tag: BEGIN, START TRANSACTION; "" = none that is deferred.
std::string_view TagOfBareBegin(std::string_view text);
// COMMIT, ROLLBACK; "" = no end of a transaction, or one that says more (AND CHAIN).
std::string_view TagOfBareEnd(std::string_view text);

// Goes ahead of a statement whose transaction has failed already: it fails, and changes nothing.
inline constexpr std::string_view kFailingStatement =
    "ROLLBACK TO SAVEPOINT \"refused by the pooler\"";
inline constexpr std::string_view kFailingSqlstate = "3B001";

}  // namespace trireme
