// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/schema.h"

#include "absl/strings/str_replace.h"
#include "config/fields.h"

namespace trireme {
namespace {

constexpr std::string_view kIntroduction = R"(# Configuration

`trireme trireme.json` reads one JSON file. Comments (`//` and `/* */`) are allowed. Unknown keys,
duplicate keys and values out of range are errors; all of them are reported at once, with line and
column. `trireme --check trireme.json` only validates. `trireme --print-config trireme.json` prints the
effective configuration with every default; secrets are printed as `***`, so put them back before you
use the output.

A small configuration:

```json
{
  "$schema": "./config.schema.json",
  "listen": [{"host": "127.0.0.1"}, {"unix_socket_dir": "/run/trireme"}],
  "storages": {"main": {"hosts": ["127.0.0.1:5432"]}},
  "users": {"app": {"secret": {"env": "APP_PASSWORD"}}},
  "routes": [{"storage": "main"}]
}
```

* **Durations** are strings with units: `"500ms"`, `"30s"`, `"1h30min"` (`ns`, `us`, `ms`, `s`, `min` or
  `m`, `h`, `d`). Zero is `0` or `"0"`; any other bare number is refused.
* **Sizes** are `"16KiB"`, `"1MiB"`, `"64kB"` (`B`, `kB`, `MB`, `GB` count in thousands; `KiB`, `MiB`,
  `GiB` in 1024s), or a bare number of bytes.
* **Secrets** are a password, an `md5…` hash or a `SCRAM-SHA-256$…` verifier as in `pg_authid`, or where to
  find one of these: `{"file": "path"}` (the first line; a relative path starts at the configuration's
  directory) or `{"env": "NAME"}`.
* **Routes** have a precedence, not an order: an exact database and user first, then an exact database
  for any user (`"*"`), then any database for an exact user, then any.

For completion and validation in an editor, refer to `config.schema.json` as above. This page and that file are
generated from the same table that the program reads its options with (`trireme --print-options`,
`trireme --print-schema`).
)";

// A cell ends at "|" and at the line's end.
std::string Cell(std::string_view text) {
  return absl::StrReplaceAll(ToAbsl(text),
                             {{"|", "\\|"}, {"\n", " "}, {"<", "&lt;"}, {">", "&gt;"}});
}

std::string Anchor(std::string_view path) {
  std::string anchor;
  for (const char c : path) {
    if ((c >= 'a' && c <= 'z') || c == '_') anchor.push_back(c);
  }
  return anchor;
}

std::string DefaultCell(const OptionView& option) {
  if (option.info.presence == Presence::kRequired) return "required";
  if (!option.section_path.empty()) {
    return absl::StrCat("see [", option.section_path, "](#", Anchor(option.section_path), ")");
  }
  return option.default_text.empty() ? "" : absl::StrCat("`", Cell(option.default_text), "`");
}

std::string FormCell(const OptionView& option) {
  const bool linked = option.info.presence == Presence::kRequired && !option.section_path.empty();
  if (!linked) return Cell(option.form);
  return absl::StrCat("[", Cell(option.form), "](#", Anchor(option.section_path), ")");
}

std::string Table(const SectionView& section) {
  std::string table =
      "| key | value | default | meaning | PgBouncer |\n| --- | --- | --- | --- | --- |\n";
  for (const OptionView& option : section.options) {
    const std::string pgbouncer =
        option.info.pgbouncer.empty() ? "" : absl::StrCat("`", ToAbsl(option.info.pgbouncer), "`");
    absl::StrAppend(&table, "| `", ToAbsl(option.info.key), "` | ", FormCell(option), " | ",
                    DefaultCell(option), " | ", Cell(option.info.description), " | ", pgbouncer,
                    " |\n");
  }
  return table;
}

}  // namespace

std::string JsonSchema() {
  SchemaBuilder schemas;
  Json schema{{"$schema", "http://json-schema.org/draft-07/schema#"},
              {"title", "Trireme configuration"}};
  schema.update(Object<Config>().Definition(schemas));
  schema["definitions"] = schemas.TakeDefinitions();
  return schema.dump(2) + "\n";
}

std::string OptionsMarkdown() {
  std::string page(kIntroduction);
  for (const SectionView& section : AllSections().sections) {
    const std::string_view title = section.path.empty() ? "The top level" : section.path;
    const std::string heading =
        section.path.empty() ? std::string(title) : absl::StrCat("`", ToAbsl(title), "`");
    absl::StrAppend(&page, "\n<a id=\"", Anchor(section.path), "\"></a>\n## ", heading, "\n\n",
                    ToAbsl(section.description), "\n\n", Table(section));
  }
  return page;
}

std::string OptionsTable() {
  std::string table = "| option | value | default | meaning |\n| --- | --- | --- | --- |\n";
  for (const SectionView& section : AllSections().sections) {
    const std::string_view dot = section.path.empty() ? "" : ".";
    for (const OptionView& option : section.options) {
      const bool deeper = !option.section_path.empty();  // its own rows follow
      if (deeper && option.info.presence != Presence::kRequired) continue;
      absl::StrAppend(&table, "| `", ToAbsl(section.path), ToAbsl(dot), ToAbsl(option.info.key),
                      "` | ", Cell(option.form), " | ", DefaultCell(option), " | ",
                      Cell(option.info.description), " |\n");
    }
  }
  return table;
}

std::optional<TextRange> FindOptionsTable(std::string_view page) {
  const size_t begin_mark = page.find(kOptionsBegin);
  if (begin_mark == page.npos) return std::nullopt;
  const size_t begin = begin_mark + kOptionsBegin.size();
  const size_t end = page.find(kOptionsEnd, begin);
  if (end == page.npos) return std::nullopt;
  return TextRange{.begin = begin, .size = end - begin};
}

}  // namespace trireme
