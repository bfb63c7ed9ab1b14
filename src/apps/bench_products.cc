// The loop of byte products, compiled for AVX-512 with VNNI and called only where the processor has
// both.
#include "apps/bench_ceilings.h"

#if defined(__AVX512VNNI__)
#include <immintrin.h>
#endif

namespace otr::apps {

#if defined(__AVX512VNNI__)
std::uint64_t multiply_bytes(std::uint64_t rounds) {
  constexpr int kSums = 24;
  __m512i sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = _mm512_set1_epi32(i);
  __m512i a = _mm512_set1_epi32(0x01020304), b = _mm512_set1_epi32(0x05060708);
  for (std::uint64_t round = 0; round < rounds; ++round) {
    asm volatile("" : "+v"(a), "+v"(b));  // other values each time, as far as the compiler knows
    for (int i = 0; i < kSums; ++i) sums[i] = _mm512_dpbusd_epi32(sums[i], a, b);
  }
  __m512i all = sums[0];
  for (int i = 1; i < kSums; ++i) all = _mm512_xor_si512(all, sums[i]);
  return static_cast<std::uint64_t>(_mm512_reduce_add_epi64(all));
}
#else
std::uint64_t multiply_bytes(std::uint64_t) { return 0; }
#endif

}  // namespace otr::apps
