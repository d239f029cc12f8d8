// SPDX-License-Identifier: GPL-3.0-or-later
//
// The table of every option. To add one: a member in config/config.h, a line in config/fields.cc,
// then regenerate docs/ with config_docs. Loader, printer, schema and documentation follow.
#pragma once

#include "config/section.h"

namespace trireme {

template <>
const Section<Config>& SectionOf();
template <>
const Section<ListenerConfig>& SectionOf();
template <>
const Section<CoresConfig>& SectionOf();
template <>
const Section<SharingConfig>& SectionOf();
template <>
const Section<StorageConfig>& SectionOf();
template <>
const Section<StorageDatabaseConfig>& SectionOf();
template <>
const Section<UserConfig>& SectionOf();
template <>
const Section<PoolConfig>& SectionOf();
template <>
const Section<RouteConfig>& SectionOf();
template <>
const Section<LimitsConfig>& SectionOf();
template <>
const Section<TimeoutsConfig>& SectionOf();
template <>
const Section<LogConfig>& SectionOf();
template <>
const Section<ConsoleConfig>& SectionOf();

}  // namespace trireme
