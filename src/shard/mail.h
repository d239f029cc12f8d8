// SPDX-License-Identifier: GPL-3.0-or-later
//
// What cores write to each other: plain structs of one cache line. Larger payloads travel by owned
// pointer: the receiver frees them, or sends them home.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "admin/snapshot.h"
#include "base/spsc.h"
#include "pool/siblings.h"
#include "session/clients.h"

namespace trireme {

struct Mail {
  enum class Kind : uint8_t {
    kPool,     // between shards of a pool
    kCancel,   // a cancel request, there and back: owned
    kPlace,    // an accepted connection: the receiver's client now
    kGather,   // "report yourself", for the console
    kReport,   // the report: owned
    kControl,  // from the main thread
  };
  enum class Control : uint8_t {
    kDrain,   // take no new clients, end those there are as they come between transactions
    kEndNow,  // end clients and servers now
    kLeave,   // all cores are at rest: leave the loop
  };
  struct Place {
    int fd;
    uint32_t listener_index;
  };
  struct Gather {
    uint64_t ticket;
    std::array<std::byte, sizeof(SnapshotParts)> parts_bytes;  // a union wants trivial members
    SnapshotParts parts() const { return std::bit_cast<SnapshotParts>(parts_bytes); }
    static Gather Of(uint64_t ticket, SnapshotParts parts) {
      return {ticket, std::bit_cast<std::array<std::byte, sizeof(SnapshotParts)>>(parts)};
    }
  };
  struct Report {
    uint64_t ticket;
    ShardSnapshot* snapshot;
  };

  Kind kind;
  uint32_t from_core = 0;  // set by the mailer
  union {
    PoolMail pool;
    CancelMail* cancel;
    Place place;
    Gather gather;
    Report report;
    Control control;
  };
};
static_assert(sizeof(Mail) <= kCacheLine);
static_assert(std::is_trivially_copyable_v<Mail>);

}  // namespace trireme
