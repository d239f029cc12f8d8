// SPDX-License-Identifier: GPL-3.0-or-later
//
// What kind of secret a text is. The forms are those of pg_authid.rolpassword; anything else is a
// password in plain text.
#pragma once

#include <string_view>

#include "base/result.h"
#include "config/config.h"

namespace trireme {

// An error says what is malformed and never repeats the text.
Result<Secret> ParseSecret(std::string_view text);

}  // namespace trireme
