// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/draw.h"

#include <array>
#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/assert.h"

namespace trireme::bench {
namespace {

constexpr double kDurationMax = 366.0 * 86400 * 1e9;

Result<double> ParseNumber(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  if (copy.empty() || *end != 0 || !std::isfinite(value)) {
    return InvalidArgument(absl::StrCat("\"", copy, "\" is not a number"));
  }
  return value;
}

Duration FromNanoseconds(double value) {
  return Duration(static_cast<int64_t>(std::min(std::max(value, 0.0), kDurationMax)));
}

}  // namespace

Result<Duration> ParseDuration(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, double>, 6> kUnits = {
      {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"min", 60e9}, {"h", 3600e9}, {"s", 1e9}}};
  if (text == "0") return Duration(0);
  for (const auto& [unit, scale] : kUnits) {
    if (!text.ends_with(unit)) continue;
    const Result<double> number = ParseNumber(text.substr(0, text.size() - unit.size()));
    if (!number.ok() || *number < 0 || *number * scale > kDurationMax) break;
    return FromNanoseconds(*number * scale);
  }
  return InvalidArgument(
      absl::StrCat("\"", ToAbsl(text), "\" is not a duration; write 250us, 5ms, 1.5s, 2min or 0"));
}

double Exponential(Random& random) { return -std::log(Unit(random)); }

double Normal(Random& random) {  // Box and Muller
  const double radius = std::sqrt(2 * Exponential(random));
  return radius * std::cos(2 * M_PI * Unit(random));
}

Result<Draw> Draw::Parse(std::string_view text) {
  Draw draw;
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const std::vector<std::string> values = colon == std::string_view::npos
                                              ? std::vector<std::string>{std::string(text)}
                                              : absl::StrSplit(ToAbsl(text.substr(colon + 1)), ',');
  size_t durations = 1, numbers = 0;
  if (colon == std::string_view::npos) {
    draw.kind_ = Kind::kConstant;
  } else if (name == "exp") {
    draw.kind_ = Kind::kExponential;
  } else if (name == "uniform") {
    draw.kind_ = Kind::kUniform, durations = 2;
  } else if (name == "lognormal") {
    draw.kind_ = Kind::kLognormal, numbers = 1;
  } else if (name == "bimodal") {
    draw.kind_ = Kind::kBimodal, durations = 2, numbers = 1;
  } else {
    return InvalidArgument(absl::StrCat("\"", ToAbsl(text),
                                        "\": expected a duration, or exp:, uniform:, lognormal: or "
                                        "bimodal: with its values"));
  }
  if (values.size() != durations + numbers) {
    return InvalidArgument(absl::StrCat("\"", ToAbsl(text), "\" needs ", durations + numbers,
                                        " values after the colon"));
  }
  for (size_t i = 0; i < durations; ++i) {
    const Result<Duration> value = ParseDuration(values[i]);
    if (!value.ok()) return value.status();
    (i == 0 ? draw.first_ : draw.second_) = static_cast<double>(value->count());
  }
  if (numbers == 1) {
    const Result<double> value = ParseNumber(values.back());
    if (!value.ok()) return value.status();
    const bool chance = draw.kind_ == Kind::kBimodal;
    if (*value < 0 || (chance && *value > 1) || *value > 100) {
      return InvalidArgument(absl::StrCat("\"", ToAbsl(text), "\": the last value must be ",
                                          chance ? "from 0 to 1" : "from 0 to 100"));
    }
    (chance ? draw.chance_ : draw.second_) = *value;
  }
  return draw;
}

Duration Draw::Next(Random& random) const {
  switch (kind_) {
    case Kind::kConstant:
      return FromNanoseconds(first_);
    case Kind::kExponential:
      return FromNanoseconds(first_ * Exponential(random));
    case Kind::kUniform:
      return FromNanoseconds(first_ + (second_ - first_) * Unit(random));
    case Kind::kLognormal:
      return FromNanoseconds(first_ * std::exp(second_ * Normal(random)));
    case Kind::kBimodal:
      return FromNanoseconds(Unit(random) < chance_ ? second_ : first_);
  }
  TRIREME_UNREACHABLE();
}

double Draw::MeanNs() const {
  switch (kind_) {
    case Kind::kConstant:
    case Kind::kExponential:
      return first_;
    case Kind::kUniform:
      return (first_ + second_) / 2;
    case Kind::kLognormal:
      return first_ * std::exp(second_ * second_ / 2);
    case Kind::kBimodal:
      return first_ * (1 - chance_) + second_ * chance_;
  }
  TRIREME_UNREACHABLE();
}

// --- Zipf: x from 1 to count; H is an integral of x^-exponent.

Zipf::Zipf(uint64_t count, double exponent) : count_(count), exponent_(exponent) {
  TRIREME_ASSERT(count > 0 && exponent >= 0);
  integral_first_ = Integral(1.5) - 1;
  integral_last_ = Integral(static_cast<double>(count) + 0.5);
  shortcut_ = 2 - Inverse(Integral(2.5) - Density(2));
}

double Zipf::Density(double x) const { return std::exp(-exponent_ * std::log(x)); }

double Zipf::Integral(double x) const {
  const double logarithm = std::log(x);
  const double power = (1 - exponent_) * logarithm;
  return (std::abs(power) > 1e-8 ? std::expm1(power) / power : 1 + power / 2) * logarithm;
}

double Zipf::Inverse(double y) const {
  const double power = std::max(y * (1 - exponent_), -1.0);
  return std::exp((std::abs(power) > 1e-8 ? std::log1p(power) / power : 1 - power / 2) * y);
}

uint64_t Zipf::Next(Random& random) const {
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const double y = integral_last_ + Unit(random) * (integral_first_ - integral_last_);
    const double x = Inverse(y);
    const double rank = std::min(std::max(std::floor(x + 0.5), 1.0), static_cast<double>(count_));
    if (rank - x <= shortcut_ || y >= Integral(rank + 0.5) - Density(rank)) {
      return static_cast<uint64_t>(rank) - 1;
    }
  }
  return 0;  // not reached by any sequence of a sound generator
}

Time Arrivals::Next(Random& random) {
  double owed = Exponential(random);  // of the integral of the rate
  if (burst_.period.count() == 0) {
    at_ += FromNanoseconds(owed / rate_ * 1e9);
    return at_;
  }
  for (;;) {  // segment by segment; each takes some of what is owed
    const Duration phase = (at_ - start_) % burst_.period;
    const bool inside = phase < burst_.length;
    const double rate = inside ? rate_ * burst_.factor : rate_;
    const Duration left = (inside ? burst_.length : burst_.period) - phase;
    const double here = rate * static_cast<double>(left.count()) * 1e-9;
    if (owed <= here && rate > 0) {
      at_ += FromNanoseconds(owed / rate * 1e9);
      return at_;
    }
    owed -= here;
    at_ += left;
  }
}

}  // namespace trireme::bench
