// SPDX-License-Identifier: GPL-3.0-or-later
#include "auth/saslprep.h"

#include <algorithm>

#ifdef TRIREME_HAVE_LIBIDN
#include <stringprep.h>
#endif

namespace trireme {
#ifdef TRIREME_HAVE_LIBIDN

namespace {

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<int8_t>(c) >= 0; });
}

}  // namespace

bool SaslprepAvailable() { return true; }

SecretText Saslprep(std::string_view password) {
  // libidn reads up to a zero byte; PostgreSQL passwords cannot contain one.
  if (IsAscii(password) || password.find('\0') != std::string_view::npos) {
    return SecretText(password);
  }
  // NFKC can make a text longer: one code point becomes at most 18 (U+FDFA).
  std::string buffer(password);
  buffer.resize(password.size() * 18 + 1, '\0');
  const int code =
      stringprep(buffer.data(), buffer.size(), STRINGPREP_NO_UNASSIGNED, stringprep_saslprep);
  const std::string_view prepared(buffer.c_str());
  // Nothing left (only characters that map to nothing) counts as prohibited.
  SecretText result(code == STRINGPREP_OK && !prepared.empty() ? prepared : password);
  SecureZero(buffer);
  return result;
}

#else

bool SaslprepAvailable() { return false; }

SecretText Saslprep(std::string_view password) { return SecretText(password); }

#endif

}  // namespace trireme
