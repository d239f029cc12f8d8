// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/nearest.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"

namespace trireme {
namespace {

constexpr size_t kNameBytesMax = 64;  // longer words are not typing mistakes

// Optimal string alignment distance, by rows.
size_t EditCount(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), previous(b.size() + 1), current(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, replace});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) current[j] = std::min(current[j], before[j - 2] + 1);
    }
    std::swap(before, previous);
    std::swap(previous, current);
  }
  return previous[b.size()];
}

}  // namespace

std::optional<std::string> NearestName(std::string_view word,
                                       std::span<const std::string> candidates) {
  if (word.size() > kNameBytesMax) return std::nullopt;
  std::optional<std::string> nearest;
  size_t fewest = 0;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kNameBytesMax) continue;
    const size_t allowed = std::max<size_t>(1, std::max(word.size(), candidate.size()) / 3);
    const size_t edits = EditCount(word, candidate);
    if (edits > allowed || (nearest && edits >= fewest)) continue;
    nearest = candidate;
    fewest = edits;
  }
  return nearest;
}

std::string DidYouMean(std::string_view word, std::span<const std::string> candidates) {
  const std::optional<std::string> nearest = NearestName(word, candidates);
  return nearest ? absl::StrCat("; did you mean \"", *nearest, "\"?") : "";
}

}  // namespace trireme
