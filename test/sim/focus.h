// SPDX-License-Identifier: GPL-3.0-or-later
//
// Focused worlds: small ones in which one rare meeting of cores, clients and servers happens all
// the time, and nothing else that would hide what comes of it. The other worlds find what nobody
// has thought of; these find what somebody has. Each seventh seed is one, the kinds in turn, so any
// kSeedsPerRound seeds in a row have all of them.
#pragma once

#include <cstdint>
#include <string_view>

#include "test/sim/dice.h"

namespace trireme::sim {

struct WorldPlan;

enum class Focus : uint8_t {
  kNone,
  kDuel,           // a server comes back just when another core begins to wait, then long silence
  kRivals,         // several cores have a server for the one waiter
  kDyingOnTheWay,  // a server dies while it is handed over
  kLeavers,        // whoever waits gives up, often while a server is on its way
  kAbandoners,     // clients vanish in transactions, and nothing is reset but what is rolled back
  kNeverReaders,   // clients that read no more, for longer than the pooler may wait for them
  kBrokenPromise,  // a server dies that the book of "shared_mutex" has promised, and two wait
};
inline constexpr uint64_t kFocusCount = 7;
inline constexpr uint64_t kFocusEvery = 7;
inline constexpr uint64_t kSeedsPerRound = kFocusEvery * kFocusCount;

Focus FocusOf(uint64_t seed);
std::string_view FocusName(Focus focus);

// Turns what was drawn for any world into a focused one: first cores, configuration and faults,
// from which the parties are drawn, then their habits and how long it lasts.
void FocusPooler(Focus focus, Dice& dice, WorldPlan& plan);
uint32_t DrawFocusedClientCount(Focus focus, Dice& dice);
void FocusParties(Focus focus, Dice& dice, WorldPlan& plan);

}  // namespace trireme::sim
