// Steps of the norms (SPEC OP-3, OP-4, OP-5).
#ifndef OTR_MACHINE_STEP_NORM_H_
#define OTR_MACHINE_STEP_NORM_H_

#include "machine/step_reads.h"

namespace otr::machine {

// OP-3.
template <class State>
std::int64_t embedding(Reads<State>& in, std::uint64_t j) {
  const std::int64_t id = in.token(in.t());
  const MatrixInfo& e = in.program().embed;
  return in.shifted(in.weight(MatrixId::kEmbed, id, j) * in.scale(MatrixId::kEmbed, id),
                    e.exponent - in.shape().residual_frac_bits);
}

// One of the three norms of a row: which tensors hold its parts, and what it reads.
struct NormSite {
  Tensor hi, lo, shift, sumsq, root, row_hi, row_lo, row_exp, row;
  GainId gain;
  int gain_exponent;
  std::int32_t bound;
  bool of_x_mid;  // reads x_mid instead of the row entering the layer
};

template <class State>
NormSite attn_site(const Reads<State>& in) {
  using enum Tensor;
  return {kN1Hi,
          kN1Lo,
          kN1Shift,
          kN1Sumsq,
          kN1Root,
          kAHi,
          kALo,
          kAExp,
          kA,
          GainId::kAttnNorm,
          in.layer().gain_exponents[0],
          in.layer().bounds.attn,
          false};
}
template <class State>
NormSite mlp_site(const Reads<State>& in) {
  using enum Tensor;
  return {kN2Hi,
          kN2Lo,
          kN2Shift,
          kN2Sumsq,
          kN2Root,
          kMHi,
          kMLo,
          kMExp,
          kM,
          GainId::kMlpNorm,
          in.layer().gain_exponents[3],
          in.layer().bounds.mlp,
          true};
}
template <class State>
NormSite final_site(const Reads<State>& in) {
  using enum Tensor;
  return {kNfHi,
          kNfLo,
          kNfShift,
          kNfSumsq,
          kNfRoot,
          kFHi,
          kFLo,
          kFExp,
          kF,
          GainId::kFinalNorm,
          in.program().final_norm_exponent,
          in.program().head_bound,
          false};
}

// Element `which` of (N, k, t, R), SPEC ARITH-4, each from the ones before it. `n` is computed for
// element 0 only; a checker verifies t by its two squares and R by its quotient.
template <class State, class ComputeN>
std::int64_t root_element(Reads<State>& in, Tensor root, std::uint64_t base, std::uint64_t which,
                          ComputeN n) {
  constexpr std::int64_t kMaxN = std::int64_t{1} << 61;
  if (which == 0) return in.ranged(n(), 1, kMaxN);
  const std::int64_t big_n = in.micro(root, base, 1, kMaxN);
  if (which == 1) return reciprocal_root(big_n).k;
  if (which == 2) {
    const int k = static_cast<int>(in.micro(root, base + 1, 0, 30));
    // Only the k of this N makes N·4^k fit; any other is not an output of step 1.
    if (k != reciprocal_root(big_n).k) return in.ranged(-1, 0, 0);
    return integer_root(big_n << (2 * k));
  }
  const std::int64_t t = in.micro(root, base + 2, std::int64_t{1} << 30, kInt31);
  return ((std::int64_t{1} << 46) + t / 2) / t;
}

// R and k of a root that was committed.
struct RootValues {
  std::int64_t r;
  int k;
};
template <class State>
RootValues root_values(Reads<State>& in, Tensor root, std::uint64_t base) {
  return {in.micro(root, base + 3, 1 << 15, 1 << 16),
          static_cast<int>(in.micro(root, base + 1, 0, 30))};
}

// OP-4, all nine tensors of a site.
template <class State>
std::int64_t norm_row(Reads<State>& in, const NormSite& site, Tensor tensor, std::uint64_t i) {
  const std::uint32_t d = in.shape().hidden;
  const auto x = [&](std::uint64_t j) {
    return site.of_x_mid ? in.micro(Tensor::kXMid, j) : in.x_in(j);
  };
  const auto shift = [&] { return in.exponent(site.shift, 0); };
  const auto block = [&](std::uint32_t size, auto fold) {
    for (std::uint64_t j = i * size; j < std::min<std::uint64_t>(d, (i + 1) * size); ++j) fold(j);
  };
  const auto row_exponent_base = [&](const RootValues& root) {
    return site.gain_exponent + 46 - root.k;
  };
  const auto value = [&](std::uint64_t j, int s, const RootValues& root) {
    return in.ranged(x(j) >> s, kSigned24) * in.gain(site.gain, j) * root.r;
  };

  if (tensor == site.hi || tensor == site.lo) {
    Extremes e;
    block(kPartTerms, [&](std::uint64_t j) { e.add(x(j)); });
    return tensor == site.hi ? e.hi : e.lo;
  }
  if (tensor == site.shift) {
    Extremes e;
    for (std::uint32_t p = 0; p < blocks(d, kPartTerms); ++p) {
      e.add(in.micro(site.hi, p));
      e.add(in.micro(site.lo, p));
    }
    return e.least_floor_shift(24);
  }
  if (tensor == site.sumsq) {
    const int s = shift();
    std::int64_t sum = 0;
    block(kPartTerms, [&](std::uint64_t j) {
      const std::int64_t v = in.ranged(x(j) >> s, kSigned24);
      sum += v * v;
    });
    return sum;
  }
  if (tensor == site.root) {
    return root_element(in, site.root, 0, i, [&] {
      std::int64_t sum = rsh(in.shape().eps, 2 * shift());
      for (std::uint32_t p = 0; p < blocks(d, kPartTerms); ++p) sum += in.micro(site.sumsq, p);
      return std::max<std::int64_t>(1, sum);
    });
  }
  if (tensor == site.row_hi || tensor == site.row_lo) {
    const RootValues root = root_values(in, site.root, 0);
    const int s = shift();
    Extremes e;
    block(kFoldTerms, [&](std::uint64_t j) { e.add(value(j, s, root)); });
    return tensor == site.row_hi ? e.hi : e.lo;
  }
  const RootValues root = root_values(in, site.root, 0);
  if (tensor == site.row_exp) {
    Extremes e;
    for (std::uint32_t q = 0; q < blocks(d, kFoldTerms); ++q) {
      e.add(in.micro(site.row_hi, q));
      e.add(in.micro(site.row_lo, q));
    }
    return row_exponent(e, row_exponent_base(root), site.bound, kNormCap);
  }
  return in.shifted(value(i, shift(), root),
                    row_exponent_base(root) - in.exponent(site.row_exp, 0));
}

// OP-5: N, k, t, R of one head of q or k.
template <class State>
std::int64_t head_root(Reads<State>& in, Tensor y, Tensor root, std::uint64_t i) {
  const std::uint32_t d = in.shape().head_dim;
  const std::uint64_t head = i / 4;
  return root_element(in, root, 4 * head, i % 4, [&] {
    std::int64_t sum = in.shape().eps_qk;
    for (std::uint64_t j = head * d; j < (head + 1) * d; ++j) {
      const std::int64_t v = in.micro(y, j);
      sum += v * v;
    }
    return std::max<std::int64_t>(1, sum);
  });
}

template <class State>
std::int64_t head_norm(Reads<State>& in, Tensor y, Tensor root, GainId gain, std::uint64_t i) {
  const std::uint32_t d = in.shape().head_dim;
  const RootValues r = root_values(in, root, 4 * (i / d));
  const int e = in.layer().gain_exponents[static_cast<std::size_t>(gain)];
  return in.shifted(in.micro(y, i) * in.gain(gain, i % d) * r.r,
                    e + 46 - r.k - in.shape().qk_frac_bits);
}

}  // namespace otr::machine

#endif  // OTR_MACHINE_STEP_NORM_H_
