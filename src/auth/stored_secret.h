// SPDX-License-Identifier: GPL-3.0-or-later
//
// What is known about a user's password, in the forms pg_authid.rolpassword and PgBouncer's
// auth_file use:
//
//   md5<32 hex digits>                                        an md5 hash
//   SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>  a SCRAM verifier
//   anything else                                             the password itself
//
// As in PostgreSQL, a text of another shape after "md5" is a password. Unlike PostgreSQL, a text
// that starts as a SCRAM verifier and is not one is an error: nobody's password looks like that,
// and a login that silently never works helps nobody. Pure; any thread.
#pragma once

#include <string_view>
#include <variant>

#include "auth/crypto.h"
#include "auth/md5.h"
#include "auth/scram_keys.h"
#include "base/result.h"

namespace trireme {

// No secret known: unknown users, and users whom no password lets in.
struct NoSecret {
  bool operator==(const NoSecret&) const = default;
};

struct PlaintextSecret {
  SecretText password;
};

using StoredSecret = std::variant<NoSecret, PlaintextSecret, Md5Hash, ScramVerifier>;

// The empty text is NoSecret: PostgreSQL refuses empty passwords everywhere. Errors never quote the
// text.
Result<StoredSecret> ParseStoredSecret(std::string_view text);

// Salt of any length; iterations 1 to kScramIterationsMax.
Result<ScramVerifier> ParseScramVerifier(std::string_view text);

}  // namespace trireme
