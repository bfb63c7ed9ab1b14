// Steps of rotation and attention (SPEC OP-7, OP-8, OP-10 to OP-13).
#ifndef OTR_MACHINE_STEP_ATTENTION_H_
#define OTR_MACHINE_STEP_ATTENTION_H_

#include "machine/step_linear.h"
#include "machine/step_reads.h"

namespace otr::machine {

// TAB-7.
template <class State>
std::int64_t rope(Reads<State>& in, std::uint64_t i) {
  const Phase phase = phase_of(in.t(), in.rope_step(i / 2));
  const auto row = [&](int n) {
    const std::uint64_t at = 2 * phase.index[n];
    return Rotor{in.table(TableId::kRope, n, at), in.table(TableId::kRope, n, at + 1)};
  };
  const Angle a = combine(row(0), row(1), row(2));
  return i % 2 == 0 ? a.c : a.s;
}

// OP-8: which tensors hold the rows of q or of k.
struct RotatedSite {
  Tensor y, hi, lo, exp, row;
  std::int32_t bound;
};
template <class State>
RotatedSite q_site(const Reads<State>& in) {
  using enum Tensor;
  return {in.shape().qk_norm ? kQN : kQY, kQHi, kQLo, kQExp, kQ, q_bound(in.shape().head_dim)};
}
template <class State>
RotatedSite k_site(const Reads<State>& in) {
  using enum Tensor;
  return {in.shape().qk_norm ? kKN : kKY, kKHi, kKLo, kKExp, kK, kKBound};
}

// OP-7: element j of the rotated tensor y.
template <class State>
std::int64_t rotated(Reads<State>& in, Tensor y, std::uint64_t j) {
  const std::uint32_t d = in.shape().head_dim;
  const std::uint32_t half = d / 2;
  const std::uint64_t i = j % half;
  const std::uint64_t head = j - j % d;
  const std::int64_t c = in.micro(Tensor::kRope, 2 * i);
  const std::int64_t s = in.micro(Tensor::kRope, 2 * i + 1);
  const std::int64_t y0 = in.micro(y, head + i);
  const std::int64_t y1 = in.micro(y, head + i + half);
  return j % d < half ? y0 * c - y1 * s : y1 * c + y0 * s;
}

template <class State>
std::int64_t qk_row(Reads<State>& in, const RotatedSite& site, Tensor tensor, std::uint64_t i) {
  const std::uint32_t d = in.shape().head_dim;
  if (tensor == site.hi || tensor == site.lo) {
    Extremes e;
    for (std::uint64_t j = i * d; j < (i + 1) * d; ++j) e.add(rotated(in, site.y, j));
    return tensor == site.hi ? e.hi : e.lo;
  }
  const int f = in.shape().qk_frac_bits + 15;
  if (tensor == site.exp) {
    Extremes e;
    e.add(in.micro(site.hi, i));
    e.add(in.micro(site.lo, i));
    return row_exponent(e, f, site.bound, in.shape().qk_frac_bits);
  }
  return in.shifted(rotated(in, site.y, i), f - in.exponent(site.exp, i / d));
}

// OP-10. Index: head × position in the window's tiles.
template <class State>
std::int64_t score(Reads<State>& in, std::uint64_t i) {
  const Shape& shape = in.shape();
  const TileRange tiles = tiles_of(in.t(), shape.window);
  const std::uint64_t width = std::uint64_t{tiles.count} * kTile;
  const auto head = static_cast<std::uint32_t>(i / width);
  const auto u = static_cast<std::uint32_t>(tiles.first * kTile + i % width);
  if (u < first_attended(in.t(), shape.window) || u > in.t()) return 0;
  const std::uint32_t g = shape.kv_head_of(head);
  const std::uint32_t d = shape.head_dim;
  const std::int64_t bound = q_bound(d);
  std::int64_t sum = 0;
  for (std::uint32_t j = 0; j < d; ++j) {
    sum += in.micro(Tensor::kQ, std::uint64_t{head} * d + j, -bound, bound) * in.k(g, u, j);
  }
  return in.shifted(sum, in.exponent(Tensor::kQExp, head) + in.k_exponent(g, u) - 8);
}

// Calls fold(z, u) for every position of the tile that position t attends to.
template <class State, class Fold>
void over_tile(Reads<State>& in, std::uint64_t head, std::uint64_t tile, Fold fold) {
  const TileRange tiles = tiles_of(in.t(), in.shape().window);
  const std::uint32_t lo = first_attended(in.t(), in.shape().window);
  for (std::uint32_t i = 0; i < kTile; ++i) {
    const auto u = static_cast<std::uint32_t>((tiles.first + tile) * kTile + i);
    if (u < lo || u > in.t()) continue;
    fold(in.micro(Tensor::kZ, (head * tiles.count + tile) * kTile + i), u);
  }
}

// EXP2[z mod 256] shifted right so that the octave floor(z / 256) - f becomes `top`.
template <class State>
std::int64_t power(Reads<State>& in, std::int64_t z, std::int64_t top, std::int64_t f) {
  // Octaves lie within 2^23 + 30 of zero, so that every gap is legal: far ones give 0.
  return in.shifted(in.table(TableId::kExp2, 0, z & 255), top - ((z >> 8) - f), 1 << 25);
}

// OP-11: M, X and S of one tile.
template <class State>
std::int64_t tile_scalar(Reads<State>& in, Tensor tensor, std::uint64_t i) {
  const std::uint32_t tiles = tiles_of(in.t(), in.shape().window).count;
  const std::uint64_t head = i / tiles;
  const std::uint32_t g = in.shape().kv_head_of(static_cast<std::uint32_t>(head));
  if (tensor == Tensor::kTileS) {
    const std::int64_t top = in.micro(Tensor::kTileM, i);
    std::int64_t sum = 0;
    over_tile(in, head, i % tiles,
              [&](std::int64_t z, std::uint32_t) { sum += power(in, z, top, 0); });
    return sum;
  }
  Extremes e;
  over_tile(in, head, i % tiles, [&](std::int64_t z, std::uint32_t u) {
    e.add((z >> 8) - (tensor == Tensor::kTileX ? in.v_exponent(g, u) : 0));
  });
  return e.hi;
}

// OP-11: A of one tile and one element of the head.
template <class State>
std::int64_t tile_value(Reads<State>& in, std::uint64_t i) {
  const std::uint32_t tiles = tiles_of(in.t(), in.shape().window).count;
  const std::uint32_t d = in.shape().head_dim;
  const std::uint64_t head = i / tiles / d;
  const auto j = static_cast<std::uint32_t>(i / tiles % d);
  const std::uint32_t g = in.shape().kv_head_of(static_cast<std::uint32_t>(head));
  const std::int64_t top = in.micro(Tensor::kTileX, head * tiles + i % tiles);
  std::int64_t sum = 0;
  over_tile(in, head, i % tiles, [&](std::int64_t z, std::uint32_t u) {
    sum += power(in, z, top, in.v_exponent(g, u)) * in.v(g, u, j);
  });
  return sum;
}

// Σ values·2^(23 - (top - octave)) over the tiles of a head, far tiles left out.
template <class State>
std::int64_t aligned_sum(Reads<State>& in, Tensor values, std::uint64_t base, Tensor octaves,
                         std::uint64_t head, std::int64_t top) {
  const std::uint32_t tiles = tiles_of(in.t(), in.shape().window).count;
  std::int64_t sum = 0;
  for (std::uint32_t tile = 0; tile < tiles; ++tile) {
    const std::int64_t gap =
        in.ranged(top - in.micro(octaves, head * tiles + tile), 0, std::int64_t{1} << 32);
    if (gap <= 23) sum += in.micro(values, base + tile) << (23 - gap);
  }
  return sum;
}

// OP-12: M, X, S and (b, R) of a head.
template <class State>
std::int64_t head_scalar(Reads<State>& in, Tensor tensor, std::uint64_t i) {
  using enum Tensor;
  const std::uint32_t tiles = tiles_of(in.t(), in.shape().window).count;
  if (tensor == kHeadM || tensor == kHeadX) {
    Extremes e;
    for (std::uint32_t tile = 0; tile < tiles; ++tile) {
      e.add(in.micro(tensor == kHeadM ? kTileM : kTileX, i * tiles + tile));
    }
    return e.hi;
  }
  if (tensor == kHeadS) {
    return aligned_sum(in, kTileS, i * tiles, kTileM, i, in.micro(kHeadM, i));
  }
  const std::int64_t sum = in.micro(kHeadS, i / 2);
  const int b = bitlen(sum) - 31;
  return i % 2 == 0 ? b : (std::int64_t{1} << 46) / (sum >> b);
}

// OP-12: A of one element, the shift of a head, and o.
template <class State>
std::int64_t head_value(Reads<State>& in, Tensor tensor, std::uint64_t i) {
  using enum Tensor;
  const std::uint32_t tiles = tiles_of(in.t(), in.shape().window).count;
  const std::uint32_t d = in.shape().head_dim;
  if (tensor == kHeadA) {
    const std::uint64_t head = i / d;
    return aligned_sum(in, kTileA, i * tiles, kTileX, head, in.micro(kHeadX, head));
  }
  if (tensor == kHeadShift) {
    Extremes e;
    for (std::uint64_t j = i * d; j < (i + 1) * d; ++j) e.add(in.micro(kHeadA, j));
    return e.least_shift(kSigned19);
  }
  const std::int64_t a = rsh(in.micro(kHeadA, i), in.exponent(kHeadShift, i / d));
  return in.ranged(a, kSigned19) * in.micro(kHeadR, 2 * (i / d) + 1, 1 << 15, 1 << 16);
}

// OP-13.
template <class State>
std::int64_t attention_row(Reads<State>& in, Tensor tensor, std::uint64_t i) {
  using enum Tensor;
  const std::uint32_t d = in.shape().head_dim;
  if (tensor == kOHi || tensor == kOLo) {
    return fold(in, kOV, i, in.shape().q_width(), d, tensor == kOHi);
  }
  const auto exponent = [&](std::uint64_t head) {  // of o_j of OP-12
    return static_cast<int>(46 - in.micro(kHeadShift, head) + in.micro(kHeadR, 2 * head, 7, 25) +
                            in.micro(kHeadM, head) - in.micro(kHeadX, head));
  };
  if (tensor == kOExp) {
    int f = kRowCap;
    for (std::uint32_t head = 0; head < in.shape().heads; ++head) {
      Extremes e;
      e.add(in.micro(kOHi, head));
      e.add(in.micro(kOLo, head));
      f = std::min(f, row_exponent(e, exponent(head), in.layer().bounds.o, kRowCap));
    }
    return f;
  }
  return in.shifted(in.micro(kOV, i), exponent(i / d) - in.exponent(kOExp, 0), 1 << 26);
}

}  // namespace otr::machine

#endif  // OTR_MACHINE_STEP_ATTENTION_H_
