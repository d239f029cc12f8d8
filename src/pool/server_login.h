// SPDX-License-Identifier: GPL-3.0-or-later
//
// Logs in to PostgreSQL: a step machine without I/O, from the startup packet to the first
// ReadyForQuery.
//
//   StartupPacket() ─▶ Feed(bytes) ─▶ kSend reply ─▶ Feed … ─▶ kNeedKeys ─▶ ProvideKeys ─▶ …
//                                                     ─▶ kDone | kFailed
//
// Notices are passed over. An ErrorResponse ends it with the server's own words and SQLSTATE. One
// login of one server; one core.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "auth/server_auth.h"
#include "base/bytes.h"
#include "pool/passport.h"
#include "pool/pool_settings.h"
#include "wire/errors.h"
#include "wire/parameter_set.h"

namespace trireme {

class ServerLogin {
 public:
  // A login message longer than this is not PostgreSQL's.
  static constexpr uint32_t kMessageBytesMax = 65536;

  struct Step {
    enum class Kind : uint8_t {
      kNeedMore,  // consumed what was whole; call again with more bytes behind the rest
      kSend,      // send `payload`, then go on feeding (there may be bytes left)
      kNeedKeys,  // derive key_request() elsewhere, then ProvideKeys
      kDone,      // ReadyForQuery: see parameters() and key(); nothing may follow
      kFailed,    // see error()
    };
    Kind kind;
    uint32_t consumed = 0;       // bytes of what was fed
    std::string_view payload{};  // valid until the next call
    uint32_t need = 0;           // kNeedMore: contiguous bytes wanted, 0 = any
  };

  ServerLogin(const PoolSettings& settings, std::optional<ScramPassThrough> pass_through,
              AuthResources resources);
  ~ServerLogin();
  ServerLogin(const ServerLogin&) = delete;
  ServerLogin& operator=(const ServerLogin&) = delete;

  std::string StartupPacket() const;
  // Consumes at most one message's worth of progress per step.
  Step Feed(Bytes bytes);
  Step ProvideKeys(const ScramKeys& keys);
  const ScramKeyRequest& key_request() const { return authenticator_.key_request(); }

  const PgError& error() const { return error_; }
  const std::string& log_detail() const { return log_detail_; }
  ParameterSet& parameters() { return parameters_; }
  BackendKey& key() { return key_; }

 private:
  enum class State : uint8_t { kAuthenticating, kAuthenticated, kDone, kFailed };

  Step OnMessage(char type, Bytes body);
  Step OnAuthentication(ServerAuthenticator::Step step);
  Step OnNegotiation(Bytes body);
  Step OnParameterStatus(Bytes body);
  Step OnKeyData(Bytes body);
  Step OnReady(Bytes body);
  PgError Explain(PgError error) const;
  Step Fail(PgError error);
  Step Violation(std::string_view what);

  const PoolSettings& settings_;
  State state_ = State::kAuthenticating;
  ServerAuthenticator authenticator_;
  std::string payload_;  // may hold a password: overwritten
  ParameterSet parameters_;
  BackendKey key_;
  PgError error_;
  std::string log_detail_;
};

}  // namespace trireme
