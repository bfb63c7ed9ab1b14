#include "engine/forward.h"

#include <algorithm>
#include <atomic>
#include <string>

#include "base/check.h"
#include "engine/rows.h"
#include "machine/program.h"
#include "machine/tables.h"

namespace otr::engine {

using machine::kSigned24;
using machine::kSigned32;
using machine::Layer;
using machine::Matrix;

KvCache::KvCache(const machine::Shape& shape)
    : shape_(shape), heads_(std::size_t{shape.layers} * shape.kv_heads) {}

KvRows KvCache::rows(std::uint32_t layer, std::uint32_t g) const {
  const Head& head = heads_[std::size_t{layer} * shape_.kv_heads + g];
  return {head.k.data(), head.k_exponent.data(), head.v.data(), head.v_exponent.data()};
}

void KvCache::grow(std::uint32_t positions) {
  size_ += positions;
  for (Head& head : heads_) {
    head.k.resize(std::size_t{size_} * shape_.head_dim);
    head.v.resize(std::size_t{size_} * shape_.head_dim);
    head.k_exponent.resize(size_);
    head.v_exponent.resize(size_);
  }
}

void Forward::Rows::shape(std::size_t positions, std::size_t row_width) {
  width = row_width;
  values.resize(positions * row_width);
  exponents.resize(positions);
}

Forward::Forward(const machine::Model& model, unsigned threads) : model_(model), pool_(threads) {}

Error Forward::out_of_range(std::uint32_t layer, const char* stage) const {
  return {ErrorKind::kOutOfRange,
          "the exact arithmetic left its range in the positions " + std::to_string(first_) +
              " to " + std::to_string(first_ + positions_ - 1) + ", layer " +
              std::to_string(layer) + ", " + stage + "; no claim can be signed on this request",
          "OUT_OF_RANGE"};
}

template <class Body>
void Forward::multiply(const Matrix& matrix, const Rows& input, const Body& body) {
  pool_.split(matrix.rows, [&](std::size_t begin, std::size_t end) {
    for (std::size_t n = begin; n < end; ++n) {
      const auto w = matrix.row(static_cast<std::uint32_t>(n));
      for (std::size_t i = 0; i < positions_; ++i) {
        body(n, i, dot(w, input.row(i)) * matrix.scale[n]);
      }
    }
  });
}

bool Forward::embed(std::span<const std::uint32_t> tokens) {
  const std::size_t d = model_.shape.hidden;
  const int s = model_.embed.exponent - model_.shape.residual_frac_bits;  // >= 0 by MODEL-4
  x_.resize(tokens.size() * d);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto row = model_.embed.row(tokens[i]);
    const std::int64_t scale = model_.embed.scale[tokens[i]];
    for (std::size_t j = 0; j < d; ++j) {
      x_[i * d + j] = static_cast<std::int32_t>(machine::rsh(row[j] * scale, s));
    }
  }
  return true;
}

bool Forward::norm(const machine::Gain& gain, std::int32_t bound, std::size_t first,
                   std::size_t count) {
  const std::size_t d = model_.shape.hidden;
  a_.shape(count, d);
  pool_.split(count, [&](std::size_t begin, std::size_t end) {
    std::vector<std::int64_t> scratch(d);
    for (std::size_t i = begin; i < end; ++i) {
      a_.exponents[i] = norm_row(std::span(x_).subspan((first + i) * d, d), gain, model_.shape.eps,
                                 bound, scratch, a_.data(i));
    }
  });
  return true;
}

bool Forward::project_qkv(const Layer& layer) {
  std::atomic<bool> in_range = true;
  const auto project = [&](const Matrix& w, std::vector<std::int32_t>& out) {
    out.resize(positions_ * w.rows);
    multiply(w, a_, [&](std::size_t n, std::size_t i, std::int64_t scaled) {
      const Rounded y = linear(scaled, w.exponent + a_.exponents[i] - model_.shape.qk_frac_bits);
      const std::int64_t value = y.value + (w.bias.empty() ? 0 : w.bias[n]);
      if (!y.in_range || !kSigned24.holds(value)) in_range = false;
      out[i * w.rows + n] = static_cast<std::int32_t>(value);
    });
  };
  project(layer.wq, q_);
  project(layer.wk, k_);
  v_.resize(positions_ * layer.wv.rows);
  multiply(layer.wv, a_, [&](std::size_t n, std::size_t i, std::int64_t scaled) {
    v_[i * layer.wv.rows + n] = scaled;
  });
  return in_range;
}

namespace {

// OP-7 on one head, then OP-8: the row and its exponent.
int rotated_row(std::span<const std::int32_t> y, std::span<const machine::Angle> angles,
                int frac_bits, std::int32_t bound, std::int16_t* out) {
  const std::size_t half = y.size() / 2;
  std::array<std::int64_t, machine::kMaxHeadDim> r;
  for (std::size_t i = 0; i < half; ++i) {
    const std::int64_t y0 = y[i];
    const std::int64_t y1 = y[i + half];
    r[i] = y0 * angles[i].c - y1 * angles[i].s;
    r[i + half] = y1 * angles[i].c + y0 * angles[i].s;
  }
  return quantise<std::int16_t>(std::span(r).first(y.size()), frac_bits + 15, bound, frac_bits,
                                out);
}

}  // namespace

bool Forward::make_qkv_rows(const Layer& layer, std::uint32_t layer_index, KvCache& cache) {
  const machine::Shape& shape = model_.shape;
  const std::size_t d = shape.head_dim;
  std::atomic<bool> in_range = true;
  q_rows_.resize(positions_ * shape.q_width());
  q_exponents_.resize(positions_ * shape.heads);
  pool_.split(positions_, [&](std::size_t begin, std::size_t end) {
    std::vector<machine::Angle> angles(d / 2);
    for (std::size_t i = begin; i < end; ++i) {
      const auto t = static_cast<std::uint32_t>(first_ + i);
      for (std::size_t j = 0; j < d / 2; ++j) angles[j] = machine::angle(t, model_.rope_steps[j]);
      for (std::size_t h = 0; h < shape.heads; ++h) {
        const auto y = std::span(q_).subspan(i * shape.q_width() + h * d, d);
        if (shape.qk_norm && !head_norm(y, layer.q_norm, shape.eps_qk, shape.qk_frac_bits)) {
          in_range = false;
        }
        const int f = rotated_row(y, angles, shape.qk_frac_bits, machine::q_bound(shape.head_dim),
                                  q_rows_.data() + i * shape.q_width() + h * d);
        q_exponents_[i * shape.heads + h] = f;
        if (f < 4) in_range = false;
      }
      for (std::size_t g = 0; g < shape.kv_heads; ++g) {
        KvCache::Head& rows = cache.heads_[layer_index * shape.kv_heads + g];
        const auto y = std::span(k_).subspan(i * shape.kv_width() + g * d, d);
        if (shape.qk_norm && !head_norm(y, layer.k_norm, shape.eps_qk, shape.qk_frac_bits)) {
          in_range = false;
        }
        const int f_k =
            rotated_row(y, angles, shape.qk_frac_bits, machine::kKBound, rows.k.data() + t * d);
        const int f_v =
            quantise<std::int8_t>(std::span(v_).subspan(i * shape.kv_width() + g * d, d),
                                  layer.wv.exponent + a_.exponents[i], machine::kVBound,
                                  machine::kRowCap, rows.v.data() + t * d);
        if (f_k < 4 || f_v < -30) in_range = false;
        rows.k_exponent[t] = static_cast<std::int8_t>(f_k);
        rows.v_exponent[t] = static_cast<std::int8_t>(f_v);
      }
    }
  });
  return in_range;
}

bool Forward::attention(const Layer& layer, std::uint32_t layer_index, const KvCache& cache) {
  const machine::Shape& shape = model_.shape;
  const std::size_t d = shape.head_dim;
  o_.resize(positions_ * shape.q_width());
  o_exponents_.resize(positions_ * shape.heads);
  // Later positions cost more, so positions are dealt out in turn, not in blocks.
  pool_.split(pool_.threads(), [&](std::size_t begin, std::size_t end) {
    AttentionScratch scratch;
    for (std::size_t share = begin; share < end; ++share) {
      for (std::size_t n = share; n < positions_ * shape.heads; n += pool_.threads()) {
        const std::size_t i = n / shape.heads;
        const auto h = static_cast<std::uint32_t>(n % shape.heads);
        const auto t = static_cast<std::uint32_t>(first_ + i);
        o_exponents_[n] = attend(std::span(q_rows_).subspan(n * d, d), q_exponents_[n],
                                 cache.rows(layer_index, shape.kv_head_of(h)),
                                 machine::first_attended(t, shape.window), t, scratch,
                                 std::span(o_).subspan(n * d, d));
      }
    }
  });
  // OP-13: one exponent for all heads of a position.
  o_rows_.shape(positions_, shape.q_width());
  for (std::size_t i = 0; i < positions_; ++i) {
    int f = machine::kRowCap;
    for (std::size_t h = 0; h < shape.heads; ++h) {
      machine::Extremes e;
      for (std::size_t j = 0; j < d; ++j) e.add(o_[(i * shape.heads + h) * d + j]);
      f = std::min(f, machine::row_exponent(e, o_exponents_[i * shape.heads + h], layer.bounds.o,
                                            machine::kRowCap));
    }
    o_rows_.exponents[i] = f;
    for (std::size_t j = 0; j < shape.q_width(); ++j) {
      o_rows_.data(i)[j] = static_cast<std::int16_t>(
          machine::rsh(o_[i * shape.q_width() + j], o_exponents_[i * shape.heads + j / d] - f));
    }
  }
  return true;
}

bool Forward::add_residual(const Matrix& matrix, const Rows& input) {
  std::atomic<bool> in_range = true;
  multiply(matrix, input, [&](std::size_t n, std::size_t i, std::int64_t scaled) {
    std::int32_t& x = x_[i * matrix.rows + n];
    const Rounded y =
        linear(scaled, matrix.exponent + input.exponents[i] - model_.shape.residual_frac_bits);
    const std::int64_t value = x + y.value + (matrix.bias.empty() ? 0 : matrix.bias[n]);
    if (!y.in_range || !kSigned32.holds(value)) in_range = false;
    x = static_cast<std::int32_t>(value);
  });
  return in_range;
}

bool Forward::gate_and_up(const Layer& layer) {
  const std::size_t n_ff = model_.shape.ffn;
  gate_.resize(positions_ * n_ff);
  up_.resize(positions_ * n_ff);
  multiply(layer.w_gate, a_, [&](std::size_t n, std::size_t i, std::int64_t scaled) {
    gate_[i * n_ff + n] = scaled;
  });
  multiply(layer.w_up, a_,
           [&](std::size_t n, std::size_t i, std::int64_t scaled) { up_[i * n_ff + n] = scaled; });
  return true;
}

bool Forward::feed_forward_rows(const Layer& layer) {
  const std::size_t n_ff = model_.shape.ffn;
  std::atomic<bool> in_range = true;
  h_.shape(positions_, n_ff);
  pool_.split(positions_, [&](std::size_t begin, std::size_t end) {
    std::vector<std::int16_t> g(n_ff);
    for (std::size_t i = begin; i < end; ++i) {
      const auto gate = std::span(gate_).subspan(i * n_ff, n_ff);
      const auto up = std::span(up_).subspan(i * n_ff, n_ff);
      const int f_g = quantise<std::int16_t>(gate, layer.w_gate.exponent + a_.exponents[i],
                                             machine::kGateBound, machine::kGateCap, g.data());
      if (f_g < 0) {
        in_range = false;
        continue;
      }
      const auto silu = machine::silu_table().subspan(std::size_t{65536} * f_g, 65536);
      for (std::size_t j = 0; j < n_ff; ++j) up[j] *= silu[static_cast<std::uint16_t>(g[j])];
      h_.exponents[i] = quantise<std::int16_t>(up, f_g + layer.w_up.exponent + a_.exponents[i],
                                               layer.bounds.down, machine::kRowCap, h_.data(i));
    }
  });
  return in_range;
}

void Forward::append_to_trace(trace::TraceBuilder& trace, std::uint32_t layer,
                              const KvCache& cache) {
  const std::size_t d = model_.shape.head_dim;
  for (std::uint32_t g = 0; g < model_.shape.kv_heads; ++g) {
    const KvRows rows = cache.rows(layer, g);
    for (std::size_t t = first_; t < first_ + positions_; ++t) {
      trace.append_kv(layer, g, {rows.k + t * d, d}, rows.k_exponent[t], {rows.v + t * d, d},
                      rows.v_exponent[t]);
    }
  }
  trace.append_residual(layer, x_);
}

Status Forward::run(KvCache& cache, std::span<const std::uint32_t> tokens,
                    trace::TraceBuilder* trace) {
  OTR_CHECK(!tokens.empty() && tokens.size() <= kChunk);
  OTR_CHECK(cache.size() + tokens.size() <= model_.shape.context);
  first_ = cache.size();
  positions_ = tokens.size();
  cache.grow(static_cast<std::uint32_t>(positions_));
  embed(tokens);
  for (std::uint32_t l = 0; l < model_.shape.layers; ++l) {
    const Layer& layer = model_.layers[l];
    const auto fail_at = [&](const char* stage) { return std::unexpected(out_of_range(l, stage)); };
    norm(layer.attn_norm, layer.bounds.attn, 0, positions_);
    if (!project_qkv(layer)) return fail_at("q and k projection (SPEC OP-6)");
    if (!make_qkv_rows(layer, l, cache)) return fail_at("q, k and v rows (SPEC OP-8, OP-9)");
    attention(layer, l, cache);
    if (!add_residual(layer.wo, o_rows_)) return fail_at("attention residual (SPEC OP-14)");
    norm(layer.mlp_norm, layer.bounds.mlp, 0, positions_);
    gate_and_up(layer);
    if (!feed_forward_rows(layer)) return fail_at("gate row (SPEC OP-15)");
    if (!add_residual(layer.w_down, h_)) return fail_at("feed-forward residual (SPEC OP-14)");
    if (trace != nullptr) append_to_trace(*trace, l, cache);
  }
  return {};
}

Result<std::span<const std::int32_t>> Forward::logits(std::size_t index) {
  OTR_CHECK(index < positions_);
  norm(model_.final_norm, model_.head_bound, index, 1);
  logits_.resize(model_.head.rows);
  std::atomic<bool> in_range = true;
  const int shift = model_.head.exponent + a_.exponents[0] - 16;
  pool_.split(model_.head.rows, [&](std::size_t begin, std::size_t end) {
    for (std::size_t n = begin; n < end; ++n) {
      const auto w = model_.head.row(static_cast<std::uint32_t>(n));
      const Rounded y = linear(dot(w, a_.row(0)) * model_.head.scale[n], shift);
      if (!y.in_range || !kSigned32.holds(y.value)) in_range = false;
      logits_[n] = static_cast<std::int32_t>(y.value);
    }
  });
  if (!in_range) return std::unexpected(out_of_range(model_.shape.layers, "logits (SPEC OP-17)"));
  return std::span<const std::int32_t>(logits_);
}

}  // namespace otr::engine
