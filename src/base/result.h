// SPDX-License-Identifier: GPL-3.0-or-later
//
// What can fail returns Status or Result<T>; both must be looked at. The text of a Status is
// written for the person who has to act on it: what, where, what to do.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace trireme {

using Status = absl::Status;

template <typename T>
using Result = absl::StatusOr<T>;

inline Status OkStatus() { return absl::OkStatus(); }

// absl::string_view is not std::string_view on every distribution; this is the one bridge.
inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view FromAbsl(absl::string_view text) { return {text.data(), text.size()}; }

inline Status InvalidArgument(std::string_view text) {
  return absl::InvalidArgumentError(ToAbsl(text));
}
inline Status Unavailable(std::string_view text) { return absl::UnavailableError(ToAbsl(text)); }
inline Status Internal(std::string_view text) { return absl::InternalError(ToAbsl(text)); }

}  // namespace trireme
