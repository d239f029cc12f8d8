// SPDX-License-Identifier: GPL-3.0-or-later
//
// What one feeding of a stream did, as text, so that two feedings can be compared: runs of bytes by
// destination ("F17": 17 forwarded), and events at their place between them.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace trireme::fuzz {

class Trace {
 public:
  void Pass(size_t count, char destination) {
    if (count == 0) return;
    if (destination != run_destination_) EndRun();
    run_destination_ = destination;
    run_ += count;
  }

  void Event(std::string_view name, size_t value) {
    EndRun();
    text_ += std::string(name) + " " + std::to_string(value) + "; ";
  }

  std::string Take() {
    EndRun();
    return std::move(text_);
  }

 private:
  void EndRun() {
    if (run_ > 0) text_ += run_destination_ + std::to_string(run_) + "; ";
    run_ = 0;
  }

  std::string text_;
  char run_destination_ = 0;
  size_t run_ = 0;
};

}  // namespace trireme::fuzz
