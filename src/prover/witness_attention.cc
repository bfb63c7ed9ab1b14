// Projections, rows and attention of a layer (SPEC OP-6 to OP-13).
#include <algorithm>
#include <array>
#include <atomic>

#include "machine/tables.h"
#include "prover/pass.h"
#include "zk/row_lines.h"

namespace otr::prover {
namespace {

using machine::kTile;
using machine::rsh;
using zk::felt;

constexpr std::int64_t kFarIndex = 4096;  // of table EXP: nothing is left of the power

// OP-6 on q or k: accumulators and y, halves apart. Returns whether all stayed in range.
bool project(Pass& pass, std::uint32_t l, const std::string& domain, const machine::Matrix& w,
             const RowSet& a) {
  const std::size_t d = pass.shape.head_dim;
  const std::array<Cells*, 2> acc{&pass.column(domain + ".acc0"), &pass.column(domain + ".acc1")};
  const std::array<Cells*, 2> y{&pass.column(domain + ".y0"), &pass.column(domain + ".y1")};
  std::atomic<bool> in_range = true;
  multiply(pass.pool, w, a, [&](std::size_t n, std::size_t t, std::int64_t sum) {
    const std::size_t j = n % d;
    const std::size_t half = j / (d / 2);
    const std::size_t cell = pass.at(l, t, w.rows / 2) + n / d * (d / 2) + j % (d / 2);
    const engine::Rounded rounded =
        engine::linear(sum * w.scale[n], w.exponent + a.exponents[t] - pass.shape.qk_frac_bits);
    const std::int64_t value = rounded.value + (w.bias.empty() ? 0 : w.bias[n]);
    if (!rounded.in_range || !machine::kSigned24.holds(value)) in_range = false;
    (*acc[half])[cell] = felt(sum).v;
    (*y[half])[cell] = felt(value).v;
  });
  return in_range;
}

// The halves of q or of k. What is rotated, n, is y where the model has no head norms.
struct HeadColumns {
  HeadColumns(Pass& pass, const std::string& name)
      : y{&pass.column(name + ".y0"), &pass.column(name + ".y1")},
        n(y),
        sums(pass.shape.qk_norm ? &pass.column(name + "sq") : nullptr) {
    if (pass.shape.qk_norm) n = {&pass.column(name + ".n0"), &pass.column(name + ".n1")};
  }

  std::array<Cells*, 2> y, n;
  Cells* sums;
};

// OP-5 on head number `head` of all rows: n and Σ y². Returns whether y' stayed in range.
bool norm_head(const HeadColumns& columns, std::size_t head, const machine::Shape& shape,
               const machine::Gain& gain, std::uint64_t& sum) {
  const std::size_t half = shape.head_dim / 2;
  std::array<std::int32_t, machine::kMaxHeadDim> buffer;
  const auto y = std::span(buffer).first(shape.head_dim);
  sum = 0;
  for (std::size_t j = 0; j < y.size(); ++j) {
    const std::int64_t v = integer_of((*columns.y[j / half])[head * half + j % half]);
    sum += static_cast<std::uint64_t>(v * v);
    y[j] = static_cast<std::int32_t>(v);
  }
  (*columns.sums)[head] = sum;
  const bool in_range = engine::head_norm(y, gain, shape.eps_qk, shape.qk_frac_bits);
  for (std::size_t j = 0; j < y.size(); ++j) {
    (*columns.n[j / half])[head * half + j % half] = felt(y[j]).v;
  }
  return in_range;
}

// OP-7 on the head that begins at `cell`.
void rotate(const HeadColumns& columns, std::size_t cell, std::span<const machine::Angle> angles,
            std::span<std::int64_t> r) {
  const std::size_t half = angles.size();
  for (std::size_t i = 0; i < half; ++i) {
    const std::int64_t a = integer_of((*columns.n[0])[cell + i]);
    const std::int64_t b = integer_of((*columns.n[1])[cell + i]);
    r[i] = a * angles[i].c - b * angles[i].s;
    r[i + half] = b * angles[i].c + a * angles[i].s;
  }
}

// The rows of q, k and v at one position; whether their exponents are in range.
class PositionRows {
 public:
  PositionRows(Pass& pass, std::uint32_t l, const RowSet& a)
      : pass_(pass),
        l_(l),
        d_(pass.shape.head_dim),
        a_(a),
        q_columns_(pass, "q"),
        k_columns_(pass, "k"),
        q_{&pass.column("q.q0"), &pass.column("q.q1")},
        v_acc_(pass.column("v.acc")) {}

  bool make(std::uint32_t t, RowSet& q) const {
    std::vector<machine::Angle> angles(d_ / 2);
    for (std::size_t i = 0; i < angles.size(); ++i) {
      angles[i] = machine::angle(t, pass_.job.model.rope_steps[i]);
    }
    bool in_range = true;
    for (std::uint32_t h = 0; h < pass_.shape.heads; ++h) {
      in_range &= make_q(t, h, angles, q.data(t) + h * d_);
    }
    for (std::uint32_t g = 0; g < pass_.shape.kv_heads; ++g) {
      in_range &= make_k(t, g, angles);
      in_range &= make_v(t, g);
    }
    return in_range;
  }

 private:
  // OP-8.
  zk::Record rotated_row(const HeadColumns& columns, std::size_t cell,
                         std::span<const machine::Angle> angles, std::int64_t bound,
                         std::int16_t* out) const {
    std::array<std::int64_t, machine::kMaxHeadDim> buffer;
    const auto r = std::span(buffer).first(d_);
    rotate(columns, cell, angles, r);
    const int f = pass_.shape.qk_frac_bits;
    return record_of(r, f + 15, engine::quantise<std::int16_t>(r, f + 15, bound, f, out), bound, f);
  }
  bool make_q(std::uint32_t t, std::uint32_t h, std::span<const machine::Angle> angles,
              std::int16_t* row) const {
    const std::size_t head = pass_.at(l_, t, pass_.shape.heads) + h;
    const std::size_t cell = head * (d_ / 2);
    zk::RowScalars& scalars = pass_.scalars.rows[l_][t];
    if (pass_.shape.qk_norm && !norm_head(q_columns_, head, pass_.shape,
                                          pass_.job.model.layers[l_].q_norm, scalars.q_sumsq[h])) {
      return false;
    }
    zk::Record& record = scalars.q[h];
    record = rotated_row(q_columns_, cell, angles, machine::q_bound(pass_.shape.head_dim), row);
    for (std::size_t i = 0; i < d_ / 2; ++i) {
      (*q_[0])[cell + i] = felt(row[i]).v;
      (*q_[1])[cell + i] = felt(row[i + d_ / 2]).v;
    }
    return record.exponent >= 4;
  }
  bool make_k(std::uint32_t t, std::uint32_t g, std::span<const machine::Angle> angles) const {
    const std::size_t head = pass_.at(l_, t, pass_.shape.kv_heads) + g;
    zk::RowScalars& scalars = pass_.scalars.rows[l_][t];
    if (pass_.shape.qk_norm && !norm_head(k_columns_, head, pass_.shape,
                                          pass_.job.model.layers[l_].k_norm, scalars.k_sumsq[g])) {
      return false;
    }
    std::int16_t* row = pass_.rows.k[l_ * pass_.shape.kv_heads + g].data() + t * (d_ + 1);
    zk::Record& record = scalars.k[g];
    record = rotated_row(k_columns_, head * (d_ / 2), angles, machine::kKBound, row);
    row[d_] = static_cast<std::int16_t>(record.exponent);
    return record.exponent >= 4;
  }
  // OP-9.
  bool make_v(std::uint32_t t, std::uint32_t g) const {
    const machine::Matrix& w = pass_.job.model.layers[l_].wv;
    const std::size_t cell = pass_.at(l_, t, pass_.shape.kv_width()) + g * d_;
    std::array<std::int64_t, machine::kMaxHeadDim> buffer;
    const auto values = std::span(buffer).first(d_);
    for (std::size_t j = 0; j < d_; ++j) {
      values[j] = integer_of(v_acc_[cell + j]) * w.scale[g * d_ + j];
    }
    std::int8_t* row = pass_.rows.v[l_ * pass_.shape.kv_heads + g].data() + t * (d_ + 1);
    const int f = w.exponent + a_.exponents[t];
    const int exponent =
        engine::quantise<std::int8_t>(values, f, machine::kVBound, machine::kRowCap, row);
    row[d_] = static_cast<std::int8_t>(exponent);
    pass_.scalars.rows[l_][t].v[g] =
        record_of(values, f, exponent, machine::kVBound, machine::kRowCap);
    return exponent >= -30;
  }

  Pass& pass_;
  const std::uint32_t l_;
  const std::size_t d_;
  const RowSet& a_;
  const HeadColumns q_columns_, k_columns_;
  const std::array<Cells*, 2> q_;
  const Cells& v_acc_;
};

// The power 2^(-e/256) of a distance as table EXP has it.
std::int64_t weight_of(std::int64_t e) {
  return e >= kFarIndex ? 0
                        : rsh(machine::exp2_table()[static_cast<std::size_t>(255 - e % 256)],
                              static_cast<int>(e / 256));
}

// Attention of one head at one position (OP-10 to OP-12).
class HeadAttention {
 public:
  HeadAttention(Pass& pass, std::uint32_t l)
      : pass_(pass),
        l_(l),
        d_(pass.shape.head_dim),
        acc_(pass.column("z.acc")),
        z_(pass.column("z.z")),
        r_(pass.column("z.r")),
        e_{&pass.column("z.e"), &pass.column("z.e'")},
        p_{&pass.column("z.p"), &pass.column("z.p'")},
        sum_(pass.column("hsum")),
        a_(pass.column("o.A")),
        y_(pass.column("o.y")),
        cells_of_query_(z_.size() / pass.shape.layers / pass.shape.heads / pass.positions) {}

  // Writes o_j and returns their exponent; `wide` is set where a distance needs two limbs.
  int run(std::uint32_t h, std::uint32_t t, std::span<const std::int16_t> q,
          std::span<std::int64_t> o, bool& wide);

 private:
  struct Tile {
    std::int64_t m = INT64_MIN, x = INT64_MIN, s = 0;
    std::array<std::int64_t, machine::kMaxHeadDim> a{};
  };
  void scores(std::uint32_t h, std::uint32_t t, std::span<const std::int16_t> q);
  Tile tile(std::uint32_t begin, std::uint32_t end, zk::TileScalars& scalars, bool& wide);

  Pass& pass_;
  const std::uint32_t l_;
  const std::size_t d_;
  Cells &acc_, &z_, &r_;
  const std::array<Cells*, 2> e_, p_;
  Cells &sum_, &a_, &y_;
  const std::size_t cells_of_query_;
  // Of the query at hand.
  std::size_t first_ = 0;  // cell of u = T = 0: position p stands at first_ + p
  const std::int16_t* k_ = nullptr;
  const std::int8_t* v_ = nullptr;
};

void HeadAttention::scores(std::uint32_t h, std::uint32_t t, std::span<const std::int16_t> q) {
  const int q_exponent = pass_.scalars.rows[l_][t].q[h].exponent;
  const std::uint32_t lo = machine::first_attended(t, pass_.shape.window);
  // The contraction that defines acc knows no mask: later positions have one too.
  for (std::uint32_t p = 0; p < pass_.positions; ++p) {
    const std::int16_t* k = k_ + p * (d_ + 1);
    std::int32_t sum = 0;  // below 2^31 by the bounds of OP-8
    for (std::size_t j = 0; j < d_; ++j) sum += q[j] * k[j];
    acc_[first_ + p] = felt(sum).v;
    if (p < lo || p > t) continue;
    const int s = q_exponent + k[d_] - 8;
    const std::int64_t z = rsh(sum, s);
    z_[first_ + p] = felt(z).v;
    const std::int64_t power = std::int64_t{1} << s;
    r_[first_ + p] = felt(2 * std::int64_t{sum} + power - 2 * z * power).v;
  }
}

HeadAttention::Tile HeadAttention::tile(std::uint32_t begin, std::uint32_t end,
                                        zk::TileScalars& scalars, bool& wide) {
  Tile tile;
  const auto v_exponent = [&](std::uint32_t p) { return v_[p * (d_ + 1) + d_]; };
  for (std::uint32_t p = begin; p < end; ++p) {
    const std::int64_t z = integer_of(z_[first_ + p]);
    const std::int64_t octave = z >> 8;
    if (octave > tile.m) {
      tile.m = octave;
      scalars.mu = static_cast<std::uint8_t>(p % kTile);
      scalars.mr = static_cast<std::uint8_t>(z & 255);
    }
    if (octave - v_exponent(p) > tile.x) {
      tile.x = octave - v_exponent(p);
      scalars.xu = static_cast<std::uint8_t>(p % kTile);
      scalars.xr = static_cast<std::uint8_t>(z & 255);
    }
  }
  scalars.m = static_cast<std::int32_t>(tile.m);
  scalars.x = static_cast<std::int32_t>(tile.x);
  for (std::uint32_t p = begin; p < end; ++p) {
    const std::int64_t z = integer_of(z_[first_ + p]);
    const std::array<std::int64_t, 2> distance{256 * tile.m + 255 - z,
                                               256 * (tile.x + v_exponent(p)) + 255 - z};
    std::array<std::int64_t, 2> weight{};
    for (std::size_t i = 0; i < 2; ++i) {
      const std::int64_t e = std::min(distance[i], kFarIndex);
      weight[i] = weight_of(e);
      (*e_[i])[first_ + p] = felt(e).v;
      (*p_[i])[first_ + p] = felt(weight[i]).v;
      wide |= distance[i] - e >= 1 << zk::kLimbBits;
    }
    tile.s += weight[0];
    if (weight[1] == 0) continue;
    for (std::size_t j = 0; j < d_; ++j) tile.a[j] += weight[1] * v_[p * (d_ + 1) + j];
  }
  return tile;
}

int HeadAttention::run(std::uint32_t h, std::uint32_t t, std::span<const std::int16_t> q,
                       std::span<std::int64_t> o, bool& wide) {
  const std::size_t head = std::size_t{l_} * pass_.shape.heads + h;
  first_ = (head * pass_.positions + t) * cells_of_query_;
  const std::size_t kv = l_ * pass_.shape.kv_heads + pass_.shape.kv_head_of(h);
  k_ = pass_.rows.k[kv].data();
  v_ = pass_.rows.v[kv].data();
  scores(h, t, q);

  zk::RowScalars& scalars = pass_.scalars.rows[l_][t];
  const std::uint32_t lo = machine::first_attended(t, pass_.shape.window);
  const machine::TileRange range = machine::tiles_of(t, pass_.shape.window);
  std::vector<Tile> tiles;
  machine::Extremes m, x;
  for (std::uint32_t i = 0; i < range.count; ++i) {
    const std::uint32_t begin = (range.first + i) * kTile;
    tiles.push_back(
        tile(std::max(lo, begin), std::min(t + 1, begin + kTile), scalars.tiles[h][i], wide));
    m.add(tiles.back().m);
    x.add(tiles.back().x);
  }
  std::int64_t sum = 0;
  std::ranges::fill(o, 0);
  for (const Tile& tile : tiles) {
    if (m.hi - tile.m <= 23) sum += tile.s << (23 - (m.hi - tile.m));
    if (x.hi - tile.x > 23) continue;
    for (std::size_t j = 0; j < d_; ++j) o[j] += tile.a[j] << (23 - (x.hi - tile.x));
  }
  const int b = machine::bitlen(static_cast<std::uint64_t>(sum)) - 31;
  const std::int64_t r = (std::int64_t{1} << 46) / (sum >> b);
  machine::Extremes e;
  for (const std::int64_t a : o) e.add(a);
  const int s = e.least_shift(machine::kSigned19);
  scalars.heads[h].sum = static_cast<std::uint64_t>(sum);
  scalars.heads[h].shift = {.exponent = s};
  sum_[pass_.at(l_, t, pass_.shape.heads) + h] = felt(sum).v;
  if (s > 0) {
    const std::uint32_t named = *first_beyond(o, s - 1, machine::kSigned19);
    scalars.heads[h].shift = {s, named, o[named]};
  }
  const std::size_t cell = pass_.at(l_, t, pass_.shape.q_width()) + h * d_;
  for (std::size_t j = 0; j < d_; ++j) {
    a_[cell + j] = felt(o[j]).v;
    y_[cell + j] = felt(rsh(o[j], s)).v;
    o[j] = rsh(o[j], s) * r;
  }
  return static_cast<int>(46 - s + b + m.hi - x.hi);
}

// OP-13 on the values of all heads of a position.
void make_o_row(Pass& pass, std::uint32_t l, std::uint32_t t, std::span<const std::int64_t> values,
                std::span<const int> exponents, RowSet& out) {
  const std::size_t d = pass.shape.head_dim;
  const std::int64_t bound = pass.job.model.layers[l].bounds.o;
  int f = machine::kRowCap;
  for (std::size_t h = 0; h < exponents.size(); ++h) {
    machine::Extremes e;
    for (const std::int64_t v : values.subspan(h * d, d)) e.add(v);
    f = std::min(f, machine::row_exponent(e, exponents[h], bound, machine::kRowCap));
  }
  zk::Record& record = pass.scalars.rows[l][t].o;
  record = {.exponent = f};
  if (f < std::min(machine::kRowCap, std::ranges::min(exponents))) {
    // Some head demands this exponent: with one more it leaves the range.
    for (std::size_t h = 0; h < exponents.size(); ++h) {
      if (exponents[h] == f) continue;
      const auto head = values.subspan(h * d, d);
      const auto named = first_beyond(head, exponents[h] - f - 1, {-bound, bound});
      if (!named) continue;
      record.named = static_cast<std::uint32_t>(h * d + *named);
      record.value = head[*named];
      break;
    }
  }
  out.exponents[t] = f;
  Cells& o = pass.column("o.o");
  const std::size_t cell = pass.at(l, t, values.size());
  for (std::size_t j = 0; j < values.size(); ++j) {
    out.data(t)[j] = static_cast<std::int16_t>(rsh(values[j], exponents[j / d] - f));
    o[cell + j] = felt(out.data(t)[j]).v;
  }
}

}  // namespace

Status project_qkv(Pass& pass, std::uint32_t l, const RowSet& a) {
  const machine::Layer& layer = pass.job.model.layers[l];
  const bool q = project(pass, l, "q", layer.wq, a);
  if (!q || !project(pass, l, "k", layer.wk, a)) {
    return pass.out_of_range(l, "q and k projection (SPEC OP-6)");
  }
  Cells& acc = pass.column("v.acc");
  multiply(pass.pool, layer.wv, a, [&](std::size_t n, std::size_t t, std::int64_t sum) {
    acc[pass.at(l, t, layer.wv.rows) + n] = felt(sum).v;
  });
  return {};
}

Result<RowSet> make_qkv_rows(Pass& pass, std::uint32_t l, const RowSet& a) {
  RowSet q(pass.positions, pass.shape.q_width());
  const PositionRows rows(pass, l, a);
  std::atomic<bool> in_range = true;
  pass.pool.split(pass.positions, [&](std::size_t begin, std::size_t end) {
    for (std::size_t t = begin; t < end; ++t) {
      if (!rows.make(static_cast<std::uint32_t>(t), q)) in_range = false;
    }
  });
  if (!in_range) return pass.out_of_range(l, "q, k and v rows (SPEC OP-5, OP-8, OP-9)");
  return q;
}

RowSet attend(Pass& pass, std::uint32_t l, const RowSet& q) {
  const machine::Shape& shape = pass.shape;
  RowSet o(pass.positions, shape.q_width());
  std::atomic<bool> wide = false;
  // Later positions cost more, so positions are dealt out in turn, not in blocks.
  const std::size_t shares = pass.pool.threads();
  pass.pool.split(shares, [&](std::size_t begin, std::size_t end) {
    HeadAttention attention(pass, l);
    std::vector<std::int64_t> values(shape.q_width());
    std::vector<int> exponents(shape.heads);
    bool wide_here = false;
    for (std::size_t share = begin; share < end; ++share) {
      for (std::size_t p = share; p < pass.positions; p += shares) {
        const auto t = static_cast<std::uint32_t>(p);
        for (std::uint32_t h = 0; h < shape.heads; ++h) {
          const std::size_t at = std::size_t{h} * shape.head_dim;
          exponents[h] = attention.run(h, t, q.row(t).subspan(at, shape.head_dim),
                                       std::span(values).subspan(at, shape.head_dim), wide_here);
        }
        make_o_row(pass, l, t, values, exponents, o);
      }
    }
    if (wide_here) wide = true;
  });
  if (wide) pass.scalars.gap = 2;
  return o;
}

}  // namespace otr::prover
