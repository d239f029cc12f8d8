// SPDX-License-Identifier: GPL-3.0-or-later
//
// What is asked of the table of options as a whole.
#include "config/section.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "config/fields.h"
#include "config/nearest.h"

namespace trireme {

const Catalogue& AllSections() {
  static const auto& catalogue = *new Catalogue([] {
    Catalogue all;
    Object<Config>().Describe(all);
    return all;
  }());
  return catalogue;
}

std::string UnknownKeyAdvice(std::string_view key, std::span<const std::string> section_keys) {
  struct Place {
    const SectionView& section;
    const OptionView& option;
    std::string FullName() const {
      const std::string_view dot = section.path.empty() ? "" : ".";
      return absl::StrCat(ToAbsl(section.path), ToAbsl(dot), ToAbsl(option.info.key));
    }
  };
  const auto is_here = [&](const Place& place) {
    return std::find(section_keys.begin(), section_keys.end(), place.option.info.key) !=
           section_keys.end();
  };
  std::optional<Place> pgbouncer;
  std::optional<Place> elsewhere;
  for (const SectionView& section : AllSections().sections) {
    for (const OptionView& option : section.options) {
      const Place place{section, option};
      const bool better = !pgbouncer || (is_here(place) && !is_here(*pgbouncer));
      if (option.info.pgbouncer == key && better) pgbouncer.emplace(place);
      // The shorter the path, the more it is for everybody.
      const bool wider = !elsewhere || section.path.size() < elsewhere->section.path.size();
      if (option.info.key == key && wider) elsewhere.emplace(place);
    }
  }
  if (pgbouncer) {
    return absl::StrCat("; what PgBouncer calls ", ToAbsl(key), " is \"", pgbouncer->FullName(),
                        "\" here");
  }
  const std::string near = DidYouMean(key, section_keys);
  if (!near.empty() || !elsewhere) return near;
  return absl::StrCat("; did you mean \"", elsewhere->FullName(), "\"?");
}

std::string RowText(const Json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string text;
  for (const Json& element : value) {
    absl::StrAppend(&text, text.empty() ? "" : ",", RowText(element));
  }
  return text;
}

}  // namespace trireme
