// SPDX-License-Identifier: GPL-3.0-or-later
//
// SASLprep (RFC 4013): the normal form of a password before SCRAM derives keys from it, so that one
// password typed on two keyboards is one password. As PostgreSQL and libpq use it: a password that
// is not valid UTF-8, or that SASLprep prohibits, is used as its raw bytes.
//
// Done by libidn (Unicode 3.2 tables, as the RFC says) when the build has it. Without it ASCII
// passwords, which SASLprep never changes, work all the same; others are used as raw bytes and
// match a verifier that PostgreSQL made only when they already were in normal form.
#pragma once

#include <string_view>

#include "auth/crypto.h"

namespace trireme {

// Whether this build normalises passwords beyond ASCII.
bool SaslprepAvailable();

SecretText Saslprep(std::string_view password);

}  // namespace trireme
