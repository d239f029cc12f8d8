// SPDX-License-Identifier: GPL-3.0-or-later
//
// How a pool speaks to the same pool on other cores. pool declares it, shard/mail implements it
// over the SPSC queues, tests implement it with a vector. A message is a plain struct of at most
// one cache line; a server that changes hands travels by owned pointer (ServerPassport) and is
// freed by the receiver.
//
// Order matters: mail that is sent after Pools::EndOfTurn() has published the boards is read by
// the other core after those boards (the queue's release and acquire), so whoever gets a Deny also
// sees why.
#pragma once

#include <cstdint>

namespace trireme {

class Board;
struct ServerPassport;  // pool/passport.h: a server between two cores

struct PoolMail {
  enum class Kind : uint8_t {
    kSteal,  // "lend me an idle server for good": answered by kGrant or kDeny
    kGrant,  // here is one: `passport`; also sent unasked to a core that waited longest
    kDeny,   // there is none (any more)
    kNudge,  // look again: a place under a cap has become free, or a grant on its way was lost
    kEvict,  // close your coldest idle server: another pool needs its place under a shared cap
  };
  Kind kind;
  bool solicited;  // kGrant: answers a kSteal (else it answers hunger on the board)
  uint32_t from_core;
  Board* board;  // which pool; boards live as long as the fleet
  ServerPassport* passport;
  // kSteal: when it was sent. kGrant: when the kSteal it answers was, or, unasked, its decision.
  int64_t since_ns;
};
static_assert(sizeof(PoolMail) <= 48, "must fit a mail message of one cache line with its header");

class Siblings {
 public:
  virtual uint32_t count() const = 0;
  virtual uint32_t self() const = 0;
  // Never fails and never blocks: a full queue is kept at the sender and retried each turn.
  virtual void Send(uint32_t core, const PoolMail& mail) = 0;

 protected:
  ~Siblings() = default;
};

}  // namespace trireme
