// The code of the commitment (SPEC PC-3): a row of N = 2^kappa cells is read as the values of a
// polynomial of degree below N on the subgroup of ω^2, and its parity are the values on the coset
// of ω, ω being a root of unity of order 2N. So the code word is the row and its parity: rate 1/2.
//
// `extend` is an inverse transform (decimation in frequency: natural order in, coefficients in
// bit-reversed order) and a transform on the coset (decimation in time: the other way), so nothing
// is ever permuted. The coset's shift is in the twiddle factors. The two walk the same tree of
// halves, down and up, so one recursion does both and comes out of the cache once each way. It is a
// template over vectors: one row here, V::kWidth rows side by side in the prover.
#ifndef OTR_ZK_NTT_H_
#define OTR_ZK_NTT_H_

#include <cstdint>
#include <span>
#include <vector>

#include "zk/field.h"

namespace otr::zk {

// For the level that joins halves of h, from h on: down, the h first inverse powers of the root of
// order 2h; up, the h first odd powers of the root of order 4h. Of level 1 both entries hold 1/N
// too.
struct Twiddles {
  const std::uint64_t* down;
  const std::uint64_t* up;
};

class ParityCode {
 public:
  // 1 <= kappa <= 31.
  explicit ParityCode(int kappa);

  [[nodiscard]] std::size_t places() const { return down_.size(); }
  [[nodiscard]] Twiddles twiddles() const { return {down_.data(), up_.data()}; }

  // Replaces a row of places() canonical cells by its parity.
  void extend(std::span<std::uint64_t> row) const;

 private:
  std::vector<std::uint64_t> down_, up_;
};

// --- The transform, for any vector type with load, store, broadcast, +, - and *
// -------------------

// What fits in a first-level cache is done level by level, what does not two levels at a time.
inline constexpr std::size_t kNttCachedBytes = 1 << 15;

// One block of n vectors in first-level cache, down and up.
template <class V>
void extend_cached(std::uint64_t* block, std::size_t n, Twiddles t) {
  constexpr std::size_t kW = V::kWidth;
  for (std::size_t h = n / 2; h >= 2; h /= 2) {
    for (std::uint64_t* at = block; at != block + n * kW; at += 2 * h * kW) {
      for (std::size_t i = 0; i < h; ++i) {
        const V a = V::load(at + i * kW), b = V::load(at + (h + i) * kW);
        (a + b).store(at + i * kW);
        ((a - b) * V::broadcast(t.down[h + i])).store(at + (h + i) * kW);
      }
    }
  }
  const V scale = V::broadcast(t.down[1]), turn = V::broadcast(t.up[1]);
  for (std::uint64_t* at = block; at != block + n * kW; at += 2 * kW) {
    const V a = V::load(at), b = V::load(at + kW);
    const V c = (a + b) * scale, d = (a - b) * turn;
    (c + d).store(at);
    (c - d).store(at + kW);
  }
  for (std::size_t h = 2; h < n; h *= 2) {
    for (std::uint64_t* at = block; at != block + n * kW; at += 2 * h * kW) {
      for (std::size_t i = 0; i < h; ++i) {
        const V a = V::load(at + i * kW);
        const V b = V::load(at + (h + i) * kW) * V::broadcast(t.up[h + i]);
        (a + b).store(at + i * kW);
        (a - b).store(at + (h + i) * kW);
      }
    }
  }
}

// n a power of two, >= 2: `block` holds n vectors, vector i the cells i of V::kWidth rows.
template <class V>
void extend(std::uint64_t* block, std::size_t n, Twiddles t) {
  constexpr std::size_t kW = V::kWidth;
  if (n < 8 || n * kW * sizeof(std::uint64_t) <= kNttCachedBytes) {
    return extend_cached<V>(block, n, t);
  }
  const std::size_t q = n / 4;
  std::uint64_t* const quarter[4] = {block, block + q * kW, block + 2 * q * kW, block + 3 * q * kW};
  for (std::size_t i = 0; i < q; ++i) {
    const V a = V::load(quarter[0] + i * kW), b = V::load(quarter[1] + i * kW);
    const V c = V::load(quarter[2] + i * kW), d = V::load(quarter[3] + i * kW);
    const V e = a + c, f = b + d, inner = V::broadcast(t.down[q + i]);
    const V g = (a - c) * V::broadcast(t.down[2 * q + i]);
    const V h = (b - d) * V::broadcast(t.down[3 * q + i]);
    (e + f).store(quarter[0] + i * kW);
    ((e - f) * inner).store(quarter[1] + i * kW);
    (g + h).store(quarter[2] + i * kW);
    ((g - h) * inner).store(quarter[3] + i * kW);
  }
  for (std::uint64_t* part : quarter) extend<V>(part, q, t);
  for (std::size_t i = 0; i < q; ++i) {
    const V inner = V::broadcast(t.up[q + i]);
    const V a = V::load(quarter[0] + i * kW), b = V::load(quarter[1] + i * kW) * inner;
    const V c = V::load(quarter[2] + i * kW), d = V::load(quarter[3] + i * kW) * inner;
    const V e = a + b, f = a - b;
    const V g = (c + d) * V::broadcast(t.up[2 * q + i]);
    const V h = (c - d) * V::broadcast(t.up[3 * q + i]);
    (e + g).store(quarter[0] + i * kW);
    (f + h).store(quarter[1] + i * kW);
    (e - g).store(quarter[2] + i * kW);
    (f - h).store(quarter[3] + i * kW);
  }
}

}  // namespace otr::zk

#endif  // OTR_ZK_NTT_H_
