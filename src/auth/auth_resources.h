// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the logins of one core share, and how a login that failed says so. The shard owns the parts;
// both authenticators, towards clients and towards servers, use them on that core's thread.
#pragma once

#include <string>

#include "auth/crypto.h"
#include "auth/scram_key_cache.h"
#include "auth/scram_keys.h"
#include "wire/errors.h"

namespace trireme {

// All outlive the authenticators.
struct AuthResources {
  SecretRandom& random;
  ScramKeyCache& keys;
  const SaltSecret& salts;  // the same on every core
};

struct AuthFailure {
  PgError error;           // for the peer
  std::string log_detail;  // for our log only; "" = nothing to add
};

}  // namespace trireme
