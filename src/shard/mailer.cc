// SPDX-License-Identifier: GPL-3.0-or-later
#include "shard/mailer.h"
#include "base/marks.h"

namespace trireme {

Mailer::Mailer(PostOffice& office, Ring& ring, uint32_t core)
    : office_(office), ring_(ring), core_(core), outboxes_(office.core_count()) {}

void Mailer::Send(uint32_t core, const PoolMail& mail) {
  Mail letter{.kind = Mail::Kind::kPool, .pool = mail};
  Send(core, letter);
}

void Mailer::Send(uint32_t core, std::unique_ptr<CancelMail> mail) {
  Mail letter{.kind = Mail::Kind::kCancel, .cancel = mail.release()};
  Send(core, letter);
}

void Mailer::Send(uint32_t core, Mail mail) {
  TRIREME_ASSERT(core != core_ && core < outboxes_.size());
  mail.from_core = core_;
  ++sent_;
  TRIREME_SHARED_WORK(kMailSent, &outboxes_[core]);
  Outbox& outbox = outboxes_[core];
  if (!outbox.dirty) {
    outbox.dirty = true;
    dirty_.push_back(core);
  }
  if (outbox.waiting.empty() && office_.TryPush(core_, core, mail)) return;
  TRIREME_COVER(kMailBackedUp);
  outbox.waiting.push_back(mail);
  ++backed_up_;
}

void Mailer::Flush() {
  size_t kept = 0;
  for (size_t i = 0; i < dirty_.size(); ++i) {
    const uint32_t core = dirty_[i];
    Outbox& outbox = outboxes_[core];
    while (!outbox.waiting.empty() && office_.TryPush(core_, core, outbox.waiting.front())) {
      outbox.waiting.pop_front();
      --backed_up_;
    }
    outbox.dirty = !outbox.waiting.empty();
    if (outbox.dirty) dirty_[kept++] = core;
    if (office_.Announce(core_, core) && !TRIREME_MUTATION(kNoWake)) ring_.Wake(core);
  }
  dirty_.resize(kept);
}

}  // namespace trireme
