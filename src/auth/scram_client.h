// SPDX-License-Identifier: GPL-3.0-or-later
//
// The client side of SCRAM-SHA-256, towards PostgreSQL: message text in, message text out (the
// exchange is drawn in auth/scram_text.h). Asks for no randomness and derives no keys itself: the
// nonce is given, and the slow keys come from outside.
//
// The server is not believed before it has proven that it knows the user's verifier. After a
// failure every further message fails. Owned by one login; one thread.
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

}  // namespace trireme
