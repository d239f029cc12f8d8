// SPDX-License-Identifier: GPL-3.0-or-later
#include "test/sim/sim_sql.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "wire/command.h"
#include "wire/parameters.h"

namespace trireme::sim {
namespace {

using Kind = SimStatement::Kind;

bool Is(const Token& token, std::string_view word) {
  return token.kind == Token::Kind::kWord && EqualsIgnoreCase(token.text, word);
}

PgError SyntaxError(const Token& token) {
  return {.sqlstate = sqlstate::kSyntaxError,
          .message = token.kind == Token::Kind::kEnd
                         ? "syntax error at end of input"
                         : "syntax error at or near \"" + std::string(token.text) + "\""};
}

// The text of an E'...' literal, its quotes already undoubled.
std::string Unescape(const std::string& text) {
  std::string plain;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\') {
      plain += text[at];
    } else if (text.compare(at, 4, "\\x5C") == 0) {
      plain += '\\';
      at += 3;
    } else if (++at < text.size()) {
      plain += text[at];
    }
  }
  return plain;
}

// How the server writes a name into a list: quoted unless it is plain.
std::string QuotedName(const std::string& name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  if (!name.empty() && std::all_of(name.begin(), name.end(), plain) &&
      !(name[0] >= '0' && name[0] <= '9')) {
    return name;
  }
  std::string quoted;
  AppendIdentifier(quoted, name);
  return quoted;
}

// Reads one statement after the other; the first token that does not fit ends it.
class Parser {
 public:
  explicit Parser(std::string_view sql) : sql_(sql), tokens_(sql) { Advance(); }

  PgResult<std::vector<SimStatement>> Run() {
    std::vector<SimStatement> statements;
    while (token_.kind != Token::Kind::kEnd) {
      if (TakeSymbol(";")) continue;
      SimStatement statement;
      if (!Statement(statement)) return error_.value_or(SyntaxError(token_));
      statements.push_back(std::move(statement));
      if (token_.kind != Token::Kind::kEnd && !TakeSymbol(";")) return SyntaxError(token_);
    }
    return statements;
  }

 private:
  void Advance() { token_ = tokens_.Next(); }

  bool TakeWord(std::string_view word) {
    if (!Is(token_, word)) return false;
    Advance();
    return true;
  }

  bool TakeSymbol(std::string_view symbol) {
    if (token_.kind != Token::Kind::kSymbol || token_.text != symbol) return false;
    Advance();
    return true;
  }

  bool TakeNumber(uint32_t& number) {
    if (token_.kind != Token::Kind::kNumber) return false;
    std::from_chars(token_.text.data(), token_.text.data() + token_.text.size(), number);
    Advance();
    return true;
  }

  bool TakeString(std::string& text) {
    const bool escaped = TakeWord("E");
    if (token_.kind != Token::Kind::kString) return false;
    text = escaped ? Unescape(TokenText(token_)) : TokenText(token_);
    Advance();
    return true;
  }

  // name, "name", "extension"."name"
  bool TakeName(std::string& name) {
    for (;;) {
      if (token_.kind != Token::Kind::kWord && token_.kind != Token::Kind::kQuotedIdentifier) {
        return false;
      }
      name += TokenText(token_);
      Advance();
      if (!TakeSymbol(".")) return true;
      name += '.';
    }
  }

  bool Statement(SimStatement& s) {
    if (TakeWord("SELECT")) {
      if (Is(token_, "pg_catalog")) {
        return Rest().starts_with("pg_catalog.set_config(") ? SetConfigClause(s) : Question(s);
      }
      if (Is(token_, "EXISTS")) return Question(s);
      s.kind = Kind::kSelect;
    } else if (TakeWord("BEGIN")) {
      s.kind = Kind::kBegin;
    } else if (TakeWord("COMMIT")) {
      s.kind = Kind::kCommit;
    } else if (TakeWord("ROLLBACK")) {
      s.kind = Kind::kRollback;
    } else if (TakeWord("SET")) {
      if (!SetClause(s)) return false;
    } else if (TakeWord("RESET")) {
      s.kind = Is(token_, "ALL") ? Kind::kResetAll : Kind::kReset;
      if (!TakeName(s.name)) return false;
    } else if (TakeWord("SHOW")) {
      s.kind = Kind::kShow;
      if (!TakeName(s.name)) return false;
    } else if (TakeWord("DISCARD")) {
      s.kind = Kind::kDiscardAll;
      if (!TakeWord("ALL")) return false;
    } else if (TakeWord("DEALLOCATE")) {
      s.kind = Kind::kDeallocate;
      if (!TakeWord("ALL") && !TakeName(s.name)) return false;
    } else if (TakeWord("CREATE")) {
      s.kind = Kind::kCreateTemp;
      if (!TakeWord("TEMP") || !TakeWord("TABLE") || !TakeName(s.name)) return false;
    } else if (TakeWord("COPY")) {
      return CopyClause(s);
    } else if (TakeWord("LISTEN")) {
      s.kind = Kind::kListen;
      if (!TakeName(s.name)) return false;
    } else if (TakeWord("UNLISTEN")) {
      s.kind = Kind::kUnlisten;
      if (!TakeName(s.name)) return false;
    } else if (TakeWord("NOTIFY")) {
      s.kind = Kind::kNotify;
      if (!TakeName(s.name) || !TakeSymbol(",") || !TakeString(s.value)) return false;
    } else {
      return false;
    }
    return Clauses(s);
  }

  // The text from this token on.
  std::string_view Rest() const {
    return sql_.substr(static_cast<size_t>(token_.text.data() - sql_.data()));
  }

  bool Question(SimStatement& s) {
    s.kind = Kind::kQuestion;
    s.value = Rest();
    while (token_.kind != Token::Kind::kEnd) Advance();
    return true;
  }

  bool SetClause(SimStatement& s) {
    s.kind = Kind::kSet;
    s.local = TakeWord("LOCAL");
    if (!TakeName(s.name) || !(TakeWord("TO") || TakeSymbol("="))) return false;
    std::vector<std::string> values;
    do {
      std::string value;
      if (!TakeString(value)) return false;
      values.push_back(std::move(value));
    } while (TakeSymbol(","));
    if (EqualsIgnoreCase(s.name, "search_path")) {
      for (std::string& value : values) {
        s.value += (s.value.empty() ? "" : ", ") + QuotedName(value);
      }
      return true;
    }
    s.value = values[0];
    return values.size() == 1;
  }

  // As Trireme sets a list, to the letter; its row is nobody's, and is not given.
  bool SetConfigClause(SimStatement& s) {
    s.kind = Kind::kSet;
    std::string function;
    return TakeName(function) && TakeSymbol("(") && TakeString(s.name) && TakeSymbol(",") &&
           TakeString(s.value) && TakeSymbol(",") && TakeWord("false") && TakeSymbol(")");
  }

  bool CopyClause(SimStatement& s) {
    if (!Clauses(s)) return false;
    if (TakeWord("FROM")) {
      s.kind = Kind::kCopyFrom;
      if (!TakeWord("STDIN")) return false;
    } else {
      s.kind = Kind::kCopyTo;
      if (!TakeWord("TO") || !TakeWord("STDOUT")) return false;
    }
    return Clauses(s);
  }

  bool Clauses(SimStatement& s) {
    for (;;) {
      if (TakeWord("tag")) {
        if (!TakeSymbol("(")) return false;
        if (Is(token_, "$1")) {
          s.tag = "$1";
          Advance();
        } else if (!TakeString(s.tag)) {
          return false;
        }
        if (!TakeSymbol(")")) return false;
      } else if (TakeWord("rows")) {
        if (!TakeNumber(s.rows)) return false;
      } else if (TakeWord("size")) {
        if (!TakeNumber(s.size)) return false;
      } else if (TakeWord("notices")) {
        if (!TakeNumber(s.notices)) return false;
      } else if (TakeWord("sleep")) {
        uint32_t microseconds = 0;
        if (!TakeNumber(microseconds)) return false;
        s.sleep = std::chrono::microseconds(microseconds);
      } else if (TakeWord("error")) {
        if (!TakeString(s.error) || s.error.size() != 5) return false;
      } else if (TakeWord("pad")) {
        if (!PadClause(s)) return false;
      } else if (TakeWord("ON")) {
        if (!TakeWord("COMMIT") || !TakeWord("DROP")) return false;
        s.local = true;
      } else {
        return true;
      }
    }
  }

  bool PadClause(SimStatement& s) {
    std::string pad;
    if (!TakeNumber(s.pad) || !TakeString(pad)) return false;
    if (pad == Payload("pad", s.pad, s.pad)) return true;
    error_ = PgError{.sqlstate = "XX001",
                     .message = "statement " + s.tag + " arrived changed: its pad of " +
                                std::to_string(s.pad) + " bytes is not what was sent"};
    return false;
  }

  std::string_view sql_;
  CommandTokenizer tokens_;
  Token token_;
  std::optional<PgError> error_;
};

std::string Number(std::string_view clause, uint64_t number) {
  return " " + std::string(clause) + " " + std::to_string(number);
}

}  // namespace

PgResult<std::vector<SimStatement>> ParseSql(std::string_view sql) { return Parser(sql).Run(); }

std::string_view SimStatement::Command() const {
  switch (kind) {
    case Kind::kSelect:
    case Kind::kQuestion:
      return "SELECT";
    case Kind::kBegin:
      return "BEGIN";
    case Kind::kCommit:
      return "COMMIT";
    case Kind::kRollback:
      return "ROLLBACK";
    case Kind::kSet:
      return "SET";
    case Kind::kReset:
    case Kind::kResetAll:
      return "RESET";
    case Kind::kShow:
      return "SHOW";
    case Kind::kDiscardAll:
      return "DISCARD ALL";
    case Kind::kDeallocate:
      return name.empty() ? "DEALLOCATE ALL" : "DEALLOCATE";
    case Kind::kCreateTemp:
      return "CREATE TABLE";
    case Kind::kCopyFrom:
    case Kind::kCopyTo:
      return "COPY";
    case Kind::kListen:
      return "LISTEN";
    case Kind::kUnlisten:
      return "UNLISTEN";
    case Kind::kNotify:
      return "NOTIFY";
  }
  return "?";
}

std::string SimStatement::Text() const {
  std::string sql(Command());
  if (kind == Kind::kCreateTemp) sql = "CREATE TEMP TABLE";
  if (kind == Kind::kResetAll) sql = "RESET ALL";
  if (local && kind == Kind::kSet) sql += " LOCAL";
  if (!name.empty() && kind != Kind::kResetAll) {
    sql += ' ';
    AppendIdentifier(sql, name);
  }
  if (kind == Kind::kNotify) {
    sql += ", ";
    AppendLiteral(sql, value);
  }
  if (kind == Kind::kSet) {
    sql.clear();
    if (!AppendSet(sql, {name, value})) sql = "SET ; ";
    if (local) sql.insert(3, " LOCAL");
    sql.pop_back();  // ';'
  }
  if (!tag.empty()) sql += tag == "$1" ? " tag($1)" : " tag('" + tag + "')";
  if (kind == Kind::kCopyFrom) sql += " FROM STDIN";
  if (kind == Kind::kCopyTo) sql += " TO STDOUT";
  if (kind == Kind::kCreateTemp && local) sql += " ON COMMIT DROP";
  if (rows != 1) sql += Number("rows", rows);
  if (size != 0) sql += Number("size", size);
  if (notices != 0) sql += Number("notices", notices);
  if (sleep != Duration()) sql += Number("sleep", Microseconds(sleep));
  if (!error.empty()) sql += " error '" + error + "'";
  if (pad != 0) sql += Number("pad", pad) + " '" + Payload("pad", pad, pad) + "'";
  return sql;
}

uint64_t Digest64(uint64_t digest, std::string_view bytes) {
  for (const char c : bytes) digest = (digest ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return digest;
}

// Eight characters from each step of a generator that begins with tag and row.
std::string Payload(std::string_view tag, uint32_t row, uint32_t size) {
  std::string payload(size, ' ');
  uint64_t state = Digest64(kDigestStart, tag) + row * 0x9e3779b97f4a7c15u;
  for (uint32_t at = 0; at < size; at += 8) {
    state = (state ^ (state >> 29)) * 0xbf58476d1ce4e5b9u;
    state ^= state >> 32;
    // Sixteen letters from 'a' on.
    const uint64_t letters = (state & 0x0f0f0f0f0f0f0f0fu) + 0x6161616161616161u;
    std::memcpy(payload.data() + at, &letters, std::min<uint32_t>(8, size - at));
  }
  return payload;
}

std::string CompletionText(std::string_view command, std::string_view tag) {
  std::string text(command);
  if (!tag.empty()) text.append(" ").append(tag);
  return text;
}

std::optional<std::string> NormalValue(std::string_view name, std::string_view value) {
  if (value == "bad") return std::nullopt;  // no parameter likes it
  if (EqualsIgnoreCase(name, "DateStyle")) {
    static constexpr std::array<std::string_view, 4> kStyles = {"ISO, MDY", "SQL, MDY",
                                                                "German, DMY", "ISO, DMY"};
    for (const std::string_view style : kStyles) {
      if (EqualsIgnoreCase(value, style) ||
          EqualsIgnoreCase(value, style.substr(0, style.find(',')))) {
        return std::string(style);
      }
    }
    return std::nullopt;
  }
  if (EqualsIgnoreCase(name, "client_encoding")) {
    if (EqualsIgnoreCase(value, "UTF8") || EqualsIgnoreCase(value, "utf-8")) return "UTF8";
    if (EqualsIgnoreCase(value, "LATIN1")) return "LATIN1";
    return std::nullopt;
  }
  return std::string(value);
}

}  // namespace trireme::sim
