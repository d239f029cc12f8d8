// SPDX-License-Identifier: GPL-3.0-or-later
//
// The text of SCRAM messages (RFC 5802 section 7): attributes "x=value" joined by commas. What the
// two machines share:
//
//   ScramClient (we → PostgreSQL)                ScramServer (a client → us)
//     client_first()             ──────────▶      OnClientFirst   "n,,n=,r=<nonce>"
//     OnServerFirst              ◀──────────        server-first   "r=..,s=<salt>,i=<count>"
//     ProvideKeys: client-final  ──────────▶      OnClientFinal   "c=biws,r=..,p=<proof>"
//     OnServerFinal              ◀──────────        server-final   "v=<signature>"
//
// The user name inside is empty: PostgreSQL ignores it and uses the one of the start-up packet.
// Views point into the given text. Pure; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "auth/crypto.h"

namespace trireme {

inline constexpr std::string_view kScramMechanism = "SCRAM-SHA-256";

// No SCRAM message comes near; what is longer is refused before it is read.
inline constexpr size_t kScramMessageBytesMax = 65535;

struct ScramAttribute {
  char name;
  std::string_view value;
};

// Reads attributes in order. A text that breaks the form ends the reading: nullopt, done() false.
class ScramAttributes {
 public:
  explicit ScramAttributes(std::string_view text) : rest_(text), more_(true) {}

  // The value of the next attribute when it has this name; else nullopt and nothing is consumed.
  std::optional<std::string_view> Take(char name);
  std::optional<ScramAttribute> TakeAny();
  bool done() const { return !more_; }
  // What was not read yet.
  std::string_view rest() const { return rest_; }

 private:
  std::optional<ScramAttribute> Peek() const;

  std::string_view rest_;
  bool more_;  // an attribute must follow: at the start, and after a comma
};

// Printable ASCII without the comma, at least one character.
bool IsScramNonce(std::string_view text);

// 18 random bytes in base64, as PostgreSQL's own nonces.
Result<std::string> MakeScramNonce(SecretRandom& random);

}  // namespace trireme
