// The loops of the sumcheck prover over arrays, written once over the lanes and compiled once per
// instruction set.
//
// A *block* is an array of kBlock words in scratch memory, a block over K two of them after one
// another (c0, then c1). Operations on blocks compute the first n elements and may overwrite any of
// the others.
#ifndef OTR_PROVER_SUMCHECK_KERNELS_H_
#define OTR_PROVER_SUMCHECK_KERNELS_H_

#include "prover/isa.h"
#include "prover/lanes.h"

namespace otr::prover {

inline constexpr std::size_t kBlock = 32;
inline constexpr std::size_t kMaxLanes = 8;

struct SumcheckKernels {
  using Word = std::uint64_t;
  // Of n pairs of neighbours the first and the second less the first; no word past n is touched.
  void (*split)(const Word* pairs, std::size_t n, Word* low, Word* delta);
  // The inverse of split.
  void (*join)(const Word* low, const Word* delta, std::size_t n, Word* pairs);
  // Of n pairs low + rho·(high - low), the pairs being over F or K; touches no word past n.
  void (*fold_base)(const Word* pairs, std::size_t n, const zk::Ext& rho, Word* to0, Word* to1);
  void (*fold)(const Word* pairs0, const Word* pairs1, std::size_t n, const zk::Ext& rho, Word* to0,
               Word* to1);
  // Blocks. `_base`: the last factor, and where all are named so all, are over F.
  void (*add_base)(Word* to, const Word* from, std::size_t n);  // to += from, over F
  void (*add)(Word* to, const Word* from, std::size_t n);       // to += from
  void (*mul_both_base)(Word* to, const Word* a, const Word* b, std::size_t n);
  void (*mul_base)(Word* to, const Word* a, const Word* b, std::size_t n);
  void (*mul)(Word* to, const Word* a, const Word* b, std::size_t n);  // to = a·b
  void (*mul_add_base)(Word* to, const Word* a, const Word* b, std::size_t n);
  void (*mul_add)(Word* to, const Word* a, const Word* b, std::size_t n);  // to += a·b
  void (*scale_add_base)(Word* to, const zk::Ext& by, const Word* b, std::size_t n);
  void (*scale_add)(Word* to, const zk::Ext& by, const Word* b, std::size_t n);  // to += by·b
  // Adds the n elements to sums that stand in lanes: kMaxLanes for c0, then as many for c1.
  void (*sum)(Word* lanes, const Word* from, std::size_t n);
};

// The set must be supported (isa.h).
const SumcheckKernels& sumcheck_kernels(Isa isa);
// Null where the compiler was not asked for the set.
const SumcheckKernels* sumcheck_kernels_avx2();
const SumcheckKernels* sumcheck_kernels_avx512();

template <class V>
struct SumcheckLoops {
  using Word = std::uint64_t;
  using W = ExtLanes<V>;
  static constexpr std::size_t kWidth = V::kWidth;

  OTR_INLINE static W at(const Word* block, std::size_t i) {
    return W::load(block + i, block + kBlock + i);
  }
  OTR_INLINE static void put(W value, Word* block, std::size_t i) {
    value.store(block + i, block + kBlock + i);
  }
  // The pairs from i on, of which `some` <= kWidth are there.
  OTR_INLINE static void pairs_at(const Word* pairs, std::size_t some, V& low, V& high) {
    if constexpr (kWidth == 1) {
      low = V::load(pairs);
      high = V::load(pairs + 1);
    } else if (some == kWidth) {
      unzip(V::load(pairs), V::load(pairs + kWidth), low, high);
    } else {
      const std::size_t words = 2 * some;
      const std::size_t first = words < kWidth ? words : kWidth;
      unzip(V::load_some(pairs, first), V::load_some(pairs + first, words - first), low, high);
    }
  }
  OTR_INLINE static void put_some(V value, Word* to, std::size_t some) {
    if (some == kWidth) {
      value.store(to);
    } else {
      value.store_some(to, some);
    }
  }
  OTR_INLINE static std::size_t left(std::size_t i, std::size_t n) {
    return n - i < kWidth ? n - i : kWidth;
  }

  static void split(const Word* pairs, std::size_t n, Word* low, Word* delta) {
    for (std::size_t i = 0; i < n; i += kWidth) {
      V a, b;
      pairs_at(pairs + 2 * i, left(i, n), a, b);
      put_some(a, low + i, left(i, n));
      put_some(b - a, delta + i, left(i, n));
    }
  }
  static void join(const Word* low, const Word* delta, std::size_t n, Word* pairs) {
    for (std::size_t i = 0; i < n; i += kWidth) {
      const std::size_t words = 2 * left(i, n);
      const std::size_t first = words < kWidth ? words : kWidth;
      const V a = V::load_some(low + i, left(i, n));
      const V b = a + V::load_some(delta + i, left(i, n));
      if constexpr (kWidth == 1) {
        a.store(pairs + 2 * i);
        b.store(pairs + 2 * i + 1);
      } else {
        V x, y;
        zip(a, b, x, y);
        put_some(x, pairs + 2 * i, first);
        put_some(y, pairs + 2 * i + kWidth, words - first);
      }
    }
  }
  static void fold_base(const Word* pairs, std::size_t n, const zk::Ext& rho, Word* to0,
                        Word* to1) {
    const W r = W::broadcast(rho);
    for (std::size_t i = 0; i < n; i += kWidth) {
      V a, b;
      pairs_at(pairs + 2 * i, left(i, n), a, b);
      const W product = r * (b - a);
      put_some(product.c0 + a, to0 + i, left(i, n));
      put_some(product.c1, to1 + i, left(i, n));
    }
  }
  static void fold(const Word* pairs0, const Word* pairs1, std::size_t n, const zk::Ext& rho,
                   Word* to0, Word* to1) {
    const W r = W::broadcast(rho);
    for (std::size_t i = 0; i < n; i += kWidth) {
      W a, b;
      pairs_at(pairs0 + 2 * i, left(i, n), a.c0, b.c0);
      pairs_at(pairs1 + 2 * i, left(i, n), a.c1, b.c1);
      const W folded = a + r * (b - a);
      put_some(folded.c0, to0 + i, left(i, n));
      put_some(folded.c1, to1 + i, left(i, n));
    }
  }

  static void add_base(Word* to, const Word* from, std::size_t n) {
    for (std::size_t i = 0; i < n; i += kWidth) (V::load(to + i) + V::load(from + i)).store(to + i);
  }
  static void add(Word* to, const Word* from, std::size_t n) {
    for (std::size_t i = 0; i < n; i += kWidth) put(at(to, i) + at(from, i), to, i);
  }
  static void mul_both_base(Word* to, const Word* a, const Word* b, std::size_t n) {
    for (std::size_t i = 0; i < n; i += kWidth) (V::load(a + i) * V::load(b + i)).store(to + i);
  }
  static void mul_base(Word* to, const Word* a, const Word* b, std::size_t n) {
    for (std::size_t i = 0; i < n; i += kWidth) put(at(a, i) * V::load(b + i), to, i);
  }
  static void mul(Word* to, const Word* a, const Word* b, std::size_t n) {
    for (std::size_t i = 0; i < n; i += kWidth) put(at(a, i) * at(b, i), to, i);
  }
  static void mul_add_base(Word* to, const Word* a, const Word* b, std::size_t n) {
    for (std::size_t i = 0; i < n; i += kWidth) put(at(to, i) + at(a, i) * V::load(b + i), to, i);
  }
  static void mul_add(Word* to, const Word* a, const Word* b, std::size_t n) {
    for (std::size_t i = 0; i < n; i += kWidth) put(at(to, i) + at(a, i) * at(b, i), to, i);
  }
  static void scale_add_base(Word* to, const zk::Ext& by, const Word* b, std::size_t n) {
    const W factor = W::broadcast(by);
    for (std::size_t i = 0; i < n; i += kWidth) put(at(to, i) + factor * V::load(b + i), to, i);
  }
  static void scale_add(Word* to, const zk::Ext& by, const Word* b, std::size_t n) {
    const W factor = W::broadcast(by);
    for (std::size_t i = 0; i < n; i += kWidth) put(at(to, i) + factor * at(b, i), to, i);
  }
  static void sum(Word* lanes, const Word* from, std::size_t n) {
    W total = W::load(lanes, lanes + kMaxLanes);
    for (std::size_t i = 0; i < n; i += kWidth) {
      total = total + W::load_some(from + i, from + kBlock + i, left(i, n));
    }
    total.store(lanes, lanes + kMaxLanes);
  }
};

template <class V>
inline constexpr SumcheckKernels kSumcheckKernels = {
    .split = SumcheckLoops<V>::split,
    .join = SumcheckLoops<V>::join,
    .fold_base = SumcheckLoops<V>::fold_base,
    .fold = SumcheckLoops<V>::fold,
    .add_base = SumcheckLoops<V>::add_base,
    .add = SumcheckLoops<V>::add,
    .mul_both_base = SumcheckLoops<V>::mul_both_base,
    .mul_base = SumcheckLoops<V>::mul_base,
    .mul = SumcheckLoops<V>::mul,
    .mul_add_base = SumcheckLoops<V>::mul_add_base,
    .mul_add = SumcheckLoops<V>::mul_add,
    .scale_add_base = SumcheckLoops<V>::scale_add_base,
    .scale_add = SumcheckLoops<V>::scale_add,
    .sum = SumcheckLoops<V>::sum,
};

}  // namespace otr::prover

#endif  // OTR_PROVER_SUMCHECK_KERNELS_H_
