// SPDX-License-Identifier: GPL-3.0-or-later
//
// A scripted PostgreSQL: for servers that refuse, stall, die or lie at a chosen moment. Each
// connection runs the test's script on a thread of its own; a script that throws (the peer went
// away, time is up) just ends its connection. CancelRequests never reach a script: they are
// counted.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "messages.h"
#include "raw_client.h"

namespace trireme::e2e {

struct FakeScramOptions {
  std::string password = "secret-app";
  std::string salt = "0123456789abcdef";  // raw bytes
  int iterations = 4096;
  bool lie_about_signature = false;
};

// One connection as its script sees it. The startup packet has been read.
class FakeSession : public MessageStream {
 public:
  FakeSession(Socket socket, std::map<std::string, std::string> startup, int number)
      : MessageStream(std::move(socket)), startup_(std::move(startup)), number_(number) {}

  const std::map<std::string, std::string>& startup() const { return startup_; }
  int number() const { return number_; }  // counts connections from 0

  // AuthenticationOk, parameters, key, ReadyForQuery.
  void Accept();
  // The parameters, key and ReadyForQuery after an own authentication.
  void FinishLogin();
  void DemandCleartext(const std::string& password);
  void DemandMd5(const std::string& user, const std::string& password, const std::string& salt);
  void DemandScram(const FakeScramOptions& options);
  // Answers each simple query with one row holding the query's text, until the peer leaves.
  void EchoQueries();
  std::string ReadQuery();  // the next simple query; throws when something else comes

 private:
  std::map<std::string, std::string> startup_;
  int number_;
};

class FakeServer {
 public:
  using Script = std::function<void(FakeSession&)>;

  explicit FakeServer(Script script);
  ~FakeServer();

  uint16_t port() const { return port_; }
  int connections() const { return connections_; }
  int cancels() const { return cancels_; }
  int alive() const { return alive_; }  // connections whose script still runs

 private:
  void AcceptLoop();
  void Serve(Socket socket, int number);

  Script script_;
  int listen_fd_ = -1;
  uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::atomic<int> cancels_{0};
  std::atomic<int> alive_{0};
  std::mutex mutex_;  // guards the two below
  std::list<std::thread> sessions_;
  std::vector<int> session_fds_;  // shut down at the end, so that no script blocks the test
  std::thread acceptor_;
};

}  // namespace trireme::e2e
