// SPDX-License-Identifier: GPL-3.0-or-later
//
// The one thread that writes the log. Every logging thread has a ring of its own here and never
// waits; the writer sleeps until a line comes, then writes all rings in turn, and pauses kBatch
// between rounds so that a busy log costs few system calls. A line is on its way to the file within
// kBatch.
//
// Order holds within a ring, not between rings. Lines dropped by a full ring, and bytes the file
// did not take, are reported by a line of the writer's own.
//
// Owned by main: started before the shards, destroyed after them; the destructor writes what is
// left.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/futex.h"
#include "base/log.h"
#include "base/log_ring.h"
#include "base/result.h"

namespace trireme {

class LogWriter {
 public:
  struct Options {
    std::string file;             // appended to, made with mode 0640; "" = standard error
    size_t rings = 1;             // one for each thread that logs
    size_t ring_bytes = 1 << 17;  // a power of two; about 500 lines
    LogStyle style;               // for the writer's own lines
  };

  static constexpr std::chrono::milliseconds kBatch{5};

  // Fails when the file cannot be opened.
  static Result<std::unique_ptr<LogWriter>> Start(Options options);
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // For the Logger of exactly one thread.
  LogSink* sink(size_t ring_index) { return rings_[ring_index].get(); }

  // Any thread: opens the file anew (after rotation) before the next line is written. If that
  // fails, the old file stays in use and a line says why.
  void Reopen();

  // Any thread: lines that found their ring full.
  uint64_t LinesDropped() const;

 private:
  // Lines of the writer itself go out directly.
  struct OwnSink final : LogSink {
    explicit OwnSink(LogWriter* w) : writer(w) {}
    void Write(std::string_view line) override;
    LogWriter* const writer;
  };

  LogWriter(Options options, int fd);

  void Run();
  bool WriteRound();
  bool WriteOut(std::string_view bytes);
  void ReopenFile();
  void ReportLosses();

  const Options options_;
  int fd_;
  SleepFlag wake_;
  std::atomic<bool> reopen_{false};  // release in Reopen, acquire in the writer
  std::atomic<bool> stop_{false};    // release in the destructor, acquire in the writer
  std::vector<std::unique_ptr<LogRing>> rings_;

  // The writer's own.
  OwnSink own_sink_;
  Logger own_log_;
  uint64_t dropped_reported_ = 0;
  uint64_t bytes_lost_ = 0;
  int lost_errno_ = 0;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace trireme
