// The integer arithmetic every op is made of (SPEC ARITH). No function here can wrap for the
// inputs it names; SPEC chapter 17 proves the bounds.
#ifndef OTR_MACHINE_ARITH_H_
#define OTR_MACHINE_ARITH_H_

#include <algorithm>
#include <bit>
#include <cstdint>

namespace otr::machine {

inline constexpr std::int64_t kInt31 = (std::int64_t{1} << 31) - 1;  // z
inline constexpr std::int64_t kInt23 = (std::int64_t{1} << 23) - 1;  // gains, biases of q and k
inline constexpr int kRowCap = 30;                                   // greatest exponent of a row
inline constexpr int kNormCap = 20;                                  // of a norm's row (SPEC OP-4)

// Both ends included.
struct Range {
  std::int64_t lo = 0;
  std::int64_t hi = 0;

  constexpr bool holds(std::int64_t v) const { return v >= lo && v <= hi; }
};
// The integers of `bits` bits in two's complement.
constexpr Range signed_range(int bits) {
  return {-(std::int64_t{1} << (bits - 1)), (std::int64_t{1} << (bits - 1)) - 1};
}
inline constexpr Range kSigned19 = signed_range(19);  // rsh(A, s) of SPEC OP-12
inline constexpr Range kSigned24 = signed_range(24);  // x' of SPEC OP-4, q and k before rotation
inline constexpr Range kSigned32 = signed_range(32);  // residual, logits

// SPEC ARITH-1: v / 2^s rounded half up; 0 for s >= 63. Any v; s >= 0.
// The sum of the floor and bit s-1 needs no addition to v, so nothing can wrap.
constexpr std::int64_t rsh(std::int64_t v, int s) {
  if (s == 0) return v;
  if (s >= 63) return 0;
  return (v >> s) + ((v >> (s - 1)) & 1);
}

// SPEC ARITH-2.
constexpr int bitlen(std::uint64_t v) { return 64 - std::countl_zero(v); }

// The extremes of the values of one exponent: all that a row exponent depends on.
struct Extremes {
  std::int64_t hi = INT64_MIN;
  std::int64_t lo = INT64_MAX;

  constexpr void add(std::int64_t v) {
    hi = std::max(hi, v);
    lo = std::min(lo, v);
  }
  constexpr void add(const Extremes& other) {
    hi = std::max(hi, other.hi);
    lo = std::min(lo, other.lo);
  }
  // rsh(v, s) in `range` for every v between lo and hi: rsh is monotone.
  constexpr bool fit(int s, Range range) const {
    return rsh(hi, s) <= range.hi && rsh(lo, s) >= range.lo;
  }
  // The least s >= 0 with fit(s, range). Requires range.hi >= 1 and range.lo to be -range.hi or one
  // less.
  constexpr int least_shift(Range range) const {
    // No smaller shift can fit: the value would keep more digits than the range has.
    const std::uint64_t size = std::max(hi < 0 ? 0 : static_cast<std::uint64_t>(hi),
                                        lo > 0 ? 0 : ~static_cast<std::uint64_t>(lo) + 1);
    int s = std::max(0, bitlen(size) - bitlen(static_cast<std::uint64_t>(range.hi)) - 1);
    while (!fit(s, range)) ++s;
    return s;
  }
  // The least s >= 0 with floor(v / 2^s) in signed_range(bits) for every v between lo and hi.
  constexpr int least_floor_shift(int bits) const {
    const auto digits = [](std::int64_t v) {
      return bitlen(static_cast<std::uint64_t>(v < 0 ? ~v : v));
    };
    return std::max(0, std::max(digits(hi), digits(lo)) - (bits - 1));
  }
};

// SPEC ARITH-3 for values that share the exponent `f`. Requires bound >= 1.
constexpr int row_exponent(const Extremes& e, int f, std::int64_t bound, int cap) {
  const int start = std::max(0, f - cap);
  return f - std::max(start, e.least_shift({-bound, bound}));
}

// SPEC ARITH-4. Requires 1 <= n < 2^62.
struct ReciprocalRoot {
  std::int64_t n = 0;
  int k = 0;           // [0, 30]
  std::int64_t t = 0;  // [2^30, 2^31)
  std::int64_t r = 0;  // [2^15, 2^16]
};

// The integer t with t² <= n < (t+1)², for n < 2^62.
constexpr std::int64_t integer_root(std::int64_t n) {
  std::int64_t t = 0;
  for (std::int64_t bit = std::int64_t{1} << 30; bit != 0; bit >>= 1) {
    const std::int64_t u = t + bit;
    if (u * u <= n) t = u;
  }
  return t;
}

constexpr ReciprocalRoot reciprocal_root(std::int64_t n) {
  const int length = bitlen(static_cast<std::uint64_t>(n));
  const int k = length >= 61 ? 0 : (61 - length + 1) / 2;  // least k with n·4^k >= 2^60
  const std::int64_t t = integer_root(n << (2 * k));
  return {n, k, t, ((std::int64_t{1} << 46) + t / 2) / t};
}

}  // namespace otr::machine

#endif  // OTR_MACHINE_ARITH_H_
