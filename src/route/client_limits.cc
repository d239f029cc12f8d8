// SPDX-License-Identifier: GPL-3.0-or-later
#include "route/client_limits.h"

namespace trireme {
namespace {

using Source = TimeLimit::Source;

TimeLimit Override(TimeLimit limit, const std::optional<Duration>& own, Source source) {
  return own ? TimeLimit{*own, source} : limit;
}

}  // namespace

ClientLimits ClientLimits::Of(const Config& config, const RouteConfig& route,
                              const UserConfig& user) {
  const PoolConfig& pool = route.pool;
  const auto of_pool = [](Duration after, const std::optional<Duration>& own) {
    return Override({after, Source::kRoute}, own, Source::kUser);
  };
  const TimeLimit idle = Override({config.timeouts.client_idle, Source::kEverybody},
                                  route.client_idle_timeout, Source::kRoute);
  ClientLimits limits{.wait = of_pool(pool.wait_timeout, user.wait_timeout),
                      .wait_notify = pool.wait_notify,
                      .query = of_pool(pool.query_timeout, user.query_timeout),
                      .transaction = of_pool(pool.transaction_timeout, user.transaction_timeout),
                      .idle_in_transaction = of_pool(pool.idle_in_transaction_timeout,
                                                     user.idle_in_transaction_timeout),
                      .idle = Override(idle, user.client_idle_timeout, Source::kUser)};
  for (const TimeLimit& limit :
       {limits.query, limits.transaction, limits.idle_in_transaction, limits.idle}) {
    const bool shorter = limits.shortest == 0s || limit.after < limits.shortest;
    if (limit.after > 0s && shorter) limits.shortest = limit.after;
  }
  return limits;
}

}  // namespace trireme
