// SPDX-License-Identifier: GPL-3.0-or-later
//
// The first packet of a connection, in every form a client may send it. Pure functions over bytes;
// the results are views into the packet and live as long as it does.
//
//   |length 4, counts itself|80877103|                      SSLRequest
//   |length 4               |80877104|                      GSSENCRequest
//   |length 4               |80877102|process id 4|key ...| CancelRequest, key of 4 to 256 bytes
//   |length 4               |3.minor |name\0value\0 ... \0| StartupMessage
//
// The texts and SQLSTATEs of the errors are PostgreSQL's (ProcessStartupPacket). All are FATAL.
#pragma once

#include <variant>
#include <vector>

#include "base/bytes.h"
#include "wire/errors.h"
#include "wire/messages.h"

namespace trireme {

// Length of the packet that begins at `received`, 0 = wait for its first four bytes. An error as
// soon as the length word is there and wrong: shorter than a code, or longer than `bytes_max`. The
// caller waits until that many bytes are there and gives exactly those to ParseStartup.
PgResult<size_t> StartupSize(Bytes received, size_t bytes_max);

struct SslRequest {};
struct GssEncRequest {};

struct CancelRequest {
  uint32_t process_id = 0;
  Bytes key;
};

enum class Replication : uint8_t { kNone, kPhysical, kLogical };
// "none", "physical", "logical": as consoles show it.
std::string_view ToString(Replication replication);

struct StartupMessage {
  uint16_t minor_requested = 0;
  std::string_view user;      // never empty
  std::string_view database;  // the user's name when not given; PostgreSQL takes no notice of it
                              // in physical replication
  std::string_view options;   // command-line style settings, see wire/options.h; "" = none
  Replication replication = Replication::kNone;
  std::vector<ParameterView> parameters;           // settings, in order; the above are not in it
  std::vector<std::string_view> protocol_options;  // "_pq_.*": we know none of them

  // The version both sides speak from here on.
  uint16_t minor() const {
    return minor_requested < kProtocolMinorNewest ? minor_requested : kProtocolMinorNewest;
  }
  // NegotiateProtocolVersion(minor(), protocol_options) must be sent before authentication.
  bool needs_negotiation() const {
    return minor_requested > kProtocolMinorNewest || !protocol_options.empty();
  }
  // 3.2 allows a cancel key of up to 256 bytes; before it is exactly 4.
  bool long_cancel_key() const { return minor() >= 2; }
};

using StartupPacket = std::variant<SslRequest, GssEncRequest, CancelRequest, StartupMessage>;

// `packet` is one whole packet, as StartupSize framed it.
PgResult<StartupPacket> ParseStartup(Bytes packet);

}  // namespace trireme
