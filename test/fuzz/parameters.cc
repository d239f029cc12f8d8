// SPDX-License-Identifier: GPL-3.0-or-later
//
// wire/parameters.h, wire/parameter_set.h, session/parameters.h: session parameters as values, as
// sets, and as the SQL that sets them.
//
//   input:   pairs until the end: set 1 | name, zero byte | value, zero byte
//            set 0 = what a client wants, 1 = what a backend has, 2 = its baseline; +4 = removed
//
// Properties: whatever a name and a value hold, SET and RESET are one statement that names this
// parameter and, under either setting of standard_conforming_strings and in client encodings whose
// characters may end in a backslash, no byte of the value is read as SQL; where the encoding embeds
// ASCII the value read is the value given. Sets behave as a map without case, and equal sets have
// equal hashes. After the changes a backend needs, none are left.
#include "wire/parameters.h"

#include <array>
#include <map>

#include "session/parameters.h"
#include "test/fuzz/input.h"
#include "wire/command.h"
#include "wire/parameter_set.h"
#include "wire/reader.h"

namespace trireme::fuzz {
namespace {

// How a server reads SQL text.
struct Reading {
  bool standard_conforming_strings;
  bool wide;  // a byte above 127 begins a character of two bytes, as in SJIS
};

// Reads `SET name TO value, ...;` as PostgreSQL's scanner does.
class SqlReader {
 public:
  SqlReader(std::string_view sql, Reading reading) : rest_(sql), reading_(reading) {}

  void Expect(std::string_view text) {
    Check(rest_.starts_with(text), "only the expected SQL");
    rest_.remove_prefix(text.size());
  }
  bool Take(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }
  void End() const { Check(rest_.empty(), "nothing behind the statement"); }

  std::string Name() {
    std::string name;
    do {
      if (!name.empty() || dotted_) name += '.';
      dotted_ = true;
      name += Quoted('"', false);
    } while (Take("."));
    return name;
  }

  std::string Literal() {
    const bool escapes = Take("E");
    return Quoted('\'', escapes || !reading_.standard_conforming_strings);
  }

 private:
  // A text up to its closing quote; doubled quotes, and escapes where there are any.
  std::string Quoted(char quote, bool escapes) {
    Expect(std::string(1, quote));
    std::string text;
    while (!rest_.empty()) {
      const char c = TakeByte();
      if (reading_.wide && static_cast<unsigned char>(c) > 127 && !rest_.empty() &&
          static_cast<unsigned char>(rest_.front()) >= 0x40) {
        text += c;
        text += TakeByte();
      } else if (c == quote) {
        if (!Take(std::string(1, quote))) return text;
        text += quote;
      } else if (c == '\\' && escapes) {
        Check(!rest_.empty(), "an escape is complete");
        const char escaped = TakeByte();
        Check(escaped == '\\' || escaped == 'x', "only escapes that were meant");
        if (escaped == 'x') Expect("5C");
        text += '\\';
      } else {
        text += c;
      }
    }
    Broken("a quoted text ends");
  }

  char TakeByte() {
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }

  std::string_view rest_;
  const Reading reading_;
  bool dotted_ = false;
};

constexpr std::array<Reading, 4> kReadings = {
    {{true, false}, {false, false}, {true, true}, {false, true}}};

std::string NameList(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) {
    if (!list.empty()) list += ", ";
    AppendIdentifier(list, name);
  }
  return list;
}

void CheckSet(ParameterView parameter) {
  std::string sql = "-";
  if (!AppendSet(sql, parameter)) {
    CheckEqual(sql, "-", "nothing is appended for what cannot be set");
    return;
  }
  const bool is_list = EqualsIgnoreCase(parameter.name, "search_path") ||
                       EqualsIgnoreCase(parameter.name, "temp_tablespaces");
  for (const Reading reading : kReadings) {
    SqlReader reader(std::string_view(sql).substr(1), reading);
    reader.Expect("SET ");
    const std::string name = reader.Name();
    reader.Expect(" TO ");
    std::vector<std::string> values;
    do {
      values.push_back(reader.Literal());
    } while (reader.Take(", "));
    reader.Expect(";");
    reader.End();
    if (reading.wide) continue;
    CheckEqual(name, parameter.name, "SET names the parameter");
    if (!is_list) {
      Check(values.size() == 1, "one value");
      CheckEqual(values[0], parameter.value, "the value is what was given");
    } else if (values.size() > 1 || values[0] != parameter.value) {
      std::string again = "-";
      Check(AppendSet(again, {parameter.name, NameList(values)}), "names quoted are a list");
      CheckEqual(again, sql, "names taken apart and quoted are the same list");
    }
  }
}

void CheckReset(std::string_view name) {
  std::string sql;
  AppendReset(sql, name);
  SqlReader reader(sql, kReadings[0]);
  reader.Expect("RESET ");
  CheckEqual(reader.Name(), name, "RESET names the parameter");
  reader.Expect(";");
  reader.End();
}

// The set, and what it must be.
struct Modelled {
  ParameterSet set;
  std::map<std::string, std::string> model;  // by lower-case name

  void Apply(std::string_view name, std::string_view value, uint8_t removed) {
    const std::string key = AsciiLower(name);
    if (removed != 0) {
      Check(set.Remove(name) == (model.erase(key) > 0), "what is there can be removed");
    } else {
      const auto found = model.find(key);
      const bool changes = found == model.end() || found->second != value;
      Check(set.Set(name, value) == changes, "Set tells whether it changed something");
      model[key] = value;
    }
  }

  void CheckSame() const {
    Check(set.entries().size() == model.size(), "as many entries as were set");
    ParameterSet again;
    for (const auto& [name, value] : model) {
      const std::string* found = set.Find(name);
      Check(found != nullptr && *found == value, "what was set is found");
      again.Set(name, value);
    }
    Check(again == set && again.hash() == set.hash(), "equal sets have equal hashes");
    for (size_t i = 1; i < set.entries().size(); ++i) {
      Check(CompareNames(set.entries()[i - 1].name, set.entries()[i].name) < 0, "sorted by name");
    }
  }
};

void Run(Input input) {
  std::array<Modelled, 3> sets;
  MessageReader pairs(input.Rest());
  while (true) {
    const uint8_t which = pairs.Byte();
    const std::string_view name = pairs.String();
    const std::string_view value = pairs.String();
    if (!pairs.ok()) break;
    CheckSet({name, value});
    CheckReset(name);
    sets[(which & 3) % 3].Apply(name, value, which & 4);
  }
  for (const Modelled& set : sets) set.CheckSame();

  const ParameterSet& wish = sets[0].set;
  ParameterSet has = sets[1].set;
  const ParameterSet& baseline = sets[2].set;
  const std::string changes = ParameterChanges({.wish = wish, .has = has, .baseline = baseline});
  Check(changes.empty() || changes.ends_with(';'), "changes are whole statements");
  ApplyChanges(wish, baseline, has);
  CheckEqual(ParameterChanges({.wish = wish, .has = has, .baseline = baseline}), "",
             "after the changes none are left");
  ForgetUnreported(baseline, has);
  ApplyChanges(wish, baseline, has);
  for (const ParameterSet::Entry& entry : wish.entries()) {
    const std::string* now = has.Find(entry.name);
    Check(now != nullptr && *now == entry.value, "a backend gets what the client wants");
  }
}

}  // namespace
}  // namespace trireme::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  trireme::fuzz::Run({data, size});
  return 0;
}
