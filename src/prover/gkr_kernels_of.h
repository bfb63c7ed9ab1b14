// The kernels of gkr_kernels.h as templates over the lanes; included once per instruction set.
#ifndef OTR_PROVER_GKR_KERNELS_OF_H_
#define OTR_PROVER_GKR_KERNELS_OF_H_

#include "prover/gkr_kernels.h"
#include "prover/lanes.h"

namespace otr::prover {

template <class V>
struct GkrKernelsOf {
  using E = ExtLanes<V>;
  static constexpr std::size_t kWidth = V::kWidth;
  static constexpr std::uint64_t kOneEach[8] = {1, 1, 1, 1, 1, 1, 1, 1};

  struct Quad {
    E p0, p1, q0, q1;
  };

  // Of `n` elements, those left after `skipped`, as far as they fit into a vector.
  OTR_INLINE static std::size_t some(std::size_t n, std::size_t skipped) {
    const std::size_t left = n > skipped ? n - skipped : 0;
    return left < kWidth ? left : kWidth;
  }
  template <bool kFull>
  OTR_INLINE static E load(const std::uint64_t* c0, const std::uint64_t* c1, std::size_t at,
                           std::size_t n, E rest) {
    return kFull ? E::load(c0 + at, c1 + at) : E::load_some(c0 + at, c1 + at, n, rest);
  }
  OTR_INLINE static void unzip_quads(const Quad& a, const Quad& b, Quad& even, Quad& odd) {
    unzip(a.p0, b.p0, even.p0, odd.p0);
    unzip(a.p1, b.p1, even.p1, odd.p1);
    unzip(a.q0, b.q0, even.q0, odd.q0);
    unzip(a.q1, b.q1, even.q1, odd.q1);
  }

  // --- Sources: where the quadruples of a round come from
  // -----------------------------------------

  template <Numerators kP>
  struct Nodes {
    static constexpr std::size_t kPer = 2;  // elements of the source in an x
    static constexpr bool kOnes = kP == Numerators::kOnes;
    NodeArrays in;
    E lambda;

    OTR_INLINE explicit Nodes(const RoundIn& round)
        : in(round.nodes), lambda(E::broadcast(round.lambda)) {}
    template <bool kFull>
    OTR_INLINE static void load_p(const NodeArrays& in, std::size_t at, std::size_t n, E& even,
                                  E& odd) {
      const std::size_t a = some(n, 0), b = some(n, kWidth);
      E first = E::zero(), second = E::zero();
      if constexpr (kP == Numerators::kExt) {
        first = load<kFull>(in.p0, in.p1, at, a, E::zero());
        second = load<kFull>(in.p0, in.p1, at + kWidth, b, E::zero());
      } else if constexpr (kP == Numerators::kBase) {
        first.c0 = kFull ? V::load(in.p0 + at) : V::load_some(in.p0 + at, a);
        second.c0 = kFull ? V::load(in.p0 + at + kWidth) : V::load_some(in.p0 + at + kWidth, b);
      } else {
        first.c0 = V::load_some(kOneEach, a);
        second.c0 = V::load_some(kOneEach, b);
      }
      unzip(first, second, even, odd);
    }
    template <bool kFull>
    OTR_INLINE static void load_q(const NodeArrays& in, std::size_t at, std::size_t n, E& even,
                                  E& odd) {
      const E first = load<kFull>(in.q0, in.q1, at, some(n, 0), E::one());
      const E second = load<kFull>(in.q0, in.q1, at + kWidth, some(n, kWidth), E::one());
      unzip(first, second, even, odd);
    }
    // kWidth quadruples from element `at` on, of which n elements exist; p1 without its λ·q1.
    template <bool kFull>
    OTR_INLINE Quad quads(std::size_t at, std::size_t n) const {
      Quad x;
      load_q<kFull>(in, at, n, x.q0, x.q1);
      if constexpr (!(kOnes && kFull)) load_p<kFull>(in, at, n, x.p0, x.p1);
      return x;
    }
    // The element k of each slot.
    OTR_INLINE static void pick(const NodeArrays& in, V slots, unsigned k, E& p, E& q) {
      q = E::pick(in.q0, in.q1, slots, k, E::one());
      p = E::zero();
      if constexpr (kP == Numerators::kExt) {
        p = E::pick(in.p0, in.p1, slots, k, E::zero());
      } else if constexpr (kP == Numerators::kBase) {
        p.c0 = V::pick(in.p0, slots, k, V::broadcast(0));
      } else {
        p.c0 = V::pick_one(slots, k);
      }
    }
    OTR_INLINE Quad picked(std::size_t at, V slots, unsigned k) const {
      const NodeArrays here = {in.q0 + at, in.q1 + at,
                               kP == Numerators::kOnes ? nullptr : in.p0 + at,
                               kP == Numerators::kExt ? in.p1 + at : nullptr};
      Quad x;
      pick(here, slots, 2 * k, x.p0, x.q0);
      pick(here, slots, 2 * k + 1, x.p1, x.q1);
      return x;
    }
    // Binding is linear, so that λ may come after it.
    OTR_INLINE Quad finished(Quad x) const {
      x.p1 = x.p1 + lambda * x.q1;
      return x;
    }
  };

  struct State {
    static constexpr std::size_t kPer = 1;
    static constexpr bool kOnes = false;
    const std::uint64_t* in;
    std::size_t stride;
    E lambda;

    OTR_INLINE explicit State(const RoundIn& round)
        : in(round.state), stride(round.state_stride), lambda(E::broadcast(round.lambda)) {}
    template <bool kFull>
    OTR_INLINE Quad quads(std::size_t at, std::size_t n) const {
      const std::size_t a = some(n, 0);
      return {load<kFull>(in, in + stride, at, a, E::zero()),
              load<kFull>(in + 2 * stride, in + 3 * stride, at, a, lambda),
              load<kFull>(in + 4 * stride, in + 5 * stride, at, a, E::one()),
              load<kFull>(in + 6 * stride, in + 7 * stride, at, a, E::one())};
    }
    OTR_INLINE Quad picked(std::size_t at, V slots, unsigned k) const {
      const std::uint64_t* from = in + at;
      return {E::pick(from, from + stride, slots, k, E::zero()),
              E::pick(from + 2 * stride, from + 3 * stride, slots, k, lambda),
              E::pick(from + 4 * stride, from + 5 * stride, slots, k, E::one()),
              E::pick(from + 6 * stride, from + 7 * stride, slots, k, E::one())};
    }
    OTR_INLINE Quad finished(Quad x) const { return x; }
  };

  // --- A round
  // -------------------------------------------------------------------------------------

  // What a segment sums. leading_ones lacks a factor λ.
  struct Accumulators {
    E at_zero = E::zero(), leading = E::zero(), leading_ones = E::zero();
  };

  template <class Source, bool kFold, bool kSum>
  struct Round {
    static constexpr std::size_t kPair = 2 * Source::kPer;  // elements in a pair of quadruples
    static constexpr std::size_t kStep = kWidth * kPair * (kFold && kSum ? 2 : 1);
    const RoundIn& in;
    Source source;
    E rho;

    OTR_INLINE explicit Round(const RoundIn& round)
        : in(round), source(round), rho(E::broadcast(round.rho)) {}

    OTR_INLINE E bind(E even, E odd) const { return even + rho * (odd - even); }
    template <bool kFull>
    OTR_INLINE Quad fold(std::size_t at, std::size_t n) const {
      const Quad a = source.template quads<kFull>(at, n);
      const std::size_t half = kWidth * Source::kPer;
      const Quad b = source.template quads<kFull>(at + half, n > half ? n - half : 0);
      Quad even, odd;
      if constexpr (Source::kOnes && kFull) {
        unzip(a.q0, b.q0, even.q0, odd.q0);
        unzip(a.q1, b.q1, even.q1, odd.q1);
        return source.finished({E::one(), E::one(), bind(even.q0, odd.q0), bind(even.q1, odd.q1)});
      } else {
        unzip_quads(a, b, even, odd);
        return bind_all(even, odd);
      }
    }
    OTR_INLINE Quad bind_all(const Quad& even, const Quad& odd) const {
      return source.finished({bind(even.p0, odd.p0), bind(even.p1, odd.p1), bind(even.q0, odd.q0),
                              bind(even.q1, odd.q1)});
    }
    OTR_INLINE void store(const Quad& x, std::size_t at, std::size_t n) const {
      std::uint64_t* out = in.out + at;
      const std::size_t d = in.out_stride;
      x.p0.store_some(out, out + d, n);
      x.p1.store_some(out + 2 * d, out + 3 * d, n);
      x.q0.store_some(out + 4 * d, out + 5 * d, n);
      x.q1.store_some(out + 6 * d, out + 7 * d, n);
    }
    OTR_INLINE void sum(const Quad& even, const Quad& odd, E weight, Accumulators& to) const {
      to.at_zero = to.at_zero + weight * (even.p0 * even.q1 + even.p1 * even.q0 - source.lambda);
      to.leading = to.leading + weight * ((odd.p0 - even.p0) * (odd.q1 - even.q1) +
                                          (odd.p1 - even.p1) * (odd.q0 - even.q0));
    }
    // p0 = p1 = 1: the summand is q0 + q1 + λ·(q0·q1 - 1).
    OTR_INLINE void sum_ones(const Quad& even, const Quad& odd, E weight, Accumulators& to) const {
      const E one_plus = E::one() + source.lambda * even.q0;
      to.at_zero = to.at_zero + weight * (even.q0 + even.q1 * one_plus - source.lambda);
      to.leading_ones = to.leading_ones + weight * ((odd.q0 - even.q0) * (odd.q1 - even.q1));
    }

    // kStep elements from `i` on of a segment at `from` whose output is at `to`; n are left.
    template <bool kFull>
    OTR_INLINE void step(std::size_t from, std::size_t to, std::size_t i, std::size_t n,
                         Accumulators& sums) const {
      Quad a, b;
      if constexpr (kFold) {
        const std::size_t half = kWidth * kPair;
        const std::size_t outs = (n + kPair - 1) / kPair;
        a = fold<kFull>(from + i, n);
        store(a, to + i / kPair, some(outs, 0));
        if constexpr (kSum) {
          b = fold<kFull>(from + i + half, n > half ? n - half : 0);
          store(b, to + i / kPair + kWidth, some(outs, kWidth));
        }
      } else {
        const std::size_t half = kWidth * Source::kPer;
        a = source.template quads<kFull>(from + i, n);
        b = source.template quads<kFull>(from + i + half, n > half ? n - half : 0);
      }
      if constexpr (kSum) {
        constexpr std::size_t kSummed = kPair * (kFold ? 2 : 1);  // elements per summand
        const E weight = load<kFull>(in.inner0, in.inner1, i / kSummed,
                                     some((n + kSummed - 1) / kSummed, 0), E::zero());
        Quad even, odd;
        if constexpr (!kFold && Source::kOnes && kFull) {
          unzip(a.q0, b.q0, even.q0, odd.q0);
          unzip(a.q1, b.q1, even.q1, odd.q1);
          sum_ones(even, odd, weight, sums);
        } else {
          unzip_quads(a, b, even, odd);
          if constexpr (!kFold) {
            even = source.finished(even);
            odd = source.finished(odd);
          }
          sum(even, odd, weight, sums);
        }
      }
    }
  };

  template <class Source, bool kFold, bool kSum>
  static void run(const RoundIn& in, RoundSums& sums) {
    const Round<Source, kFold, kSum> round(in);
    constexpr std::size_t kStep = Round<Source, kFold, kSum>::kStep;
    const Rows& rows = in.rows;
    E at_zero = E::zero(), leading = E::zero();
    for (std::size_t s = rows.begin; s < rows.end; ++s) {
      const std::size_t row = s / rows.per_row;
      const std::size_t start = s % rows.per_row * rows.chunk;
      const std::size_t left = rows.length - start;
      const std::size_t n = left < rows.chunk ? left : rows.chunk;
      const std::size_t from = row * rows.length + start;
      const std::size_t to = row * rows.out_length + start / (2 * Source::kPer);
      Accumulators segment;
      std::size_t i = 0;
      for (; i + kStep <= n; i += kStep) round.template step<true>(from, to, i, kStep, segment);
      if (i < n) round.template step<false>(from, to, i, n - i, segment);
      if constexpr (kSum) {
        const std::size_t w = s - rows.begin;
        const E weight = {V::broadcast(in.weights0[w]), V::broadcast(in.weights1[w])};
        if constexpr (Source::kOnes) {
          segment.leading = segment.leading + round.source.lambda * segment.leading_ones;
        }
        at_zero = at_zero + weight * segment.at_zero;
        leading = leading + weight * segment.leading;
      }
    }
    if constexpr (kSum) {
      at_zero.store(sums.at_zero[0], sums.at_zero[1]);
      leading.store(sums.leading[0], sums.leading[1]);
    }
  }

  // One of kFold and its contrary, summing.
  template <class Source, bool kFold>
  static void run_picked(const RoundIn& in, RoundSums& sums) {
    const Round<Source, kFold, !kFold> round(in);
    const Rows& rows = in.rows;
    E at_zero = E::zero(), leading = E::zero();
    for (std::size_t s = rows.begin; s < rows.end; ++s) {
      const std::size_t row = s / rows.per_row, c = s % rows.per_row;
      const std::size_t from = row * rows.length + c * rows.chunk;
      const std::size_t to = row * rows.out_length + c * rows.out_chunk;
      const std::size_t left = rows.out_length - c * rows.out_chunk;
      const std::size_t n = left < rows.out_chunk ? left : rows.out_chunk;
      Accumulators segment;
      for (std::size_t i = 0; i < n; i += kWidth) {
        const std::size_t outs = some(n, i);
        const V slots = V::load_some(rows.slots + i, outs);
        const Quad even = round.source.picked(from, slots, 0);
        const Quad odd = round.source.picked(from, slots, 1);
        if constexpr (kFold) {
          round.store(round.bind_all(even, odd), to + i, outs);
        } else {
          const E weight = E::load_some(in.inner0 + i, in.inner1 + i, outs);
          round.sum(round.source.finished(even), round.source.finished(odd), weight, segment);
        }
      }
      if constexpr (!kFold) {
        const std::size_t w = s - rows.begin;
        const E weight = {V::broadcast(in.weights0[w]), V::broadcast(in.weights1[w])};
        at_zero = at_zero + weight * segment.at_zero;
        leading = leading + weight * segment.leading;
      }
    }
    if constexpr (!kFold) {
      at_zero.store(sums.at_zero[0], sums.at_zero[1]);
      leading.store(sums.leading[0], sums.leading[1]);
    }
  }

  // --- Fractions up
  // --------------------------------------------------------------------------------

  template <Numerators kP, bool kFull>
  OTR_INLINE static void add_step(const NodeArrays& in, std::size_t at, std::size_t n,
                                  std::uint64_t* out, std::size_t stride) {
    E q_even, q_odd, p;
    Nodes<kP>::template load_q<kFull>(in, at, n, q_even, q_odd);
    if constexpr (kP == Numerators::kOnes && kFull) {
      p = q_even + q_odd;
    } else {
      E p_even, p_odd;
      Nodes<kP>::template load_p<kFull>(in, at, n, p_even, p_odd);
      p = p_even * q_odd + p_odd * q_even;
    }
    const std::size_t outs = some((n + 1) / 2, 0);
    (q_even * q_odd).store_some(out, out + stride, outs);
    p.store_some(out + 2 * stride, out + 3 * stride, outs);
  }

  template <Numerators kP>
  static void add(const Rows& rows, const NodeArrays& in, std::uint64_t* out, std::size_t stride) {
    constexpr std::size_t kStep = 2 * kWidth;
    for (std::size_t s = rows.begin; s < rows.end; ++s) {
      const std::size_t row = s / rows.per_row;
      const std::size_t start = s % rows.per_row * rows.chunk;
      const std::size_t left = rows.length - start;
      const std::size_t n = left < rows.chunk ? left : rows.chunk;
      const std::size_t from = row * rows.length + start;
      std::uint64_t* to = out + row * rows.out_length + start / 2;
      std::size_t i = 0;
      for (; i + kStep <= n; i += kStep) {
        add_step<kP, true>(in, from + i, kStep, to + i / 2, stride);
      }
      if (i < n) add_step<kP, false>(in, from + i, n - i, to + i / 2, stride);
    }
  }

  template <Numerators kP>
  static void add_picked(const Rows& rows, const NodeArrays& in, std::uint64_t* out,
                         std::size_t stride) {
    for (std::size_t s = rows.begin; s < rows.end; ++s) {
      const std::size_t start = s * rows.chunk, out_start = s * rows.out_chunk;
      const NodeArrays here = {in.q0 + start, in.q1 + start,
                               kP == Numerators::kOnes ? nullptr : in.p0 + start,
                               kP == Numerators::kExt ? in.p1 + start : nullptr};
      const std::size_t left = rows.out_length - out_start;
      const std::size_t n = left < rows.out_chunk ? left : rows.out_chunk;
      for (std::size_t i = 0; i < n; i += kWidth) {
        const std::size_t outs = some(n, i);
        const V slots = V::load_some(rows.slots + i, outs);
        E p_even, q_even, p_odd, q_odd;
        Nodes<kP>::pick(here, slots, 0, p_even, q_even);
        Nodes<kP>::pick(here, slots, 1, p_odd, q_odd);
        std::uint64_t* to = out + out_start + i;
        (q_even * q_odd).store_some(to, to + stride, outs);
        (p_even * q_odd + p_odd * q_even).store_some(to + 2 * stride, to + 3 * stride, outs);
      }
    }
  }
};

template <class V>
constexpr GkrKernels make_gkr_kernels() {
  using K = GkrKernelsOf<V>;
  using Ones = typename K::template Nodes<Numerators::kOnes>;
  using Base = typename K::template Nodes<Numerators::kBase>;
  using Full = typename K::template Nodes<Numerators::kExt>;
  return {
      .add = {K::template add<Numerators::kOnes>, K::template add<Numerators::kBase>,
              K::template add<Numerators::kExt>},
      .sum_nodes = {K::template run<Ones, false, true>, K::template run<Base, false, true>,
                    K::template run<Full, false, true>},
      .sum_state = K::template run<typename K::State, false, true>,
      .fold_nodes = {K::template run<Ones, true, false>, K::template run<Base, true, false>,
                     K::template run<Full, true, false>},
      .fold_sum_nodes = {K::template run<Ones, true, true>, K::template run<Base, true, true>,
                         K::template run<Full, true, true>},
      .fold_state = K::template run<typename K::State, true, false>,
      .fold_sum_state = K::template run<typename K::State, true, true>,
      .picked_add = {K::template add_picked<Numerators::kOnes>,
                     K::template add_picked<Numerators::kBase>,
                     K::template add_picked<Numerators::kExt>},
      .picked_sum_nodes = {K::template run_picked<Ones, false>, K::template run_picked<Base, false>,
                           K::template run_picked<Full, false>},
      .picked_sum_state = K::template run_picked<typename K::State, false>,
      .picked_fold_nodes = {K::template run_picked<Ones, true>, K::template run_picked<Base, true>,
                            K::template run_picked<Full, true>},
      .picked_fold_state = K::template run_picked<typename K::State, true>,
  };
}

}  // namespace otr::prover

#endif  // OTR_PROVER_GKR_KERNELS_OF_H_
