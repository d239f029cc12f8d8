// SPDX-License-Identifier: GPL-3.0-or-later
#include "sql/fingerprint_scan.h"

#include <algorithm>
#include <bit>

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace trireme {

size_t FindFingerprintByBytes(const FingerprintTables& tables, std::string_view text, size_t from) {
  for (size_t at = from; at + kFingerprintBytes <= text.size(); ++at) {
    if ((tables.Sets(text[at], 0) & tables.Sets(text[at + 1], 1) & tables.Sets(text[at + 2], 2)) !=
        0) {
      return at;
    }
  }
  return std::string_view::npos;
}

#ifdef __x86_64__
namespace {

constexpr size_t kPlaces = 32;                               // tried at once
constexpr size_t kWindow = kPlaces + kFingerprintBytes - 1;  // bytes read for them

// GCC 12 takes a table that is known at compile time for zeros (-O3 with LTO, the first of three):
// it must not know where the pointer leads.
[[gnu::target("avx2")]] inline __m256i Broadcast(const FingerprintTables::Halves& table) {
  const uint8_t* bytes = table.data();
  asm("" : "+r"(bytes));
  return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(bytes)));
}

// The sets that allow each of 32 bytes.
[[gnu::target("avx2")]] inline __m256i Sets(const char* from, __m256i low, __m256i high) {
  const __m256i half = _mm256_set1_epi8(15);
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  const __m256i lower = _mm256_and_si256(bytes, half);
  const __m256i upper = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), half);
  return _mm256_and_si256(_mm256_shuffle_epi8(low, lower), _mm256_shuffle_epi8(high, upper));
}

// `text` is at least a window long.
[[gnu::target("avx2")]] size_t FindInWindows(const FingerprintTables& tables, std::string_view text,
                                             size_t from) {
  const __m256i low0 = Broadcast(tables.low(0));
  const __m256i low1 = Broadcast(tables.low(1));
  const __m256i low2 = Broadcast(tables.low(2));
  const __m256i high0 = Broadcast(tables.high(0));
  const __m256i high1 = Broadcast(tables.high(1));
  const __m256i high2 = Broadcast(tables.high(2));
  const size_t last = text.size() - kWindow;
  size_t at = std::min(from, last);
  uint32_t wanted = from - at < kPlaces ? ~uint32_t{0} << (from - at) : 0;
  while (true) {
    const char* const here = text.data() + at;
    const __m256i hits =
        _mm256_and_si256(_mm256_and_si256(Sets(here, low0, high0), Sets(here + 1, low1, high1)),
                         Sets(here + 2, low2, high2));
    const __m256i none = _mm256_cmpeq_epi8(hits, _mm256_setzero_si256());
    const uint32_t found = ~static_cast<uint32_t>(_mm256_movemask_epi8(none)) & wanted;
    if (found != 0) return at + static_cast<size_t>(std::countr_zero(found));
    if (at == last) return std::string_view::npos;
    at = std::min(at + kPlaces, last);
    wanted = ~uint32_t{0};
  }
}

[[gnu::noinline]] size_t FindInShortText(const FingerprintTables& tables, std::string_view text,
                                         size_t from) {
  std::array<char, kWindow> window{};
  std::copy_n(text.begin(), std::min(text.size(), kWindow), window.begin());
  const size_t at = FindInWindows(tables, {window.data(), window.size()}, from);
  return at + kFingerprintBytes <= text.size() ? at : std::string_view::npos;
}

}  // namespace

size_t FindFingerprint(const FingerprintTables& tables, std::string_view text, size_t from) {
  if (!__builtin_cpu_supports("avx2")) return FindFingerprintByBytes(tables, text, from);
  if (text.size() >= kWindow) return FindInWindows(tables, text, from);
  return FindInShortText(tables, text, from);
}
#else
size_t FindFingerprint(const FingerprintTables& tables, std::string_view text, size_t from) {
  return FindFingerprintByBytes(tables, text, from);
}
#endif

}  // namespace trireme
