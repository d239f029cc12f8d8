// SPDX-License-Identifier: GPL-3.0-or-later
//
// Which prepared statements a backend has, least recently used first, at most so many. Whoever
// sends a Parse or a Close writes it down here before the answer is known, because the next request
// of a pipeline builds on it; the answer confirms it, an error undoes it:
//
//   Add / Remove ──▶ a note, in the order of the requests ──▶ OnOutcomes (Replies::TakeNews)
//
// What must hold: every request with Notes::server in the server's expected replies has exactly one
// note here, in the same order. An entry whose Parse is not answered yet is kPending.
//
// Belongs to a server and travels with it. One core.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "wire/replies.h"
#include "wire/statement_name.h"

namespace trireme {

class PreparedSet {
 public:
  enum class Presence : uint8_t {
    kAbsent,
    kPending,  // its Parse is not answered yet
    kSuspect,  // there, but perhaps not what a new Parse would make of it
    kPresent,
  };

  // The statement is about to be used.
  Presence Use(StatementId id);
  // The least recently used one, when there are `most` or more: it must be closed (Remove) to make
  // room.
  std::optional<StatementId> Surplus(uint32_t most) const;

  // A Parse, or a Close, is being sent.
  void Add(StatementId id);
  void Remove(StatementId id);

  // Requests with notes were answered, or not, in this order.
  void OnOutcomes(std::span<const Replies::Outcome> outcomes);
  // The backend has none any more, but those whose Parse is still on its way.
  void OnDiscarded();
  // It turned out not to have it.
  void Forget(StatementId id);
  // Perhaps it does not have it any more.
  void Suspect(StatementId id);
  // One of them is out of date ("cached plan must not change result type"), and nobody says which.
  void SuspectAll();

  uint32_t count() const { return static_cast<uint32_t>(entries_.size()); }
  bool settled() const { return notes_.empty(); }

 private:
  struct Entry {
    StatementId id;
    uint32_t pending = 0;  // Parses on their way
    bool suspect = false;
  };
  struct Note {
    StatementId id;
    bool parse;  // else a Close
  };
  using Place = std::list<Entry>::iterator;

  void Undo(const Note& note);

  std::list<Entry> entries_;  // the least recently used first
  absl::flat_hash_map<StatementId, Place> by_id_;
  std::vector<Note> notes_;  // the oldest first; few at any time
};

}  // namespace trireme
