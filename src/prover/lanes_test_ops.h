// One operation of the lanes at a time over arrays, for lanes_test.cc: compiled once per
// instruction set.
#ifndef OTR_PROVER_LANES_TEST_OPS_H_
#define OTR_PROVER_LANES_TEST_OPS_H_

#include "prover/lanes.h"

namespace otr::prover {

// Pointers to K are two arrays after one another, `count` apart.
struct LanesOps {
  // sum, difference, product, 7·a of n elements, the last vector being partial.
  void (*base)(const std::uint64_t* a, const std::uint64_t* b, std::size_t n, std::uint64_t* sum,
               std::uint64_t* difference, std::uint64_t* product, std::uint64_t* seven);
  void (*extension)(const std::uint64_t* a, const std::uint64_t* b, std::size_t n,
                    std::uint64_t* sum, std::uint64_t* difference, std::uint64_t* product);
  // unzip of each two vectors of a (2n elements, n a multiple of 8) and zip of that.
  void (*shuffle)(const std::uint64_t* a, std::size_t n, std::uint64_t* even, std::uint64_t* odd,
                  std::uint64_t* again);
  // load_some with a rest of r, all lanes stored.
  void (*partial)(const std::uint64_t* a, std::size_t n, std::uint64_t rest, std::uint64_t* to);
  // pick and pick_one of one vector of slots.
  void (*pick)(const std::uint64_t* from, const std::uint64_t* slots, unsigned k,
               std::uint64_t rest, std::uint64_t* to, std::uint64_t* ones);
  std::size_t width;
};

template <class V>
struct LanesOpsOf {
  static constexpr std::size_t kWidth = V::kWidth;

  static void base(const std::uint64_t* a, const std::uint64_t* b, std::size_t n,
                   std::uint64_t* sum, std::uint64_t* difference, std::uint64_t* product,
                   std::uint64_t* seven) {
    for (std::size_t i = 0; i < n; i += kWidth) {
      const std::size_t some = n - i < kWidth ? n - i : kWidth;
      const V x = some == kWidth ? V::load(a + i) : V::load_some(a + i, some);
      const V y = some == kWidth ? V::load(b + i) : V::load_some(b + i, some);
      (x + y).store_some(sum + i, some);
      (x - y).store_some(difference + i, some);
      (x * y).store_some(product + i, some);
      times7(x).store_some(seven + i, some);
    }
  }
  static void extension(const std::uint64_t* a, const std::uint64_t* b, std::size_t n,
                        std::uint64_t* sum, std::uint64_t* difference, std::uint64_t* product) {
    for (std::size_t i = 0; i < n; i += kWidth) {
      const std::size_t some = n - i < kWidth ? n - i : kWidth;
      const auto x = ExtLanes<V>::load_some(a + i, a + n + i, some, ExtLanes<V>::one());
      const auto y = ExtLanes<V>::load_some(b + i, b + n + i, some);
      (x + y).store_some(sum + i, sum + n + i, some);
      (x - y).store_some(difference + i, difference + n + i, some);
      (x * y).store_some(product + i, product + n + i, some);
    }
  }
  static void shuffle(const std::uint64_t* a, std::size_t n, std::uint64_t* even,
                      std::uint64_t* odd, std::uint64_t* again) {
    for (std::size_t i = 0; i < n; i += kWidth) {
      V e, o, x, y;
      unzip(V::load(a + 2 * i), V::load(a + 2 * i + kWidth), e, o);
      e.store(even + i);
      o.store(odd + i);
      zip(e, o, x, y);
      x.store(again + 2 * i);
      y.store(again + 2 * i + kWidth);
    }
  }
  static void partial(const std::uint64_t* a, std::size_t n, std::uint64_t rest,
                      std::uint64_t* to) {
    V::load_some(a, n, V::broadcast(rest)).store(to);
  }
  static void pick(const std::uint64_t* from, const std::uint64_t* slots, unsigned k,
                   std::uint64_t rest, std::uint64_t* to, std::uint64_t* ones) {
    const V lanes = V::load(slots);
    V::pick(from, lanes, k, V::broadcast(rest)).store(to);
    V::pick_one(lanes, k).store(ones);
  }
};

template <class V>
inline constexpr LanesOps kLanesOps = {LanesOpsOf<V>::base,    LanesOpsOf<V>::extension,
                                       LanesOpsOf<V>::shuffle, LanesOpsOf<V>::partial,
                                       LanesOpsOf<V>::pick,    V::kWidth};

// Null where the compiler was not asked for the set.
const LanesOps* lanes_ops_avx2();
const LanesOps* lanes_ops_avx512();

}  // namespace otr::prover

#endif  // OTR_PROVER_LANES_TEST_OPS_H_
