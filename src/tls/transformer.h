// SPDX-License-Identifier: GPL-3.0-or-later
//
// The seam for TLS: bytes in, bytes out; no socket, no ring, no buffers of its own choosing. A
// stream that has a Transformer passes what it receives through Decrypt() before the owner sees it,
// and what it sends through Encrypt() before the kernel does. Nothing above net knows.
//
//                 ┌────────────────────────────────┐
//   ciphertext ──▶│ Decrypt()            plaintext │──▶ owner
//   from peer     │        handshake, alerts       │
//   ciphertext ◀──│ Encrypt()  │         plaintext │◀── owner
//   to peer       └────────────┴───────────────────┘
//
// During the handshake Decrypt() consumes and produces nothing for the owner, and what must be
// answered is fetched with Encrypt(): whenever wants_to_send() is true after a call, call Encrypt()
// (with no plaintext, if there is none) and send what it produced.
//
// What must hold: output is whole when `produced` < the room given; else call again with the rest.
// All bytes of ciphertext come out of one Encrypt() sequence in the order they must be sent. After
// kFailed, the last wants_to_send() bytes are the alert; send them and close. Used by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace trireme {

class Transformer {
 public:
  enum class State : uint8_t {
    kHandshake,   // plaintext is neither taken nor given yet
    kOpen,        // both ways
    kPeerClosed,  // the peer has sent close_notify: an orderly end; sending still works
    kFailed       // see error()
  };

  // How far a call came.
  struct Progress {
    size_t consumed = 0;  // bytes of input that need not be given again
    size_t produced = 0;  // bytes written to the output
  };

  virtual ~Transformer() = default;

  virtual State state() const = 0;
  // For the log and, where the protocol allows, the peer: what failed and what to do. Ok unless
  // kFailed.
  virtual Status error() const = 0;

  // `ciphertext` as it came from the peer, in any pieces; plaintext goes to `plaintext`.
  virtual Progress Decrypt(Bytes ciphertext, MutableBytes plaintext) = 0;
  // True when Decrypt() would produce more without new ciphertext.
  virtual bool has_plaintext() const = 0;

  // `plaintext` becomes records in `ciphertext`, behind handshake messages and alerts that are due.
  // Records to clients are capped at 8 KiB: libpq's asynchronous API may stall on larger ones.
  virtual Progress Encrypt(Bytes plaintext, MutableBytes ciphertext) = 0;
  // True when Encrypt() would produce something without plaintext.
  virtual bool wants_to_send() const = 0;

  // Puts close_notify behind what was encrypted so far.
  virtual void Close() = 0;

  // The hash of the server's certificate that SCRAM-SHA-256-PLUS binds to (RFC 5929,
  // tls-server-end-point); empty before kOpen.
  virtual std::string ServerEndPoint() const = 0;
};

}  // namespace trireme
