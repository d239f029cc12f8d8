// SPDX-License-Identifier: GPL-3.0-or-later
//
// One core's clients, servers and pools as rows of the console. Read between two turns, on the
// core.
#pragma once

#include "admin/snapshot.h"
#include "session/clients.h"

namespace trireme {

// Adds what `parts` asks for, the shard's own row excepted.
void Report(Clients& clients, const SnapshotParts& parts, ShardSnapshot& snapshot);

// Totals of one account, its live clients' bytes included (added up from `clients`).
StatsTotals TotalsOf(Clients& clients, const Account& account);

}  // namespace trireme
