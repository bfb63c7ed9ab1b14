// Norms, residuals and the feed-forward of a layer (SPEC OP-4, OP-14 to OP-16).
#include <atomic>

#include "machine/tables.h"
#include "prover/pass.h"

namespace otr::prover {
namespace {

using machine::rsh;
using zk::felt;

// OP-4 on x_mid of one position, with what the proof says of it.
class MiddleNorm {
 public:
  MiddleNorm(Pass& pass, std::uint32_t l)
      : pass_(pass),
        l_(l),
        layer_(pass.job.model.layers[l]),
        x_(pass.column("x.x")),
        xr_(pass.column("x.xr")),
        m_(pass.column("x.m")),
        ssq_(pass.column("ssq")) {}

  int make(std::uint32_t t, std::span<const std::int32_t> x, std::span<std::int64_t> values,
           std::int16_t* row) const {
    zk::RowScalars& scalars = pass_.scalars.rows[l_][t];
    const std::size_t cell = pass_.at(l_, t, x.size());
    const int s = shift(x, scalars.norm_shift);
    std::int64_t sum = 0;
    for (std::size_t j = 0; j < x.size(); ++j) {
      values[j] = x[j] >> s;
      sum += values[j] * values[j];
      x_[cell + j] = felt(values[j]).v;
      xr_[cell + j] = static_cast<std::uint64_t>(x[j]) & ((std::uint64_t{1} << s) - 1);
    }
    scalars.norm_sumsq = static_cast<std::uint64_t>(sum);
    ssq_[pass_.at(l_, t, 1)] = felt(sum).v;
    const std::int64_t n = std::max<std::int64_t>(1, sum + rsh(pass_.shape.eps, 2 * s));
    const machine::ReciprocalRoot root = machine::reciprocal_root(n);
    for (std::size_t j = 0; j < x.size(); ++j) values[j] *= layer_.mlp_norm.gain[j] * root.r;
    const int f = layer_.mlp_norm.exponent + 46 - root.k;
    const std::int64_t bound = layer_.bounds.mlp;
    const int exponent = engine::quantise<std::int16_t>(values, f, bound, machine::kNormCap, row);
    scalars.m = record_of(values, f, exponent, bound, machine::kNormCap);
    for (std::size_t j = 0; j < x.size(); ++j) m_[cell + j] = felt(row[j]).v;
    return exponent;
  }

 private:
  static int shift(std::span<const std::int32_t> x, zk::Record& record) {
    machine::Extremes e;
    for (const std::int32_t v : x) e.add(v);
    const int s = e.least_floor_shift(24);
    record = {.exponent = s};
    for (std::uint32_t j = 0; s > 0 && j < x.size(); ++j) {
      if (machine::kSigned24.holds(x[j] >> (s - 1))) continue;
      record = {s, j, x[j]};
      break;
    }
    return s;
  }

  Pass& pass_;
  const std::uint32_t l_;
  const machine::Layer& layer_;
  Cells &x_, &xr_, &m_, &ssq_;
};

// OP-14: adds the product to x and keeps its accumulators.
bool add_product(Pass& pass, std::uint32_t l, const machine::Matrix& w, const RowSet& input,
                 Cells& acc, std::span<std::int32_t> x) {
  std::atomic<bool> in_range = true;
  multiply(pass.pool, w, input, [&](std::size_t n, std::size_t t, std::int64_t sum) {
    acc[pass.at(l, t, w.rows) + n] = felt(sum).v;
    const engine::Rounded y = engine::linear(
        sum * w.scale[n], w.exponent + input.exponents[t] - pass.shape.residual_frac_bits);
    std::int32_t& to = x[t * w.rows + n];
    const std::int64_t value = to + y.value + (w.bias.empty() ? 0 : w.bias[n]);
    if (!y.in_range || !machine::kSigned32.holds(value)) in_range = false;
    to = static_cast<std::int32_t>(value);
  });
  return in_range;
}

// The gate and feed-forward rows of one position (OP-15, OP-16).
class FeedForward {
 public:
  FeedForward(Pass& pass, std::uint32_t l)
      : pass_(pass),
        l_(l),
        layer_(pass.job.model.layers[l]),
        gate_(pass.column("f.gacc")),
        up_(pass.column("f.uacc")),
        g_(pass.column("f.g")),
        s_(pass.column("f.s")),
        h_(pass.column("f.h")),
        values_(pass.shape.ffn),
        row_(pass.shape.ffn) {}

  // Whether the gate's exponent is in range.
  bool make(std::uint32_t t, int f_m, RowSet& h) {
    zk::RowScalars& scalars = pass_.scalars.rows[l_][t];
    const std::size_t n = values_.size();
    const std::size_t cell = pass_.at(l_, t, n);
    for (std::size_t j = 0; j < n; ++j) {
      values_[j] = integer_of(gate_[cell + j]) * layer_.w_gate.scale[j];
    }
    const int base = layer_.w_gate.exponent + f_m;
    const int f_g = engine::quantise<std::int16_t>(values_, base, machine::kGateBound,
                                                   machine::kGateCap, row_.data());
    if (f_g < 0) return false;
    scalars.g = record_of(values_, base, f_g, machine::kGateBound, machine::kGateCap);
    const auto silu = machine::silu_table().subspan(std::size_t{65536} * f_g, 65536);
    for (std::size_t j = 0; j < n; ++j) {
      const std::int64_t s = silu[static_cast<std::uint16_t>(row_[j])];
      g_[cell + j] = felt(row_[j]).v;
      s_[cell + j] = felt(s).v;
      values_[j] = s * integer_of(up_[cell + j]) * layer_.w_up.scale[j];
    }
    const int f = f_g + layer_.w_up.exponent + f_m;
    const std::int64_t bound = layer_.bounds.down;
    h.exponents[t] = engine::quantise<std::int16_t>(values_, f, bound, machine::kRowCap, h.data(t));
    scalars.h = record_of(values_, f, h.exponents[t], bound, machine::kRowCap);
    for (std::size_t j = 0; j < n; ++j) h_[cell + j] = felt(h.row(t)[j]).v;
    return true;
  }

 private:
  Pass& pass_;
  const std::uint32_t l_;
  const machine::Layer& layer_;
  const Cells &gate_, &up_;
  Cells &g_, &s_, &h_;
  std::vector<std::int64_t> values_;
  std::vector<std::int16_t> row_;
};

}  // namespace

RowSet attn_rows(Pass& pass, std::uint32_t l, std::span<const std::int32_t> x) {
  const std::size_t d = pass.shape.hidden;
  const machine::Layer& layer = pass.job.model.layers[l];
  RowSet rows(pass.positions, d);
  pass.pool.split(pass.positions, [&](std::size_t begin, std::size_t end) {
    std::vector<std::int64_t> scratch(d);
    for (std::size_t t = begin; t < end; ++t) {
      rows.exponents[t] = engine::norm_row(x.subspan(t * d, d), layer.attn_norm, pass.shape.eps,
                                           layer.bounds.attn, scratch, rows.data(t));
    }
  });
  return rows;
}

Status add_attention(Pass& pass, std::uint32_t l, const RowSet& o, std::span<std::int32_t> x) {
  if (add_product(pass, l, pass.job.model.layers[l].wo, o, pass.column("x.acc"), x)) return {};
  return pass.out_of_range(l, "attention residual (SPEC OP-14)");
}

RowSet mlp_rows(Pass& pass, std::uint32_t l, std::span<const std::int32_t> x) {
  const std::size_t d = pass.shape.hidden;
  RowSet rows(pass.positions, d);
  const MiddleNorm norm(pass, l);
  pass.pool.split(pass.positions, [&](std::size_t begin, std::size_t end) {
    std::vector<std::int64_t> scratch(d);
    for (std::size_t t = begin; t < end; ++t) {
      rows.exponents[t] =
          norm.make(static_cast<std::uint32_t>(t), x.subspan(t * d, d), scratch, rows.data(t));
    }
  });
  return rows;
}

Result<RowSet> feed_forward_rows(Pass& pass, std::uint32_t l, const RowSet& m) {
  const machine::Layer& layer = pass.job.model.layers[l];
  const auto product = [&](const machine::Matrix& w, Cells& acc) {
    multiply(pass.pool, w, m, [&](std::size_t n, std::size_t t, std::int64_t sum) {
      acc[pass.at(l, t, w.rows) + n] = felt(sum).v;
    });
  };
  product(layer.w_gate, pass.column("f.gacc"));
  product(layer.w_up, pass.column("f.uacc"));
  RowSet h(pass.positions, pass.shape.ffn);
  std::atomic<bool> in_range = true;
  pass.pool.split(pass.positions, [&](std::size_t begin, std::size_t end) {
    FeedForward rows(pass, l);
    for (std::size_t t = begin; t < end; ++t) {
      if (!rows.make(static_cast<std::uint32_t>(t), m.exponents[t], h)) in_range = false;
    }
  });
  if (!in_range) return pass.out_of_range(l, "gate row (SPEC OP-15)");
  return h;
}

Status add_feed_forward(Pass& pass, std::uint32_t l, const RowSet& h, std::span<std::int32_t> x) {
  if (add_product(pass, l, pass.job.model.layers[l].w_down, h, pass.column("x.dacc"), x)) return {};
  return pass.out_of_range(l, "feed-forward residual (SPEC OP-14)");
}

}  // namespace otr::prover
