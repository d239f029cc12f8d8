// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/log_writer.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace trireme {

namespace {

int OpenForAppend(const std::string& file) {
  if (file.empty()) return STDERR_FILENO;
  return ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

}  // namespace

Result<std::unique_ptr<LogWriter>> LogWriter::Start(Options options) {
  const int fd = OpenForAppend(options.file);
  if (fd < 0) {
    return Unavailable("cannot open log file \"" + options.file + "\": " + std::strerror(errno));
  }
  return std::unique_ptr<LogWriter>(new LogWriter(std::move(options), fd));
}

LogWriter::LogWriter(Options options, int fd)
    : options_(std::move(options)), fd_(fd), own_sink_(this), own_log_(&own_sink_, options_.style) {
  for (size_t i = 0; i < options_.rings; ++i) {
    rings_.push_back(std::make_unique<LogRing>(options_.ring_bytes, &wake_));
  }
  // Signals belong to the thread that waits for them; a new thread inherits the mask.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { Run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

LogWriter::~LogWriter() {
  stop_.store(true, std::memory_order_release);
  wake_.Wake();
  thread_.join();
  if (!options_.file.empty()) ::close(fd_);
}

void LogWriter::Reopen() {
  reopen_.store(true, std::memory_order_release);
  wake_.Wake();
}

uint64_t LogWriter::LinesDropped() const {
  uint64_t dropped = 0;
  for (const auto& ring : rings_) dropped += ring->dropped();
  return dropped;
}

void LogWriter::Run() {
  while (true) {
    wake_.Announce();
    const bool stopping = stop_.load(std::memory_order_acquire);  // before the last look
    if (reopen_.exchange(false, std::memory_order_acq_rel)) ReopenFile();
    const bool wrote = WriteRound();
    if (stopping && !wrote) return;
    if (stopping) continue;
    if (!wrote) {
      wake_.Sleep();
      continue;
    }
    wake_.Cancel();
    std::this_thread::sleep_for(kBatch);
  }
}

// Everything that is in the rings now. False when there was nothing.
bool LogWriter::WriteRound() {
  bool wrote = false;
  for (const auto& ring : rings_) {
    const LogRing::Pieces pieces = ring->Peek();
    if (pieces.size() == 0) continue;
    wrote = true;
    const bool intact = WriteOut(pieces.first) && WriteOut(pieces.second);
    if (!intact) bytes_lost_ += pieces.size();
    ring->Consume(pieces.size());
  }
  ReportLosses();
  return wrote;
}

// False when the file refused some of it. Only this thread waits for a full pipe.
bool LogWriter::WriteOut(std::string_view bytes) {
  const int error = WriteAll(fd_, bytes);
  if (error != 0) lost_errno_ = error;
  return error == 0;
}

void LogWriter::ReopenFile() {
  if (options_.file.empty()) return;
  const int fd = OpenForAppend(options_.file);
  if (fd < 0) {
    const char* reason = std::strerror(errno);
    own_log_.Error("cannot open the log file again, the old one stays in use",
                   {{"file", options_.file}, {"reason", reason}});
    return;
  }
  ::close(fd_);
  fd_ = fd;
}

void LogWriter::ReportLosses() {
  const uint64_t dropped = LinesDropped();
  if (dropped > dropped_reported_) {
    own_log_.Warning("log lines dropped: written faster than the log file takes them",
                     {{"lines", dropped - dropped_reported_}, {"total", dropped}});
    dropped_reported_ = dropped;
  }
  if (bytes_lost_ > 0) {
    const uint64_t lost = std::exchange(bytes_lost_, 0);
    own_log_.Error("log file did not take what was written",
                   {{"bytes", lost}, {"reason", std::strerror(lost_errno_)}});
  }
}

void LogWriter::OwnSink::Write(std::string_view line) {
  // When the file refuses even this, the loss is reported once it takes lines again.
  if (!writer->WriteOut(line)) writer->bytes_lost_ += line.size();
}

}  // namespace trireme
