// Vectors of elements of F and K for kernels that are templates over the width (SPEC PF-1):
// Lanes1 is portable, Lanes4 needs AVX2, Lanes8 AVX-512 (F, DQ, BW, VL). All values are canonical
// (below p) on the way in and out, so that every width gives the same bits; only `*` also takes any
// u64 as factors.
//
// A file compiled for an instruction set must not call inline functions of other headers (Felt, the
// standard library): the linker keeps one copy of each, and it might be the one that needs the
// set. Therefore everything here is forced inline, and sums leave a kernel as stored lanes which
// portable code adds up.
#ifndef OTR_PROVER_LANES_H_
#define OTR_PROVER_LANES_H_

#include <cstddef>
#include <cstdint>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "zk/field.h"

// Forced inline; on lambdas and functions of kernels too.
#define OTR_INLINE [[gnu::always_inline]] inline

namespace otr::prover {

struct Lanes1 {
  static constexpr std::size_t kWidth = 1;
  zk::Felt v;

  OTR_INLINE static Lanes1 load(const std::uint64_t* from) { return {{*from}}; }
  // The first n <= kWidth lanes from memory; the others are those of `rest`. No byte past them is
  // touched.
  OTR_INLINE static Lanes1 load_some(const std::uint64_t* from, std::size_t n, Lanes1 rest = {}) {
    return n != 0 ? load(from) : rest;
  }
  // Each lane of `slots` is 8·index + count: the element from[index + k] where k < count, else that
  // of `rest`. k < 8.
  OTR_INLINE static Lanes1 pick(const std::uint64_t* from, Lanes1 slots, unsigned k, Lanes1 rest) {
    return k < slots.v.v % 8 ? load(from + slots.v.v / 8 + k) : rest;
  }
  // The same where all elements are 1, and 0 for the rest.
  OTR_INLINE static Lanes1 pick_one(Lanes1 slots, unsigned k) {
    return {{k < slots.v.v % 8 ? 1U : 0U}};
  }
  OTR_INLINE static Lanes1 broadcast(std::uint64_t x) { return {{x}}; }
  OTR_INLINE void store(std::uint64_t* to) const { *to = v.v; }
  OTR_INLINE void store_some(std::uint64_t* to, std::size_t n) const {
    if (n != 0) *to = v.v;
  }

  OTR_INLINE friend Lanes1 operator+(Lanes1 a, Lanes1 b) { return {a.v + b.v}; }
  OTR_INLINE friend Lanes1 operator-(Lanes1 a, Lanes1 b) { return {a.v - b.v}; }
  OTR_INLINE friend Lanes1 operator*(Lanes1 a, Lanes1 b) { return {a.v * b.v}; }
  OTR_INLINE friend Lanes1 times7(Lanes1 a) { return {zk::times7(a.v)}; }

  // Of the 2·kWidth elements of a and b after one another: those at even and at odd places.
  OTR_INLINE friend void unzip(Lanes1 a, Lanes1 b, Lanes1& even, Lanes1& odd) {
    even = a;
    odd = b;
  }
  // The inverse of unzip.
  OTR_INLINE friend void zip(Lanes1 even, Lanes1 odd, Lanes1& a, Lanes1& b) {
    a = even;
    b = odd;
  }
};

#if defined(__AVX2__)
struct Lanes4 {
  static constexpr std::size_t kWidth = 4;
  __m256i v;

  OTR_INLINE static Lanes4 load(const std::uint64_t* from) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))};
  }
  OTR_INLINE static Lanes4 load_some(const std::uint64_t* from, std::size_t n, Lanes4 rest = {}) {
    const __m256i mask = first(n);
    const __m256i loaded = _mm256_maskload_epi64(reinterpret_cast<const long long*>(from), mask);
    return {_mm256_blendv_epi8(rest.v, loaded, mask)};
  }
  OTR_INLINE static Lanes4 pick(const std::uint64_t* from, Lanes4 slots, unsigned k, Lanes4 rest) {
    const __m256i count = _mm256_and_si256(slots.v, _mm256_set1_epi64x(7));
    const __m256i mask = _mm256_cmpgt_epi64(count, _mm256_set1_epi64x(k));
    const __m256i index = _mm256_add_epi64(_mm256_srli_epi64(slots.v, 3), _mm256_set1_epi64x(k));
    return {_mm256_mask_i64gather_epi64(rest.v, reinterpret_cast<const long long*>(from), index,
                                        mask, 8)};
  }
  OTR_INLINE static Lanes4 pick_one(Lanes4 slots, unsigned k) {
    const __m256i count = _mm256_and_si256(slots.v, _mm256_set1_epi64x(7));
    return {_mm256_srli_epi64(_mm256_cmpgt_epi64(count, _mm256_set1_epi64x(k)), 63)};
  }
  OTR_INLINE static Lanes4 broadcast(std::uint64_t x) {
    return {_mm256_set1_epi64x(static_cast<long long>(x))};
  }
  OTR_INLINE void store(std::uint64_t* to) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), v);
  }
  OTR_INLINE void store_some(std::uint64_t* to, std::size_t n) const {
    _mm256_maskstore_epi64(reinterpret_cast<long long*>(to), first(n), v);
  }

  OTR_INLINE friend Lanes4 operator+(Lanes4 a, Lanes4 b) {
    return a - Lanes4{_mm256_sub_epi64(prime(), b.v)};
  }
  OTR_INLINE friend Lanes4 operator-(Lanes4 a, Lanes4 b) {
    const __m256i borrow = _mm256_and_si256(below(a.v, b.v), prime());
    return {_mm256_add_epi64(_mm256_sub_epi64(a.v, b.v), borrow)};
  }
  OTR_INLINE friend Lanes4 operator*(Lanes4 a, Lanes4 b) {
    const __m256i low32 = _mm256_set1_epi64x(zk::kEpsilon);
    const __m256i a_high = _mm256_srli_epi64(a.v, 32);
    const __m256i b_high = _mm256_srli_epi64(b.v, 32);
    const __m256i ll = _mm256_mul_epu32(a.v, b.v);
    const __m256i hl = _mm256_mul_epu32(a_high, b.v);
    const __m256i lh = _mm256_mul_epu32(a.v, b_high);
    const __m256i hh = _mm256_mul_epu32(a_high, b_high);
    const __m256i t0 = _mm256_add_epi64(hl, _mm256_srli_epi64(ll, 32));
    const __m256i t1 = _mm256_add_epi64(lh, _mm256_and_si256(t0, low32));
    const __m256i high = _mm256_add_epi64(_mm256_add_epi64(hh, _mm256_srli_epi64(t0, 32)),
                                          _mm256_srli_epi64(t1, 32));
    const __m256i low = _mm256_blend_epi32(ll, _mm256_slli_epi64(t1, 32), 0xAA);
    return {reduce(low, high)};
  }
  OTR_INLINE friend Lanes4 times7(Lanes4 a) {
    // 8a - a, of which a high part of at most 3 bits is put back as a multiple of kEpsilon.
    const __m256i high = _mm256_srli_epi64(a.v, 61);
    const __m256i low = _mm256_slli_epi64(a.v, 3);
    const __m256i carry = _mm256_sub_epi64(_mm256_slli_epi64(high, 32), high);
    const __m256i sum = _mm256_add_epi64(low, carry);
    const __m256i wrapped = _mm256_srli_epi64(below(sum, low), 32);
    return Lanes4{canonical(_mm256_add_epi64(sum, wrapped))} - a;
  }

  OTR_INLINE friend void unzip(Lanes4 a, Lanes4 b, Lanes4& even, Lanes4& odd) {
    even = {_mm256_permute4x64_epi64(_mm256_unpacklo_epi64(a.v, b.v), 0xD8)};
    odd = {_mm256_permute4x64_epi64(_mm256_unpackhi_epi64(a.v, b.v), 0xD8)};
  }
  OTR_INLINE friend void zip(Lanes4 even, Lanes4 odd, Lanes4& a, Lanes4& b) {
    const __m256i low = _mm256_unpacklo_epi64(even.v, odd.v);   // e0 o0 e2 o2
    const __m256i high = _mm256_unpackhi_epi64(even.v, odd.v);  // e1 o1 e3 o3
    a = {_mm256_permute2x128_si256(low, high, 0x20)};
    b = {_mm256_permute2x128_si256(low, high, 0x31)};
  }

 private:
  OTR_INLINE static __m256i prime() {
    return _mm256_set1_epi64x(static_cast<long long>(zk::kPrime));
  }
  OTR_INLINE static __m256i first(std::size_t n) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(static_cast<long long>(n)),
                              _mm256_set_epi64x(3, 2, 1, 0));
  }
  OTR_INLINE static __m256i below(__m256i a, __m256i b) {  // unsigned, all ones where true
    const __m256i sign = _mm256_set1_epi64x(INT64_MIN);
    return _mm256_cmpgt_epi64(_mm256_xor_si256(b, sign), _mm256_xor_si256(a, sign));
  }
  OTR_INLINE static __m256i canonical(__m256i x) {
    return _mm256_sub_epi64(x, _mm256_andnot_si256(below(x, prime()), prime()));
  }
  // zk::reduce128.
  OTR_INLINE static __m256i reduce(__m256i low, __m256i high) {
    const __m256i epsilon = _mm256_set1_epi64x(zk::kEpsilon);
    const __m256i top = _mm256_srli_epi64(high, 32);
    const __m256i middle = _mm256_mul_epu32(high, epsilon);
    const __m256i borrow = _mm256_srli_epi64(below(low, top), 32);
    const __m256i t = _mm256_sub_epi64(_mm256_sub_epi64(low, top), borrow);
    const __m256i sum = _mm256_add_epi64(t, middle);
    const __m256i carry = _mm256_srli_epi64(below(sum, t), 32);
    return canonical(_mm256_add_epi64(sum, carry));
  }
};
#endif  // __AVX2__

#if defined(__AVX512F__)
struct Lanes8 {
  static constexpr std::size_t kWidth = 8;
  __m512i v;

  OTR_INLINE static Lanes8 load(const std::uint64_t* from) { return {_mm512_loadu_si512(from)}; }
  OTR_INLINE static Lanes8 load_some(const std::uint64_t* from, std::size_t n, Lanes8 rest = {}) {
    return {_mm512_mask_loadu_epi64(rest.v, first(n), from)};
  }
  OTR_INLINE static Lanes8 pick(const std::uint64_t* from, Lanes8 slots, unsigned k, Lanes8 rest) {
    const __m512i count = _mm512_and_si512(slots.v, _mm512_set1_epi64(7));
    const __mmask8 mask = _mm512_cmpgt_epu64_mask(count, _mm512_set1_epi64(k));
    const __m512i index = _mm512_add_epi64(_mm512_srli_epi64(slots.v, 3), _mm512_set1_epi64(k));
    return {_mm512_mask_i64gather_epi64(rest.v, mask, index, from, 8)};
  }
  OTR_INLINE static Lanes8 pick_one(Lanes8 slots, unsigned k) {
    const __m512i count = _mm512_and_si512(slots.v, _mm512_set1_epi64(7));
    return {_mm512_maskz_set1_epi64(_mm512_cmpgt_epu64_mask(count, _mm512_set1_epi64(k)), 1)};
  }
  OTR_INLINE static Lanes8 broadcast(std::uint64_t x) {
    return {_mm512_set1_epi64(static_cast<long long>(x))};
  }
  OTR_INLINE void store(std::uint64_t* to) const { _mm512_storeu_si512(to, v); }
  OTR_INLINE void store_some(std::uint64_t* to, std::size_t n) const {
    _mm512_mask_storeu_epi64(to, first(n), v);
  }

  OTR_INLINE friend Lanes8 operator+(Lanes8 a, Lanes8 b) {
    return a - Lanes8{_mm512_sub_epi64(prime(), b.v)};
  }
  OTR_INLINE friend Lanes8 operator-(Lanes8 a, Lanes8 b) {
    const __m512i d = _mm512_sub_epi64(a.v, b.v);
    return {_mm512_mask_add_epi64(d, _mm512_cmplt_epu64_mask(a.v, b.v), d, prime())};
  }
  OTR_INLINE friend Lanes8 operator*(Lanes8 a, Lanes8 b) {
    const __m512i low32 = _mm512_set1_epi64(zk::kEpsilon);
    const __m512i a_high = _mm512_srli_epi64(a.v, 32);
    const __m512i b_high = _mm512_srli_epi64(b.v, 32);
    const __m512i ll = _mm512_mul_epu32(a.v, b.v);
    const __m512i hl = _mm512_mul_epu32(a_high, b.v);
    const __m512i lh = _mm512_mul_epu32(a.v, b_high);
    const __m512i hh = _mm512_mul_epu32(a_high, b_high);
    const __m512i t0 = _mm512_add_epi64(hl, _mm512_srli_epi64(ll, 32));
    const __m512i t1 = _mm512_add_epi64(lh, _mm512_and_si512(t0, low32));
    const __m512i high = _mm512_add_epi64(_mm512_add_epi64(hh, _mm512_srli_epi64(t0, 32)),
                                          _mm512_srli_epi64(t1, 32));
    const __m512i low = _mm512_mask_blend_epi32(0xAAAA, ll, _mm512_slli_epi64(t1, 32));
    return {reduce(low, high)};
  }
  OTR_INLINE friend Lanes8 times7(Lanes8 a) {
    // 8a - a, of which a high part of at most 3 bits is put back as a multiple of kEpsilon.
    const __m512i high = _mm512_srli_epi64(a.v, 61);
    const __m512i low = _mm512_slli_epi64(a.v, 3);
    const __m512i carry = _mm512_sub_epi64(_mm512_slli_epi64(high, 32), high);
    const __m512i sum = _mm512_add_epi64(low, carry);
    const __m512i r = _mm512_mask_add_epi64(sum, _mm512_cmplt_epu64_mask(sum, low), sum,
                                            _mm512_set1_epi64(zk::kEpsilon));
    return Lanes8{canonical(r)} - a;
  }

  OTR_INLINE friend void unzip(Lanes8 a, Lanes8 b, Lanes8& even, Lanes8& odd) {
    even = {_mm512_permutex2var_epi64(a.v, _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0), b.v)};
    odd = {_mm512_permutex2var_epi64(a.v, _mm512_set_epi64(15, 13, 11, 9, 7, 5, 3, 1), b.v)};
  }
  OTR_INLINE friend void zip(Lanes8 even, Lanes8 odd, Lanes8& a, Lanes8& b) {
    a = {_mm512_permutex2var_epi64(even.v, _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0), odd.v)};
    b = {_mm512_permutex2var_epi64(even.v, _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4), odd.v)};
  }

 private:
  OTR_INLINE static __m512i prime() {
    return _mm512_set1_epi64(static_cast<long long>(zk::kPrime));
  }
  OTR_INLINE static __mmask8 first(std::size_t n) { return static_cast<__mmask8>((1U << n) - 1); }
  OTR_INLINE static __m512i canonical(__m512i x) {  // x - p wraps to more than x where x < p
    return _mm512_min_epu64(x, _mm512_sub_epi64(x, prime()));
  }
  // zk::reduce128.
  OTR_INLINE static __m512i reduce(__m512i low, __m512i high) {
    const __m512i epsilon = _mm512_set1_epi64(zk::kEpsilon);
    const __m512i top = _mm512_srli_epi64(high, 32);
    const __m512i middle = _mm512_mul_epu32(high, epsilon);
    const __m512i d = _mm512_sub_epi64(low, top);
    const __m512i t = _mm512_mask_sub_epi64(d, _mm512_cmplt_epu64_mask(low, top), d, epsilon);
    const __m512i sum = _mm512_add_epi64(t, middle);
    return canonical(_mm512_mask_add_epi64(sum, _mm512_cmplt_epu64_mask(sum, t), sum, epsilon));
  }
};
#endif  // __AVX512F__

// Elements of K, the two coefficients in vectors of their own.
template <class V>
struct ExtLanes {
  V c0, c1;

  OTR_INLINE static ExtLanes load(const std::uint64_t* from0, const std::uint64_t* from1) {
    return {V::load(from0), V::load(from1)};
  }
  OTR_INLINE static ExtLanes load_some(const std::uint64_t* from0, const std::uint64_t* from1,
                                       std::size_t n, ExtLanes rest = zero()) {
    return {V::load_some(from0, n, rest.c0), V::load_some(from1, n, rest.c1)};
  }
  OTR_INLINE static ExtLanes pick(const std::uint64_t* from0, const std::uint64_t* from1, V slots,
                                  unsigned k, ExtLanes rest) {
    return {V::pick(from0, slots, k, rest.c0), V::pick(from1, slots, k, rest.c1)};
  }
  OTR_INLINE static ExtLanes broadcast(const zk::Ext& x) {
    return {V::broadcast(x.c0.v), V::broadcast(x.c1.v)};
  }
  OTR_INLINE static ExtLanes zero() { return {V::broadcast(0), V::broadcast(0)}; }
  OTR_INLINE static ExtLanes one() { return {V::broadcast(1), V::broadcast(0)}; }
  OTR_INLINE void store(std::uint64_t* to0, std::uint64_t* to1) const {
    c0.store(to0);
    c1.store(to1);
  }
  OTR_INLINE void store_some(std::uint64_t* to0, std::uint64_t* to1, std::size_t n) const {
    c0.store_some(to0, n);
    c1.store_some(to1, n);
  }

  OTR_INLINE friend ExtLanes operator+(ExtLanes a, ExtLanes b) {
    return {a.c0 + b.c0, a.c1 + b.c1};
  }
  OTR_INLINE friend ExtLanes operator-(ExtLanes a, ExtLanes b) {
    return {a.c0 - b.c0, a.c1 - b.c1};
  }
  OTR_INLINE friend ExtLanes operator*(ExtLanes a, V b) { return {a.c0 * b, a.c1 * b}; }
  OTR_INLINE friend ExtLanes operator*(ExtLanes a, ExtLanes b) {
    const V low = a.c0 * b.c0;
    const V high = a.c1 * b.c1;
    return {low + times7(high), (a.c0 + a.c1) * (b.c0 + b.c1) - low - high};
  }
};

template <class V>
OTR_INLINE void unzip(ExtLanes<V> a, ExtLanes<V> b, ExtLanes<V>& even, ExtLanes<V>& odd) {
  unzip(a.c0, b.c0, even.c0, odd.c0);
  unzip(a.c1, b.c1, even.c1, odd.c1);
}

}  // namespace otr::prover

#endif  // OTR_PROVER_LANES_H_
