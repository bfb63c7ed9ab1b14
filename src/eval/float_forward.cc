#include "eval/float_forward.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"

namespace otr::eval {
namespace {

using convert::FloatLayer;
using convert::FloatMatrix;

// Eight sums side by side, which compilers turn into vector instructions: they may not change the
// order of additions themselves.
double dot(const float* a, const float* b, std::size_t count) {
  std::array<double, 8> sums = {};
  std::size_t j = 0;
  for (; j + 8 <= count; j += 8) {
    for (std::size_t i = 0; i < 8; ++i) sums[i] += static_cast<double>(a[j + i]) * b[j + i];
  }
  double sum = 0;
  for (; j < count; ++j) sum += static_cast<double>(a[j]) * b[j];
  for (const double part : sums) sum += part;
  return sum;
}

void add(std::span<float> to, std::span<const float> from) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

}  // namespace

FloatForward::FloatForward(const convert::FloatModel& model, unsigned threads)
    : model_(model), pool_(threads), caches_(model.layers.size()) {}

void FloatForward::reset() {
  first_ = positions_ = 0;
  for (LayerCache& cache : caches_) {
    cache.k.clear();
    cache.v.clear();
  }
}

std::vector<float> FloatForward::norm_rows(std::span<const float> x, const std::vector<float>& gain,
                                           double eps) const {
  const std::size_t size = gain.size();
  std::vector<float> out(x.size());
  for (std::size_t at = 0; at < x.size(); at += size) {
    const double mean = dot(&x[at], &x[at], size) / static_cast<double>(size);
    const double factor = 1 / std::sqrt(mean + eps);
    for (std::size_t j = 0; j < size; ++j) {
      out[at + j] = static_cast<float>(x[at + j] * factor * gain[j]);
    }
  }
  return out;
}

std::vector<float> FloatForward::multiply(const FloatMatrix& matrix, std::span<const float> input) {
  const std::size_t rows = input.size() / matrix.cols;
  std::vector<float> out(rows * matrix.rows);
  pool_.split(matrix.rows, [&](std::size_t begin, std::size_t end) {
    for (std::size_t n = begin; n < end; ++n) {
      const float* w = matrix.weight.data() + n * matrix.cols;
      const double bias = matrix.bias.empty() ? 0 : matrix.bias[n];
      for (std::size_t i = 0; i < rows; ++i) {
        out[i * matrix.rows + n] =
            static_cast<float>(dot(w, &input[i * matrix.cols], matrix.cols) + bias);
      }
    }
  });
  return out;
}

// rotate_half: the pair (i, i + D/2) turns by position·frequency[i]. Rows hold whole heads.
void FloatForward::rotate(std::span<float> rows, std::size_t width) const {
  const std::vector<double>& frequency = model_.config.rope_frequency;
  const std::size_t half = frequency.size();
  for (std::size_t i = 0; i < half; ++i) {
    for (std::size_t row = 0; row < positions_; ++row) {
      const double angle = static_cast<double>(first_ + row) * frequency[i];
      const double c = std::cos(angle);
      const double s = std::sin(angle);
      for (std::size_t at = row * width + i; at < (row + 1) * width; at += 2 * half) {
        const double y0 = rows[at];
        const double y1 = rows[at + half];
        rows[at] = static_cast<float>(y0 * c - y1 * s);
        rows[at + half] = static_cast<float>(y1 * c + y0 * s);
      }
    }
  }
}

void FloatForward::attend(std::span<const float> q, const LayerCache& cache, std::size_t position,
                          std::uint32_t head, std::span<float> out) const {
  const machine::Shape& shape = model_.config.shape;
  const std::size_t offset = std::size_t{shape.kv_head_of(head)} * shape.head_dim;
  const std::size_t lo =
      shape.window > 0 && position + 1 > shape.window ? position + 1 - shape.window : 0;
  std::vector<double> weight(position + 1 - lo);
  for (std::size_t u = lo; u <= position; ++u) {
    weight[u - lo] = model_.config.score_scale *
                     dot(q.data(), &cache.k[u * shape.kv_width() + offset], q.size());
  }
  const double greatest = std::ranges::max(weight);
  double total = 0;
  for (double& w : weight) total += w = std::exp(w - greatest);
  std::vector<double> sums(q.size(), 0.0);
  for (std::size_t u = lo; u <= position; ++u) {
    for (std::size_t j = 0; j < q.size(); ++j) {
      sums[j] += weight[u - lo] * cache.v[u * shape.kv_width() + offset + j];
    }
  }
  for (std::size_t j = 0; j < q.size(); ++j) out[j] = static_cast<float>(sums[j] / total);
}

void FloatForward::attention(const FloatLayer& layer, LayerCache& cache) {
  const machine::Shape& shape = model_.config.shape;
  const std::vector<float> a = norm_rows(x_, layer.attn_norm, model_.config.eps);
  std::vector<float> q = multiply(layer.wq, a);
  std::vector<float> k = multiply(layer.wk, a);
  const std::vector<float> v = multiply(layer.wv, a);
  if (shape.qk_norm) {
    q = norm_rows(q, layer.q_norm, model_.config.eps_qk);
    k = norm_rows(k, layer.k_norm, model_.config.eps_qk);
  }
  rotate(q, shape.q_width());
  rotate(k, shape.kv_width());
  cache.k.insert(cache.k.end(), k.begin(), k.end());
  cache.v.insert(cache.v.end(), v.begin(), v.end());
  std::vector<float> o(q.size());
  pool_.split(positions_ * shape.heads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t n = begin; n < end; ++n) {
      attend(std::span(q).subspan(n * shape.head_dim, shape.head_dim), cache,
             first_ + n / shape.heads, static_cast<std::uint32_t>(n % shape.heads),
             std::span(o).subspan(n * shape.head_dim, shape.head_dim));
    }
  });
  add(x_, multiply(layer.wo, o));
}

void FloatForward::feed_forward(const FloatLayer& layer) {
  const std::vector<float> a = norm_rows(x_, layer.mlp_norm, model_.config.eps);
  std::vector<float> h = multiply(layer.w_gate, a);
  const std::vector<float> up = multiply(layer.w_up, a);
  for (std::size_t j = 0; j < h.size(); ++j) {
    const double gate = h[j];
    h[j] = static_cast<float>(gate / (1 + std::exp(-gate)) * up[j]);
  }
  add(x_, multiply(layer.w_down, h));
}

void FloatForward::run(std::span<const std::uint32_t> tokens) {
  const FloatMatrix& embed = model_.embed;
  OTR_CHECK(!tokens.empty());
  first_ += positions_;
  positions_ = tokens.size();
  x_.clear();
  for (const std::uint32_t id : tokens) {
    OTR_CHECK(id < embed.rows);
    const auto row = std::span(embed.weight).subspan(std::size_t{id} * embed.cols, embed.cols);
    x_.insert(x_.end(), row.begin(), row.end());
  }
  for (std::size_t l = 0; l < model_.layers.size(); ++l) {
    attention(model_.layers[l], caches_[l]);
    feed_forward(model_.layers[l]);
  }
}

std::span<const float> FloatForward::logits(std::size_t index) {
  OTR_CHECK(index < positions_);
  const std::size_t d = model_.config.shape.hidden;
  logits_ = multiply(model_.head_matrix(), norm_rows(std::span(x_).subspan(index * d, d),
                                                     model_.final_norm, model_.config.eps));
  return logits_;
}

}  // namespace otr::eval
