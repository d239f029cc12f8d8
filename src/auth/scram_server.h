// SPDX-License-Identifier: GPL-3.0-or-later
//
// The server side of SCRAM-SHA-256, towards a client: message text in, message text out (the
// exchange is drawn in auth/scram_text.h). The nonce is given. Refusals carry the SQLSTATE and the
// text that PostgreSQL uses.
//
// Channel binding is not offered (it needs TLS): a client that demands it ('p') is refused, 'n' and
// 'y' are accepted, and what the client says at the end must be what it said at first. Owned by one
// login; one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "auth/scram_keys.h"
#include "auth/scram_text.h"
#include "wire/errors.h"

namespace trireme {

class ScramServer {
 public:
  // kMock: the exchange runs in full and always ends as a wrong password would.
  enum class Kind : uint8_t { kReal, kMock };
  struct Setup {
    ScramVerifier verifier;  // its keys may come later, see ProvideKeys
    Kind kind = Kind::kReal;
    std::string nonce;  // ours, from MakeScramNonce
  };
  struct Success {
    std::string server_final;
    Digest client_key;  // recovered from the proof: with ServerKey enough for pass-through
  };
  // The proof does not fit: wrong password, or a mock. The caller words the error, since it names
  // the user.
  struct WrongProof {};
  using Verdict = std::variant<Success, WrongProof, PgError>;

  explicit ScramServer(Setup setup);
  ScramServer(const ScramServer&) = delete;
  ScramServer& operator=(const ScramServer&) = delete;
  ~ScramServer();

  // Returns server-first-message.
  PgResult<std::string> OnClientFirst(std::string_view text);
  // The verifier's keys, for a verifier made from a plaintext password; any time before
  // OnClientFinal.
  void ProvideKeys(const ScramKeys& keys);
  Verdict OnClientFinal(std::string_view text);

 private:
  enum class State : uint8_t { kAwaitClientFirst, kAwaitClientFinal, kDone };
  struct ClientFinal {
    std::string_view without_proof;
    Digest proof;
  };

  PgError Malformed(std::string_view detail);
  std::optional<PgError> ReadGs2Header(std::string_view& text);
  PgResult<ClientFinal> ParseClientFinal(std::string_view text);

  State state_ = State::kAwaitClientFirst;
  ScramVerifier verifier_;
  const Kind kind_;
  const std::string server_nonce_;
  std::string gs2_header_;  // "n,," or "y,,"
  std::string client_first_bare_;
  std::string full_nonce_;
  std::string server_first_;
};

}  // namespace trireme
