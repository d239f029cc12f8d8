// SPDX-License-Identifier: GPL-3.0-or-later
//
// The words the configuration, the console and the log use for each enumerator of config/config.h.
#pragma once

#include <span>
#include <string_view>

#include "config/config.h"

namespace trireme {

template <typename Enum>
struct EnumName {
  Enum value;
  std::string_view name;
};

// Every enumerator with its name, in the order of declaration.
template <typename Enum>
std::span<const EnumName<Enum>> EnumNames();

template <>
std::span<const EnumName<AuthMethod>> EnumNames();
template <>
std::span<const EnumName<PoolMode>> EnumNames();
template <>
std::span<const EnumName<OnSessionState>> EnumNames();
template <>
std::span<const EnumName<ServerProtocol>> EnumNames();
template <>
std::span<const EnumName<ReplicationPolicy>> EnumNames();
template <>
std::span<const EnumName<ResetPolicy>> EnumNames();
template <>
std::span<const EnumName<Placement>> EnumNames();
template <>
std::span<const EnumName<Sharing>> EnumNames();
template <>
std::span<const EnumName<VictimChoice>> EnumNames();
template <>
std::span<const EnumName<LogFormat>> EnumNames();
template <>
std::span<const EnumName<LogLevel>> EnumNames();

// "transaction", "scram-sha-256", …
template <typename Enum>
std::string_view NameOf(Enum value) {
  return EnumNames<Enum>()[static_cast<size_t>(value)].name;
}

}  // namespace trireme
