// The Goldilocks field F, p = 2^64 - 2^32 + 1, and its quadratic extension K = F[X]/(X² - 7)
// (SPEC PF-1). Portable and constant-size; the prover's vector kernels are compared with this.
//
// Every Felt is kept below p, so that equality is equality of bits.
#ifndef OTR_ZK_FIELD_H_
#define OTR_ZK_FIELD_H_

#include <cstdint>

namespace otr::zk {

inline constexpr std::uint64_t kPrime = 0xFFFFFFFF00000001;
inline constexpr std::uint64_t kEpsilon = 0xFFFFFFFF;  // 2^64 mod p
inline constexpr std::uint64_t kGenerator = 7;         // of the multiplicative group, and no square

struct Felt {
  std::uint64_t v = 0;  // below kPrime

  friend constexpr bool operator==(Felt, Felt) = default;
};

constexpr Felt felt(std::int64_t integer) {  // the integer mod p
  return {integer < 0 ? static_cast<std::uint64_t>(integer) + kPrime
                      : static_cast<std::uint64_t>(integer)};
}

constexpr Felt operator+(Felt a, Felt b) {
  // a - (p - b) neither overflows nor needs a carry: it borrows exactly where the sum is below p.
  const std::uint64_t c = kPrime - b.v;
  const std::uint64_t d = a.v - c;
  return {a.v < c ? d + kPrime : d};
}
constexpr Felt operator-(Felt a, Felt b) {
  const std::uint64_t d = a.v - b.v;
  return {a.v < b.v ? d + kPrime : d};
}
constexpr Felt operator-(Felt a) { return Felt{} - a; }

// A number below 2^128 mod p: 2^64 = 2^32 - 1 and 2^96 = -1.
constexpr Felt reduce128(unsigned __int128 x) {
  const auto lo = static_cast<std::uint64_t>(x);
  const auto hi = static_cast<std::uint64_t>(x >> 64);
  const std::uint64_t top = hi >> 32;
  const std::uint64_t middle = (hi & kEpsilon) * kEpsilon;
  std::uint64_t t = lo - top;
  if (lo < top) t -= kEpsilon;  // a borrow of 2^64, which is kEpsilon mod p
  std::uint64_t r = t + middle;
  if (r < t) r += kEpsilon;
  return {r >= kPrime ? r - kPrime : r};
}
constexpr Felt operator*(Felt a, Felt b) {
  return reduce128(static_cast<unsigned __int128>(a.v) * b.v);
}
constexpr Felt& operator+=(Felt& a, Felt b) { return a = a + b; }
constexpr Felt& operator-=(Felt& a, Felt b) { return a = a - b; }
constexpr Felt& operator*=(Felt& a, Felt b) { return a = a * b; }

constexpr Felt power(Felt base, std::uint64_t exponent) {
  Felt r{1};
  for (; exponent != 0; exponent >>= 1, base *= base) {
    if (exponent & 1) r *= base;
  }
  return r;
}
constexpr Felt inverse(Felt a) { return power(a, kPrime - 2); }  // 0 for 0

// The root of unity of order 2^bits, bits <= 32 (SPEC PC-3).
constexpr Felt root_of_unity(int bits) { return power({kGenerator}, (kPrime - 1) >> bits); }

// c0 + c1·X.
struct Ext {
  Felt c0, c1;

  friend constexpr bool operator==(Ext, Ext) = default;
};

constexpr Ext ext(Felt a) { return {a, {}}; }
constexpr Ext ext(std::int64_t integer) { return {felt(integer), {}}; }
inline constexpr Ext kZero{};
inline constexpr Ext kOne{{1}, {0}};

constexpr Ext operator+(Ext a, Ext b) { return {a.c0 + b.c0, a.c1 + b.c1}; }
constexpr Ext operator-(Ext a, Ext b) { return {a.c0 - b.c0, a.c1 - b.c1}; }
constexpr Ext operator-(Ext a) { return {-a.c0, -a.c1}; }
constexpr Ext operator*(Ext a, Felt b) { return {a.c0 * b, a.c1 * b}; }
constexpr Felt times7(Felt a) { return reduce128(static_cast<unsigned __int128>(a.v) * 7); }
constexpr Ext operator*(Ext a, Ext b) {
  const Felt low = a.c0 * b.c0;
  const Felt high = a.c1 * b.c1;
  return {low + times7(high), (a.c0 + a.c1) * (b.c0 + b.c1) - low - high};
}
constexpr Ext& operator+=(Ext& a, Ext b) { return a = a + b; }
constexpr Ext& operator-=(Ext& a, Ext b) { return a = a - b; }
constexpr Ext& operator*=(Ext& a, Ext b) { return a = a * b; }

// 1/a; 0 for 0: the conjugate over the norm, which is 0 for 0 alone since 7 is no square.
constexpr Ext inverse(Ext a) {
  const Felt norm = a.c0 * a.c0 - times7(a.c1 * a.c1);
  const Felt i = inverse(norm);
  return {a.c0 * i, -(a.c1 * i)};
}

}  // namespace otr::zk

#endif  // OTR_ZK_FIELD_H_
