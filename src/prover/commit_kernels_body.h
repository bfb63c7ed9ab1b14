// The bodies behind commit_kernels.h, for any vector of lanes.h. Included by one file for each
// instruction set; nothing here calls a function that is not forced inline or a template over V.
#ifndef OTR_PROVER_COMMIT_KERNELS_BODY_H_
#define OTR_PROVER_COMMIT_KERNELS_BODY_H_

#include "prover/commit_kernels.h"
#include "prover/lanes.h"

namespace otr::prover {

template <class V>
struct CommitKernelBodies {
  static constexpr std::size_t kW = V::kWidth;
  using E = ExtLanes<V>;

  // W rows of W elements become W columns: each round of zips turns the bits of an element's number
  // (row, column) by one.
  OTR_INLINE static void transpose(V (&v)[kW]) {
    for (std::size_t round = 1; round < kW; round *= 2) {
      V turned[kW];
      for (std::size_t i = 0; i < kW / 2; ++i) {
        zip(v[i], v[i + kW / 2], turned[2 * i], turned[2 * i + 1]);
      }
      for (std::size_t i = 0; i < kW; ++i) v[i] = turned[i];
    }
  }
  OTR_INLINE static void load_transposed(const std::uint64_t* rows, std::size_t stride,
                                         std::size_t count, V (&v)[kW]) {
    for (std::size_t c = 0; c < kW; ++c) {
      v[c] = c < count ? V::load(rows + c * stride) : V::broadcast(0);
    }
    transpose(v);
  }

  static void encode_rows(const std::uint64_t* rows, std::size_t stride, std::size_t count,
                          std::size_t n, zk::Twiddles twiddles, std::uint64_t* scratch,
                          std::uint64_t* parity, std::size_t parity_stride) {
    for (std::size_t i = 0; i < n; i += kW) {
      V v[kW];
      load_transposed(rows + i, stride, count, v);
      for (std::size_t p = 0; p < kW; ++p) v[p].store(scratch + (i + p) * kW);
    }
    zk::extend<V>(scratch, n, twiddles);
    for (std::size_t i = 0; i < n; ++i) {
      const V v = V::load(scratch + i * kW);
      if (count == kW) {
        v.store(parity + i * parity_stride);
      } else {
        v.store_some(parity + i * parity_stride, count);
      }
    }
  }

  static void gather_places(const std::uint64_t* rows, std::size_t stride, std::size_t count,
                            std::uint64_t* out) {
    for (std::size_t c = 0; c < count; c += kW) {
      const std::size_t here = count - c < kW ? count - c : kW;
      for (std::size_t i = 0; i < kGatheredPlaces; i += kW) {
        V v[kW];
        load_transposed(rows + c * stride + i, stride, here, v);
        for (std::size_t p = 0; p < kW; ++p) {
          if (here == kW) {
            v[p].store(out + (i + p) * count + c);
          } else {
            v[p].store_some(out + (i + p) * count + c, here);
          }
        }
      }
    }
  }

  static void add_scaled(Exts out, ConstExts table, std::size_t n, const zk::Ext* factor) {
    const E scale = E::broadcast(*factor);
    if (n < kW) {
      const E sum = E::load_some(out.c0, out.c1, n) + E::load_some(table.c0, table.c1, n) * scale;
      return sum.store_some(out.c0, out.c1, n);
    }
    for (std::size_t i = 0; i < n; i += kW) {
      const E sum = E::load(out.c0 + i, out.c1 + i) + E::load(table.c0 + i, table.c1 + i) * scale;
      sum.store(out.c0 + i, out.c1 + i);
    }
  }

  struct Sums {
    E at0 = E::zero(), leading = E::zero();

    OTR_INLINE void store(LaneSums& to) const {
      for (std::size_t i = 0; i < 4 * kMostWidth; ++i) to[i] = 0;
      at0.store(to, to + kMostWidth);
      leading.store(to + 2 * kMostWidth, to + 3 * kMostWidth);
    }
  };
  OTR_INLINE static void load_pairs(ConstExts from, std::size_t at, E& even, E& odd) {
    unzip(E::load(from.c0 + at, from.c1 + at), E::load(from.c0 + at + kW, from.c1 + at + kW), even,
          odd);
  }
  OTR_INLINE static void load_pairs(const std::uint64_t* from, std::size_t at, V& even, V& odd) {
    unzip(V::load(from + at), V::load(from + at + kW), even, odd);
  }

  static void sum_base(const std::uint64_t* f, ConstExts w, std::size_t n, LaneSums& sums) {
    Sums total;
    for (std::size_t i = 0; i < n; i += 2 * kW) {
      V f_even, f_odd;
      E w_even, w_odd;
      load_pairs(f, i, f_even, f_odd);
      load_pairs(w, i, w_even, w_odd);
      total.at0 = total.at0 + w_even * f_even;
      total.leading = total.leading + (w_odd - w_even) * (f_odd - f_even);
    }
    total.store(sums);
  }

  static void sum_ext(ConstExts f, ConstExts w, std::size_t n, LaneSums& sums) {
    Sums total;
    for (std::size_t i = 0; i < n; i += 2 * kW) {
      E f_even, f_odd, w_even, w_odd;
      load_pairs(f, i, f_even, f_odd);
      load_pairs(w, i, w_even, w_odd);
      total.at0 = total.at0 + w_even * f_even;
      total.leading = total.leading + (w_odd - w_even) * (f_odd - f_even);
    }
    total.store(sums);
  }

  static void fold_base(const std::uint64_t* f, std::size_t n, const zk::Ext* r, Exts out) {
    const E bound = E::broadcast(*r);
    for (std::size_t i = 0; i < n; i += 2 * kW) {
      V even, odd;
      load_pairs(f, i, even, odd);
      E folded = bound * (odd - even);
      folded.c0 = folded.c0 + even;
      folded.store(out.c0 + i / 2, out.c1 + i / 2);
    }
  }

  OTR_INLINE static E fold(ConstExts from, std::size_t at, E r) {
    E even, odd;
    load_pairs(from, at, even, odd);
    return even + (odd - even) * r;
  }
  static void fold_and_sum(ConstExts f, ConstExts w, std::size_t n, const zk::Ext* r, Exts f_out,
                           Exts w_out, LaneSums& sums) {
    const E bound = E::broadcast(*r);
    Sums total;
    for (std::size_t i = 0; i < n; i += 4 * kW) {
      const std::size_t o = i / 2;
      const E f_low = fold(f, i, bound), f_high = fold(f, i + 2 * kW, bound);
      f_low.store(f_out.c0 + o, f_out.c1 + o);
      f_high.store(f_out.c0 + o + kW, f_out.c1 + o + kW);
      const E w_low = fold(w, i, bound), w_high = fold(w, i + 2 * kW, bound);
      w_low.store(w_out.c0 + o, w_out.c1 + o);
      w_high.store(w_out.c0 + o + kW, w_out.c1 + o + kW);
      E f_even, f_odd, w_even, w_odd;
      unzip(f_low, f_high, f_even, f_odd);
      unzip(w_low, w_high, w_even, w_odd);
      total.at0 = total.at0 + w_even * f_even;
      total.leading = total.leading + (w_odd - w_even) * (f_odd - f_even);
    }
    total.store(sums);
  }

  static void combine_rows(const std::uint64_t* rows, std::size_t stride, std::size_t count,
                           const zk::Ext* weights, Exts out) {
    constexpr std::size_t kVectors = 8;  // accumulators that stay in registers
    for (std::size_t i = 0; i < kCombinedPlaces; i += kVectors * kW) {
      E sums[kVectors];
      for (E& sum : sums) sum = E::zero();
      for (std::size_t c = 0; c < count; ++c) {
        const E weight = E::broadcast(weights[c]);
        const std::uint64_t* row = rows + c * stride + i;
        for (std::size_t v = 0; v < kVectors; ++v) {
          sums[v] = sums[v] + weight * V::load(row + v * kW);
        }
      }
      for (std::size_t v = 0; v < kVectors; ++v) {
        sums[v].store(out.c0 + i + v * kW, out.c1 + i + v * kW);
      }
    }
  }

  static constexpr CommitKernels kTable = {kW,         encode_rows,  gather_places,
                                           add_scaled, sum_base,     sum_ext,
                                           fold_base,  fold_and_sum, combine_rows};
};

}  // namespace otr::prover

#endif  // OTR_PROVER_COMMIT_KERNELS_BODY_H_
