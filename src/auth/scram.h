// SPDX-License-Identifier: GPL-3.0-or-later
//
// SCRAM-SHA-256 (RFC 5802, RFC 7677) as PostgreSQL speaks it, both sides as step machines without
// I/O: message text in, message text out. Neither asks for randomness or derives keys itself: the
// nonce is given, and slow keys come from outside.
//
//   ScramClient (we → PostgreSQL)                     ScramServer (a client → us)
//     client_first()                    ───────────▶    OnClientFirst   "n,,n=,r=<nonce>"
//     OnServerFirst                     ◀───────────      → server_first "r=..,s=<salt>,i=<count>"
//       may need keys: ProvideKeys                        ProvideKeys, if the verifier had none
//       → client_final                  ───────────▶    OnClientFinal   "c=biws,r=..,p=<proof>"
//     OnServerFinal                     ◀───────────      → server_final "v=<signature>"
//
// The user name inside SCRAM is empty: PostgreSQL ignores it and uses the start-up packet's.
// Channel binding is not offered (it needs TLS): a client that demands it ('p') is refused, 'n' and
// 'y' are accepted. Refusals carry the SQLSTATE and the text PostgreSQL uses. Owned by one login;
// one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "auth/scram_keys.h"
#include "auth/scram_text.h"
#include "wire/errors.h"

namespace trireme {

class ScramClient {
 public:
  struct Setup {
    std::string nonce;   // ours, from MakeScramNonce
    std::string user{};  // empty towards PostgreSQL
  };
  // What the server asks the password to be salted with.
  struct Challenge {
    std::string salt;
    uint32_t iterations = 0;
  };

  explicit ScramClient(Setup setup);
  ScramClient(const ScramClient&) = delete;
  ScramClient& operator=(const ScramClient&) = delete;
  ~ScramClient();

  std::string client_first() const { return "n,," + client_first_bare_; }

  // Reads the server's salt and count. Afterwards keys for exactly these are due.
  PgResult<Challenge> OnServerFirst(std::string_view text);
  // Returns client-final-message, the proof.
  std::string ProvideKeys(const ScramKeys& keys);
  // The server proves that it knows the verifier; nullopt: it does.
  std::optional<PgError> OnServerFinal(std::string_view text);

  // Server proved itself. AuthenticationOk before that is not to be believed.
  bool verified() const { return state_ == State::kVerified; }

 private:
  enum class State : uint8_t {
    kAwaitServerFirst,
    kAwaitKeys,
    kAwaitServerFinal,
    kVerified,
    kFailed
  };

  PgError Fail(std::string_view what);
  PgResult<Challenge> ParseServerFirst(std::string_view text);

  State state_ = State::kAwaitServerFirst;
  const std::string client_nonce_;
  const std::string client_first_bare_;
  std::string server_first_;
  std::string full_nonce_;
  std::string auth_message_;
  Digest server_key_{};
};

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
