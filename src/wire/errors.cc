// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire/errors.h"

#include "wire/reader.h"

namespace trireme {
namespace {

// Five digits or capital letters; anything else would confuse whoever reads it next.
bool IsSqlstate(std::string_view text) {
  if (text.size() != 5) return false;
  for (const char c : text) {
    if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z')) return false;
  }
  return true;
}

}  // namespace

PgError ParseErrorBody(Bytes body) {
  PgError error{.message = "error without a text"};
  bool untranslated = false;
  MessageReader reader(body);
  while (const char code = static_cast<char>(reader.Byte())) {
    const std::string_view text = reader.String();
    if (!reader.ok()) break;
    switch (code) {
      case 'V':
        error.severity = text;
        untranslated = true;
        break;
      case 'S':
        if (!untranslated) error.severity = text;
        break;
      case 'C':
        if (IsSqlstate(text)) error.sqlstate = text;
        break;
      case 'M':
        error.message = text;
        break;
      case 'D':
        error.detail = text;
        break;
      case 'H':
        error.hint = text;
        break;
      default:  // where, file, line, constraint ...: not ours to keep
        break;
    }
  }
  return error;
}

std::string ToString(const PgError& error) {
  std::string text = error.severity + " " + error.sqlstate + ": " + error.message;
  if (!error.detail.empty() || !error.hint.empty()) {
    text += " (" + error.detail;
    if (!error.detail.empty() && !error.hint.empty()) text += "; ";
    text += error.hint + ")";
  }
  return text;
}

}  // namespace trireme
