// Writes the tables of SPEC TAB as little-endian bytes: a build-time program, no libm, no float.
//
// All reals are fixed point with 62 fraction bits (Q62) in 64-bit words with 128-bit products.
// Every function below is off by less than 2^-52 relative to its scale; `rounded` refuses to decide
// an entry that lies closer to a tie than its error, so a table that is written is correctly
// rounded.
#include <array>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

using i128 = __int128;
using u128 = unsigned __int128;

constexpr int kQ = 62;
constexpr i128 kOne = i128{1} << kQ;

i128 mul(i128 a, i128 b) { return (a * b) >> kQ; }  // |a|, |b| < 2^64

[[noreturn]] void undecided(const char* what) {
  std::fprintf(stderr, "gen_tables: an entry of %s is too close to a tie to decide\n", what);
  std::exit(1);
}

// The integer nearest to v / 2^frac_bits, for v off by at most `error`.
std::int64_t rounded(i128 v, int frac_bits, i128 error, const char* what) {
  const i128 half = i128{1} << (frac_bits - 1);
  const i128 rest = (v + half) & ((i128{1} << frac_bits) - 1);  // distance above the tie below
  if (rest < error || rest > (i128{1} << frac_bits) - error) undecided(what);
  return static_cast<std::int64_t>((v + half) >> frac_bits);
}

u128 isqrt(u128 n) {
  u128 t = 0;
  for (int bit = 63; bit >= 0; --bit) {
    const u128 u = t + (u128{1} << bit);
    if (u * u <= n) t = u;
  }
  return t;
}

// roots[j] = 2^(2^-j) in Q62.
std::array<i128, kQ + 1> power_roots() {
  std::array<i128, kQ + 1> roots{};
  roots[0] = 2 * kOne;
  for (int j = 1; j <= kQ; ++j) {
    roots[j] = static_cast<i128>(isqrt(static_cast<u128>(roots[j - 1]) << kQ));
  }
  return roots;
}

// 2^x for x in [0, 1): at most 62 products, each off by 2^-62.
i128 exp2(i128 x) {
  static const auto roots = power_roots();
  i128 y = kOne;
  for (int j = 1; j <= kQ; ++j) {
    if ((x >> (kQ - j)) & 1) y = mul(y, roots[j]);
  }
  return y;
}

// log2(x) for x > 0: the whole part by normalising, then a digit for each squaring. The error of a
// squaring weighs half as much with every digit, so the sum stays below 2^-60.
i128 log2(i128 x) {
  int whole = 0;
  for (; x >= 2 * kOne; x >>= 1) ++whole;
  for (; x < kOne; x <<= 1) --whole;
  i128 y = 0;
  for (int j = 1; j <= kQ; ++j) {
    x = mul(x, x);
    if (x >= 2 * kOne) {
      y |= i128{1} << (kQ - j);
      x >>= 1;
    }
  }
  return whole * kOne + y;
}

// log2(e) = 1 / ln 2, ln 2 = sum of 1 / (n·2^n).
i128 log2_e() {
  i128 ln2 = 0;
  for (int n = 1; n <= kQ; ++n) ln2 += (kOne << 2) / n >> n;  // two guard bits
  return ((kOne << 2) << kQ) / ln2;
}

// pi by Machin: 16·atan(1/5) - 4·atan(1/239), with eight guard bits.
i128 pi() {
  const auto atan_inverse = [](std::int64_t x) {
    i128 power = (kOne << 8) / x;
    i128 sum = 0;
    for (std::int64_t n = 1; power != 0; n += 2) {
      sum += (n % 4 == 1 ? 1 : -1) * (power / n);
      power /= x * x;
    }
    return sum;
  };
  return (16 * atan_inverse(5) - 4 * atan_inverse(239)) >> 8;
}

struct CosSin {
  i128 c, s;
};

// Taylor series for 0 <= x <= pi/4; terms fall below 2^-62 before n = 24.
CosSin taylor(i128 x) {
  CosSin sum{0, 0};
  i128 term = kOne;
  for (int n = 0; n < 24; ++n) {
    const i128 sign = n % 4 < 2 ? 1 : -1;
    (n % 2 == 0 ? sum.c : sum.s) += sign * term;
    term = mul(term, x) / (n + 1);
  }
  return sum;
}

// Cosine and sine of the turn i / 2^bits, reduced to the first eighth of it.
CosSin turn(std::uint32_t i, int bits) {
  const std::uint64_t eighth = std::uint64_t{1} << (bits - 3);
  const std::uint64_t octant = i / eighth;
  const std::uint64_t rest = octant % 2 == 0 ? i % eighth : eighth - i % eighth;
  const CosSin base = taylor((2 * pi() * static_cast<i128>(rest)) >> bits);
  const CosSin quarter = octant % 2 == 0 ? base : CosSin{base.s, base.c};
  switch (octant / 2) {
    case 0:
      return quarter;
    case 1:
      return {-quarter.s, quarter.c};
    case 2:
      return {-quarter.c, -quarter.s};
    default:
      return {quarter.s, -quarter.c};
  }
}

template <class T>
void append(std::vector<std::uint8_t>& out, std::int64_t value) {
  const T v = static_cast<T>(value);
  const auto bytes = std::bit_cast<std::array<std::uint8_t, sizeof(T)>>(v);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void write_exp2(std::vector<std::uint8_t>& out) {
  for (int i = 0; i < 256; ++i) {
    const i128 y = exp2(kOne / 256 * i);
    append<std::uint16_t>(out, i == 0 ? 1 << 14 : rounded(y, kQ - 14, 1 << 10, "EXP2"));
  }
}

void write_rope(std::vector<std::uint8_t>& out) {
  for (int level = 1; level <= 3; ++level) {
    for (std::uint32_t i = 0; i < 256; ++i) {
      const CosSin a = turn(i, 8 * level);
      for (const i128 v : {a.c, a.s}) {
        append<std::int32_t>(out, rounded(v, kQ - 30, 1 << 10, "ROPE"));
      }
    }
  }
}

// silu(g·2^-e)·2^e = g / (1 + 2^-x), x = g·2^-e·log2(e), for g > 0; and silu(-y) = silu(y) - y.
void write_silu(std::vector<std::uint8_t>& out) {
  const i128 log2e = log2_e();
  constexpr int kFrac = 40;
  constexpr i128 kError = i128{1} << 8;  // in Q40, for |g| <= 2^15
  std::array<std::int64_t, 65536> row;
  for (int e = 0; e < 16; ++e) {
    row[0] = 0;
    for (std::int64_t g = 1; g <= 32768; ++g) {
      const i128 x = (g * log2e) >> e;
      const i128 whole = x >> kQ;
      const i128 small =  // 2^-x
          whole >= 61 ? 0 : (kOne * kOne / exp2(x & (kOne - 1))) >> static_cast<int>(whole);
      const i128 y = ((i128{g} << kFrac) << kQ) / (kOne + small);
      if (g < 32768) row[g] = rounded(y, kFrac, kError, "SILU");
      row[65536 - g] = rounded(y - (i128{g} << kFrac), kFrac, kError, "SILU");
    }
    for (const std::int64_t v : row) append<std::int16_t>(out, v);
  }
}

void write_gumbel(std::vector<std::uint8_t>& out) {
  for (int k = 0; k < 16; ++k) {
    for (int m = 0; m < 4096; ++m) {
      const i128 rest = kOne - (i128{8193 + 2 * m} << (kQ - 14 - k));  // 1 - u, exact
      const i128 inner = -log2(rest);
      // |inner| >= 2^-16, so its relative error is below 2^-44, and so is the outer logarithm's.
      append<std::int32_t>(out, rounded(-log2(inner), kQ - 16, i128{1} << 20, "GUMBEL"));
    }
  }
}

void write_mass(std::vector<std::uint8_t>& out) {
  append<std::uint32_t>(out, 1 << 28);
  for (int i = 1; i < 65536; ++i) {
    const i128 y = exp2(kOne - kOne / 65536 * i) / 2;  // 2^-(i/65536)
    append<std::uint32_t>(out, rounded(y, kQ - 28, 1 << 10, "MASS"));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: gen_tables OUTPUT\n");
    return 2;
  }
  std::vector<std::uint8_t> out;
  write_exp2(out);
  write_rope(out);
  write_silu(out);
  write_gumbel(out);
  write_mass(out);
  std::FILE* file = std::fopen(argv[1], "wb");
  if (file == nullptr || std::fwrite(out.data(), 1, out.size(), file) != out.size() ||
      std::fclose(file) != 0) {
    std::perror(argv[1]);
    return 1;
  }
}
