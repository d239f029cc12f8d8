// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/names.h"

namespace trireme {
namespace {

constexpr EnumName<AuthMethod> kAuthMethods[] = {
    {AuthMethod::kTrust, "trust"},
    {AuthMethod::kReject, "reject"},
    {AuthMethod::kPassword, "password"},
    {AuthMethod::kMd5, "md5"},
    {AuthMethod::kScramSha256, "scram-sha-256"},
};
constexpr EnumName<OnSessionState> kOnSessionStates[] = {
    {OnSessionState::kPin, "pin"},
    {OnSessionState::kReject, "reject"},
    {OnSessionState::kAllow, "allow"},
};
constexpr EnumName<PoolMode> kPoolModes[] = {
    {PoolMode::kSession, "session"},
    {PoolMode::kTransaction, "transaction"},
    {PoolMode::kStatement, "statement"},
};
constexpr EnumName<ServerProtocol> kServerProtocols[] = {
    {ServerProtocol::k30, "3.0"},
    {ServerProtocol::k32, "3.2"},
};
constexpr EnumName<ReplicationPolicy> kReplicationPolicies[] = {
    {ReplicationPolicy::kAllow, "allow"},
    {ReplicationPolicy::kRefuse, "refuse"},
};
constexpr EnumName<ResetPolicy> kResetPolicies[] = {
    {ResetPolicy::kSession, "session"},
    {ResetPolicy::kWhenDirty, "when_dirty"},
    {ResetPolicy::kAlways, "always"},
};
constexpr EnumName<Placement> kPlacements[] = {
    {Placement::kLeastLoaded, "least_loaded"},
    {Placement::kKernel, "kernel"},
};
constexpr EnumName<Sharing> kSharings[] = {
    {Sharing::kSteal, "steal"},
    {Sharing::kIsolated, "isolated"},
    {Sharing::kSharedMutex, "shared_mutex"},
};
constexpr EnumName<VictimChoice> kVictimChoices[] = {
    {VictimChoice::kMostIdle, "most_idle"},
    {VictimChoice::kNearest, "nearest"},
    {VictimChoice::kRandom, "random"},
};
constexpr EnumName<LogFormat> kLogFormats[] = {
    {LogFormat::kText, "text"},
    {LogFormat::kJson, "json"},
};
constexpr EnumName<LogLevel> kLogLevels[] = {
    {LogLevel::kDebug, "debug"},
    {LogLevel::kInfo, "info"},
    {LogLevel::kWarning, "warning"},
    {LogLevel::kError, "error"},
};

// NameOf() indexes by value.
template <typename Enum, size_t N>
consteval bool InOrder(const EnumName<Enum> (&names)[N]) {
  for (size_t i = 0; i < N; ++i) {
    if (static_cast<size_t>(names[i].value) != i) return false;
  }
  return true;
}
static_assert(InOrder(kAuthMethods) && InOrder(kOnSessionStates) && InOrder(kPoolModes) &&
              InOrder(kServerProtocols) && InOrder(kReplicationPolicies) &&
              InOrder(kResetPolicies) && InOrder(kPlacements) && InOrder(kSharings) &&
              InOrder(kVictimChoices) && InOrder(kLogFormats) && InOrder(kLogLevels));

}  // namespace

template <>
std::span<const EnumName<AuthMethod>> EnumNames() {
  return kAuthMethods;
}
template <>
std::span<const EnumName<OnSessionState>> EnumNames() {
  return kOnSessionStates;
}
template <>
std::span<const EnumName<ServerProtocol>> EnumNames() {
  return kServerProtocols;
}
template <>
std::span<const EnumName<PoolMode>> EnumNames() {
  return kPoolModes;
}
template <>
std::span<const EnumName<ReplicationPolicy>> EnumNames() {
  return kReplicationPolicies;
}
template <>
std::span<const EnumName<ResetPolicy>> EnumNames() {
  return kResetPolicies;
}
template <>
std::span<const EnumName<Placement>> EnumNames() {
  return kPlacements;
}
template <>
std::span<const EnumName<Sharing>> EnumNames() {
  return kSharings;
}
template <>
std::span<const EnumName<VictimChoice>> EnumNames() {
  return kVictimChoices;
}
template <>
std::span<const EnumName<LogFormat>> EnumNames() {
  return kLogFormats;
}
template <>
std::span<const EnumName<LogLevel>> EnumNames() {
  return kLogLevels;
}

}  // namespace trireme
