// SPDX-License-Identifier: GPL-3.0-or-later
//
// What PostgreSQL would report of a parameter that a client asks for in its startup packet, where
// the server's rule is fixed. The client is told the server's spelling before any server has seen
// its wish, and a wish in that spelling equals what a server reports: nothing has to be set ahead
// of the query.
//
//   client_encoding      aliases and spellings      utf-8, unicode → UTF8
//   DateStyle            parts merged with default  german → German, DMY
//   IntervalStyle        case                       Postgres → postgres
//   booleans             parse_bool                 TRUE, 1, y → on
//   application_name     what is not printable      ? up to PostgreSQL 15, then \xNN; 63 bytes
//   TimeZone             the spellings of UTC       utc → UTC
//
// Pure. Rules: pg_encname_tbl, check_client_encoding, check_datestyle, parse_bool,
// GUC_IS_NAME, pg_clean_ascii.
#pragma once

#include <string>

#include "wire/messages.h"
#include "wire/parameter_set.h"

namespace trireme {

// `server`: what the server reported at its login. A value that only the server understands, or
// that it would refuse, comes back as it is.
std::string ReportedValue(ParameterView wanted, const ParameterSet& server);

// The server takes the value, and then has it as ReportedValue says: nobody has to ask it. Also
// known of extra_float_digits, which is not reported, but which drivers send with every login.
bool IsSureToBeTaken(ParameterView wanted, const ParameterSet& server);

}  // namespace trireme
