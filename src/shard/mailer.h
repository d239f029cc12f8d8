// SPDX-License-Identifier: GPL-3.0-or-later
//
// One core's desk at the post office: sends in batches, once a turn, and never fails or blocks:
// what does not fit into a queue waits here, in order, for the next turn.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "base/shared_work.h"
#include "pool/siblings.h"
#include "ring/ring.h"
#include "session/clients.h"
#include "shard/post_office.h"

namespace trireme {

class Mailer final : public Siblings, public ClientSiblings {
 public:
  Mailer(PostOffice& office, Ring& ring, uint32_t core);

  // Siblings, ClientSiblings
  uint32_t count() const override { return office_.core_count(); }
  uint32_t self() const override { return core_; }
  void Send(uint32_t core, const PoolMail& mail) override;
  void Send(uint32_t core, std::unique_ptr<CancelMail> mail) override;

  void Send(uint32_t core, Mail mail);

  // Everything that has come, copied out one by one before it is acted on.
  template <typename Act>
  void Receive(Act act) {
    PostOffice::Senders senders;
    if (!office_.TakePending(core_, &senders)) return;
    for (uint32_t from = 0; from <= office_.core_count(); ++from) {
      if ((senders[from / 64] >> (from % 64) & 1) == 0) continue;
      Mail mail;
      while (office_.TryPop(from, core_, &mail)) {
        if (from != office_.outsider()) ++received_;
        TRIREME_SHARED_WORK(kMailTaken, this);
        act(mail);
      }
    }
  }

  // End of turn: what was sent is announced, sleepers are woken.
  void Flush();
  // Letters that found a full queue: do not sleep.
  bool backed_up() const { return backed_up_ > 0; }
  bool BeginSleep() { return office_.BeginSleep(core_); }
  void EndSleep() { office_.EndSleep(core_); }

  // Between cores; the main thread's letters are not counted.
  uint64_t sent() const { return sent_; }
  uint64_t received() const { return received_; }

 private:
  struct Outbox {
    std::deque<Mail> waiting;  // in order, behind a full queue
    bool dirty = false;        // pushed since the last announcement
  };

  PostOffice& office_;
  Ring& ring_;
  const uint32_t core_;
  std::vector<Outbox> outboxes_;
  std::vector<uint32_t> dirty_;
  size_t backed_up_ = 0;
  uint64_t sent_ = 0;
  uint64_t received_ = 0;
};

}  // namespace trireme
