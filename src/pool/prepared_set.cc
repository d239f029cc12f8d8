// SPDX-License-Identifier: GPL-3.0-or-later
#include "pool/prepared_set.h"

#include "base/assert.h"

namespace trireme {

PreparedSet::Presence PreparedSet::Use(StatementId id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return Presence::kAbsent;
  entries_.splice(entries_.end(), entries_, found->second);
  if (found->second->pending > 0) return Presence::kPending;
  return found->second->suspect ? Presence::kSuspect : Presence::kPresent;
}

std::optional<StatementId> PreparedSet::Surplus(uint32_t most) const {
  if (entries_.size() < most || entries_.empty()) return std::nullopt;
  return entries_.front().id;
}

void PreparedSet::Add(StatementId id) {
  notes_.push_back({.id = id, .parse = true});
  if (Use(id) == Presence::kAbsent) {
    by_id_.emplace(id, entries_.insert(entries_.end(), {.id = id}));
  }
  ++by_id_.find(id)->second->pending;
}

void PreparedSet::Remove(StatementId id) {
  notes_.push_back({.id = id, .parse = false});
  Forget(id);
}

void PreparedSet::Forget(StatementId id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  entries_.erase(found->second);
  by_id_.erase(found);
}

// What failed or was passed over is undone backwards: the last change of a statement first.
void PreparedSet::OnOutcomes(std::span<const Replies::Outcome> outcomes) {
  std::vector<Note> dropped;
  size_t settled = 0;
  for (const Replies::Outcome& outcome : outcomes) {
    if (!outcome.notes.server) continue;
    TRIREME_ASSERT(settled < notes_.size());
    const Note& note = notes_[settled++];
    if (!outcome.answered) {
      dropped.push_back(note);
    } else if (const auto found = by_id_.find(note.id); note.parse && found != by_id_.end()) {
      found->second->pending -= found->second->pending > 0 ? 1 : 0;
    }
  }
  notes_.erase(notes_.begin(), notes_.begin() + static_cast<ptrdiff_t>(settled));
  for (auto note = dropped.rbegin(); note != dropped.rend(); ++note) Undo(*note);
}

void PreparedSet::Undo(const Note& note) {
  const auto found = by_id_.find(note.id);
  if (note.parse) {
    if (found == by_id_.end()) return;
    if (found->second->pending > 0) --found->second->pending;
    if (found->second->pending == 0) Forget(note.id);
  } else if (found == by_id_.end()) {
    by_id_.emplace(note.id, entries_.insert(entries_.begin(), {.id = note.id}));
  }
}

void PreparedSet::Suspect(StatementId id) {
  const auto found = by_id_.find(id);
  if (found != by_id_.end()) found->second->suspect = true;
}

void PreparedSet::SuspectAll() {
  for (Entry& entry : entries_) entry.suspect = true;
}

void PreparedSet::OnDiscarded() {
  for (auto at = entries_.begin(); at != entries_.end();) {
    if (at->pending > 0) {
      ++at;
      continue;
    }
    by_id_.erase(at->id);
    at = entries_.erase(at);
  }
}

}  // namespace trireme
