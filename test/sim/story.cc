// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/story.h"

#include <cinttypes>
#include <cstdio>

namespace trireme::sim {

void Story::Tell(Time time, std::string_view who, std::string_view what) {
  char head[64];
  const int64_t ns = time.time_since_epoch().count();
  const int size =
      std::snprintf(head, sizeof head, "%6" PRId64 ".%06" PRId64 "  %-10.*s ", ns / 1'000'000'000,
                    ns / 1000 % 1'000'000, static_cast<int>(who.size()), who.data());
  std::string line(head, static_cast<size_t>(size));
  line += what;
  if (line.back() != '\n') line += '\n';
  if (options_.at_once) std::fwrite(line.data(), 1, line.size(), stdout);
  lines_.push_back(std::move(line));
  if (lines_.size() > options_.lines_max) {
    lines_.pop_front();
    ++forgotten_;
  }
}

std::string Story::Text() const {
  std::string text;
  if (forgotten_ > 0) text = "... " + std::to_string(forgotten_) + " lines before\n";
  for (const std::string& line : lines_) text += line;
  return text;
}

// A log line begins with its own time and process: "2026-11-21 22:54:01.123 UTC [17] INFO ...".
void StorySink::Write(std::string_view line) {
  if (story_ == nullptr) return;
  const size_t end = line.find("] ");
  story_->Tell(now_, who_, end == std::string_view::npos ? line : line.substr(end + 2));
}

}  // namespace trireme::sim
