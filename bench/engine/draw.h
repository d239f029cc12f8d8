// SPDX-License-Identifier: GPL-3.0-or-later
//
// What is drawn by chance: durations (think times, service times), Zipf ranks, Poisson arrivals.
// Everything comes from a Random, so a seed repeats a run. Durations are written
//
//   5ms                       always
//   exp:5ms                   exponential with that mean
//   uniform:1ms,9ms           between the two
//   lognormal:5ms,0.7         median, and sigma of the logarithm
//   bimodal:1ms,50ms,0.05     the first, but with the given probability the second
#pragma once

#include <cstdint>
#include <string_view>

#include "base/random.h"
#include "base/result.h"
#include "base/time.h"

namespace trireme::bench {

// "250us", "1.5s", "2min", "0"; units ns, us, ms, s, min, h.
Result<Duration> ParseDuration(std::string_view text);

// In (0, 1): never 0, so its logarithm is finite.
inline double Unit(Random& random) {
  return (static_cast<double>(random.Next() >> 11) + 0.5) * 0x1p-53;
}
double Exponential(Random& random);  // mean 1
double Normal(Random& random);       // mean 0, deviation 1

class Draw {
 public:
  enum class Kind : uint8_t { kConstant, kExponential, kUniform, kLognormal, kBimodal };

  Draw() = default;  // always 0
  static Result<Draw> Parse(std::string_view text);

  Duration Next(Random& random) const;
  bool is_zero() const { return kind_ == Kind::kConstant && first_ == 0; }
  double MeanNs() const;

 private:
  Kind kind_ = Kind::kConstant;
  double first_ = 0;   // nanoseconds
  double second_ = 0;  // nanoseconds, or sigma
  double chance_ = 0;
};

// Ranks 0 to count-1, where rank k has a probability proportional to 1/(k+1)^exponent; exponent 0
// is uniform. Rejection-inversion (Hörmann and Derflinger, 1996): no table, about one draw a rank.
class Zipf {
 public:
  Zipf(uint64_t count, double exponent);  // count > 0, exponent >= 0
  uint64_t Next(Random& random) const;

 private:
  double Integral(double x) const;
  double Inverse(double y) const;
  double Density(double x) const;

  uint64_t count_;
  double exponent_;
  double integral_first_;
  double integral_last_;
  double shortcut_;
};

// Poisson arrivals at `rate` a second, or, with bursts, at `rate` times `factor` during the first
// `length` of each `period`. Times are exact: the intended instants, whatever the machine does.
class Arrivals {
 public:
  struct Burst {
    double factor = 1;
    Duration length{0};
    Duration period{0};  // 0 = no bursts
  };
  Arrivals(double rate, Burst burst, Time start) : rate_(rate), burst_(burst), start_(start) {
    at_ = start;
  }
  // The next arrival after the last one.
  Time Next(Random& random);

 private:
  double rate_;
  Burst burst_;
  Time start_;
  Time at_;
};

}  // namespace trireme::bench
