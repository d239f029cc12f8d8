// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/log_writer.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

namespace trireme {
namespace {

// A directory of the test's own.
class LogWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "trireme-log-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override {
    for (const char* name : {"log", "log.1"}) ::unlink((directory_ + "/" + name).c_str());
    ::rmdir(directory_.c_str());
  }
  std::string File(const char* name) const { return directory_ + "/" + name; }
  static std::string Read(const std::string& file) {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
  }
  static std::unique_ptr<LogWriter> Start(LogWriter::Options options) {
    auto writer = LogWriter::Start(std::move(options));
    EXPECT_TRUE(writer.ok()) << writer.status().ToString();
    return std::move(writer).value();
  }
  // Waits until the file holds `text`; bounded.
  static bool Eventually(const std::string& file, const std::string& text) {
    for (int i = 0; i < 10'000; ++i) {
      if (Read(file).find(text) != std::string::npos) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }
  std::string directory_;
};

TEST(LogRing, PassesWholeLinesAcrossItsEnd) {
  SleepFlag flag;
  LogRing ring(16, &flag);
  std::string expected, got;
  for (int i = 0; i < 100; ++i) {
    const std::string line = std::string(static_cast<size_t>(i % 13), "abc"[i % 3]) + "\n";
    ring.Write(line);
    expected += line;
    const LogRing::Pieces pieces = ring.Peek();
    EXPECT_EQ(pieces.size(), line.size());
    got += std::string(pieces.first) + std::string(pieces.second);
    ring.Consume(pieces.size());
  }
  EXPECT_EQ(got, expected);
  EXPECT_EQ(ring.dropped(), 0u);
}

TEST(LogRing, DropsAndCountsWhatDoesNotFit) {
  SleepFlag flag;
  LogRing ring(16, &flag);
  ring.Write("0123456\n");
  ring.Write("0123456\n");  // exactly full
  ring.Write("\n");
  ring.Write("x\n");
  EXPECT_EQ(ring.dropped(), 2u);
  EXPECT_EQ(ring.Peek().size(), 16u);
  ring.Consume(8);
  ring.Write("abc\n");
  EXPECT_EQ(ring.Peek().first, "0123456\n");
  EXPECT_EQ(ring.Peek().second, "abc\n");
}

TEST_F(LogWriterTest, WritesSoonAndTheRestAtTheEnd) {
  auto writer = Start({.file = File("log"), .style = {}});
  Logger log(writer->sink(0), {});
  log.Info("first");
  EXPECT_TRUE(Eventually(File("log"), "INFO first\n"));
  log.Info("last");
  writer.reset();
  EXPECT_NE(Read(File("log")).find("INFO last\n"), std::string::npos);
}

TEST_F(LogWriterTest, AppendsToTheFileThatIsThere) {
  std::ofstream(File("log")) << "before\n";
  auto writer = Start({.file = File("log"), .style = {}});
  Logger(writer->sink(0), {}).Info("after");
  writer.reset();
  EXPECT_EQ(Read(File("log")).find("before\n"), 0u);
}

TEST_F(LogWriterTest, SaysWhichFileItCannotOpen) {
  const auto writer = LogWriter::Start({.file = File("absent/log"), .style = {}});
  ASSERT_FALSE(writer.ok());
  EXPECT_EQ(FromAbsl(writer.status().message()),
            "cannot open log file \"" + File("absent/log") + "\": No such file or directory");
}

TEST_F(LogWriterTest, ReopensAfterRotation) {
  auto writer = Start({.file = File("log"), .style = {}});
  Logger log(writer->sink(0), {});
  log.Info("first");
  ASSERT_TRUE(Eventually(File("log"), "first"));
  ASSERT_EQ(::rename(File("log").c_str(), File("log.1").c_str()), 0);
  log.Info("second");
  ASSERT_TRUE(Eventually(File("log.1"), "second"));
  writer->Reopen();
  log.Info("third");
  EXPECT_TRUE(Eventually(File("log"), "third"));
  EXPECT_EQ(Read(File("log.1")).find("third"), std::string::npos);
}

TEST_F(LogWriterTest, KeepsTheOldFileWhenItCannotReopen) {
  auto writer = Start({.file = File("log"), .style = {}});
  ASSERT_EQ(::rename(File("log").c_str(), File("log.1").c_str()), 0);
  ASSERT_EQ(::mkdir(File("log").c_str(), 0700), 0);
  writer->Reopen();
  EXPECT_TRUE(Eventually(File("log.1"), "cannot open the log file again"));
  Logger(writer->sink(0), {}).Info("still here");
  writer.reset();
  EXPECT_NE(Read(File("log.1")).find("still here"), std::string::npos);
  ::rmdir(File("log").c_str());
}

// Four threads on their own rings, rings so small that lines are dropped: each line that arrives is
// whole and in order, and those missing are counted.
TEST_F(LogWriterTest, ThreadsNeitherMixNorLoseUncounted) {
  constexpr int kThreads = 4;
  constexpr int kLines = 5'000;
  auto writer = Start({.file = File("log"), .rings = kThreads, .ring_bytes = 8192, .style = {}});
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&writer, t] {
      Logger log(writer->sink(static_cast<size_t>(t)), {});
      for (int i = 0; i < kLines; ++i) {
        log.Info("line", {{"thread", t}, {"number", i}, {"end", "here"}});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const uint64_t dropped = writer->LinesDropped();
  writer.reset();
  int arrived = 0;
  int last[kThreads] = {-1, -1, -1, -1};
  std::istringstream lines(Read(File("log")));
  std::string reported;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("log lines dropped") != std::string::npos) {
      reported = line.substr(line.find("total="));
      continue;
    }
    int thread = -1, number = -1;
    const size_t fields = line.find("INFO line thread=");
    ASSERT_NE(fields, std::string::npos) << line;
    ASSERT_EQ(std::sscanf(line.c_str() + fields, "INFO line thread=%d number=%d end=here", &thread,
                          &number),
              2)
        << line;
    ASSERT_TRUE(line.ends_with(" end=here")) << line;
    ASSERT_GT(number, last[thread]) << line;
    last[thread] = number;
    ++arrived;
  }
  EXPECT_EQ(arrived + static_cast<int>(dropped), kThreads * kLines);
  if (dropped > 0) {
    EXPECT_EQ(reported, "total=" + std::to_string(dropped));
  }
}

}  // namespace
}  // namespace trireme
