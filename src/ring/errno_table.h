// SPDX-License-Identifier: GPL-3.0-or-later
//
// Every errno of every operation, classified once. What is not listed closes the connection: the
// network may invent errors, and one connection is the smallest thing to lose.
//
//   kExpected          part of normal life: the operation's user answers it (arm again, wait,
//   pause) kCloseConnection   this connection is over, or this attempt has failed; others are not
//   touched kStopProgram       we asked for nonsense (a wrong fd, a wrong pointer): we no longer
//   know who owns
//                      which connection, and going on could hand one client's answer to another
#pragma once

#include <cerrno>
#include <cstdint>

namespace trireme {

enum class Operation : uint8_t { kAny, kAccept, kConnect, kReceive, kSend, kEnter };

enum class Verdict : uint8_t { kExpected, kCloseConnection, kStopProgram };

struct ErrnoRule {
  Operation operation;
  int error;
  Verdict verdict;
};

// First match wins.
inline constexpr ErrnoRule kErrnoTable[] = {
    // Ended by Cancel(), a signal, or a wait that need not have been.
    {Operation::kAny, ECANCELED, Verdict::kExpected},
    {Operation::kAny, EINTR, Verdict::kExpected},
    // A Unix socket's backlog is full: this attempt has failed, the pool backs off.
    {Operation::kConnect, EAGAIN, Verdict::kCloseConnection},
    {Operation::kAny, EAGAIN, Verdict::kExpected},
    // Flow control: no buffer was free. Wait for one, then arm again.
    {Operation::kReceive, ENOBUFS, Verdict::kExpected},
    // Out of something for now: pause accepting, the connections wait in the backlog.
    {Operation::kAccept, EMFILE, Verdict::kExpected},
    {Operation::kAccept, ENFILE, Verdict::kExpected},
    {Operation::kAccept, ENOBUFS, Verdict::kExpected},
    {Operation::kAccept, ENOMEM, Verdict::kExpected},
    // accept(2): errors of the new connection, already pending on it. Go on accepting.
    {Operation::kAccept, ECONNABORTED, Verdict::kCloseConnection},
    {Operation::kAccept, EPERM, Verdict::kCloseConnection},
    // connect(2) to an address of our configuration that is no address of such a socket.
    {Operation::kConnect, EINVAL, Verdict::kCloseConnection},
    // io_uring_enter(2): a wait that ended without a completion, or a submission to repeat.
    {Operation::kEnter, ETIME, Verdict::kExpected},
    {Operation::kEnter, EBUSY, Verdict::kExpected},
    {Operation::kEnter, ENOMEM, Verdict::kExpected},
    // Our bugs, whatever the operation.
    {Operation::kAny, EBADF, Verdict::kStopProgram},
    {Operation::kAny, ENOTSOCK, Verdict::kStopProgram},
    {Operation::kAny, EFAULT, Verdict::kStopProgram},
    {Operation::kAny, EINVAL, Verdict::kStopProgram},
    {Operation::kAny, EOPNOTSUPP, Verdict::kStopProgram},
    // Completions were lost, or the ring is used by a second thread.
    {Operation::kEnter, EBADR, Verdict::kStopProgram},
    {Operation::kEnter, EEXIST, Verdict::kStopProgram},
};

// `error` is positive.
constexpr Verdict Classify(Operation operation, int error) {
  for (const ErrnoRule& rule : kErrnoTable) {
    if (rule.error != error) continue;
    if (rule.operation == operation || rule.operation == Operation::kAny) return rule.verdict;
  }
  return operation == Operation::kEnter ? Verdict::kStopProgram : Verdict::kCloseConnection;
}

}  // namespace trireme
