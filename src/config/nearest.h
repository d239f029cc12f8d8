// SPDX-License-Identifier: GPL-3.0-or-later
//
// "Did you mean …?": the valid name nearest to the one that was written.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace trireme {

// The candidate with the fewest edits (insert, delete, replace, swap neighbours), the first of
// equals; nothing when even that one differs in more than a third of the longer name.
std::optional<std::string> NearestName(std::string_view word,
                                       std::span<const std::string> candidates);

// `; did you mean "size"?`, or "" when nothing is near.
std::string DidYouMean(std::string_view word, std::span<const std::string> candidates);

}  // namespace trireme
