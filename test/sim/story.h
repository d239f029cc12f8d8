// SPDX-License-Identifier: GPL-3.0-or-later
//
// What happened, one line for each change of state, with its virtual time:
//
//      12.345678  core 1     client logged in client=5 user=user0 ...
//      12.345701  kernel     fault: reset
//      12.345702  client     c7 vanishes, way 1
//
// Only the last lines are kept: what broke has its reason near. Nothing is told unless somebody
// will read it, and telling changes nothing in the world. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/time.h"

namespace trireme::sim {

class Story {
 public:
  struct Options {
    size_t lines_max = 400;
    bool at_once = false;  // each line is printed to standard output as it happens
  };
  explicit Story(const Options& options) : options_(options) {}

  void Tell(Time time, std::string_view who, std::string_view what);
  std::string Text() const;

 private:
  const Options options_;
  std::deque<std::string> lines_;
  uint64_t forgotten_ = 0;
};

// The log of one core as part of the story.
class StorySink final : public LogSink {
 public:
  StorySink(Story* story, const Time& now, uint32_t core)
      : story_(story), now_(now), who_("core " + std::to_string(core)) {}
  void Write(std::string_view line) override;

 private:
  Story* const story_;  // nullptr: nobody reads
  const Time& now_;
  const std::string who_;
};

}  // namespace trireme::sim
