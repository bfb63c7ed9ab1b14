#include "llama.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

namespace otr::train {
namespace {

// c[m,n] = alpha * op(a) * op(b) + beta * c, row-major.
void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, float alpha, const float* a,
          int lda, const float* b, int ldb, float beta, float* c, int ldc) {
  cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, double alpha,
          const double* a, int lda, const double* b, int ldb, double beta, double* c, int ldc) {
  cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

// y[n,out] = beta * y + x[n,in] * w[out,in]^T.
template <class Real>
void linear(const Real* x, const Real* w, int n, int in, int out, Real beta, Real* y) {
  gemm(CblasNoTrans, CblasTrans, n, out, in, Real(1), x, in, w, in, beta, y, out);
}

// dx[n,in] = dy[n,out] * w[out,in], and dw += dy^T * x.
template <class Real>
void linear_backward(const Real* x, const Real* w, const Real* dy, int n, int in, int out, Real* dx,
                     Real* dw) {
  gemm(CblasNoTrans, CblasNoTrans, n, in, out, Real(1), dy, out, w, in, Real(0), dx, in);
  gemm(CblasTrans, CblasNoTrans, out, in, n, Real(1), dy, out, x, in, Real(1), dw, in);
}

template <class Real>
void rmsnorm(const Real* x, const Real* w, size_t n, size_t width, Real eps, Real* inv, Real* y) {
  for (size_t i = 0; i < n; ++i) {
    const Real* row = x + i * width;
    Real sum = 0;
    for (size_t j = 0; j < width; ++j) sum += row[j] * row[j];
    inv[i] = 1 / std::sqrt(sum / static_cast<Real>(width) + eps);
    for (size_t j = 0; j < width; ++j) y[i * width + j] = row[j] * inv[i] * w[j];
  }
}

// With r = 1/rms: dx += r * (g - x * r^2 * mean(g * x)), where g = dy * w; dw += dy * x * r.
template <class Real>
void rmsnorm_backward(const Real* x, const Real* w, const Real* inv, const Real* dy, size_t n,
                      size_t width, Real* dx, Real* dw) {
  for (size_t i = 0; i < n; ++i) {
    const Real* row = x + i * width;
    const Real* grad = dy + i * width;
    const Real r = inv[i];
    Real dot = 0;
    for (size_t j = 0; j < width; ++j) dot += grad[j] * w[j] * row[j];
    const Real back = dot * r * r / static_cast<Real>(width);
    for (size_t j = 0; j < width; ++j) {
      dw[j] += grad[j] * row[j] * r;
      dx[i * width + j] += r * (grad[j] * w[j] - row[j] * back);
    }
  }
}

// Turns the logits of one row into probabilities and returns log(sum(exp)) - logit[target].
template <class Real>
double softmax_loss(Real* row, size_t width, size_t target) {
  const Real top = *std::max_element(row, row + width);
  const Real chosen = row[target] - top;
  Real sum = 0;
  for (size_t j = 0; j < width; ++j) {
    row[j] = std::exp(row[j] - top);
    sum += row[j];
  }
  const Real scale = 1 / sum;
  for (size_t j = 0; j < width; ++j) row[j] *= scale;
  return std::log(static_cast<double>(sum)) - static_cast<double>(chosen);
}

size_t as_size(int value) { return static_cast<size_t>(value); }

// The size of one head's score matrix; these lie document by document, then head by head.
size_t square(int length) { return as_size(length) * as_size(length); }

}  // namespace

Layout::Layout(const Shape& s) {
  auto take = [this](int rows, int cols) {
    return std::exchange(size, size + as_size(rows) * as_size(cols));
  };
  embed = take(s.vocab, s.hidden);
  for (int l = 0; l < s.layers; ++l) {
    LayerOffsets at{};
    at.attention_norm = take(1, s.hidden);
    at.qkv = take(s.qkv_width(), s.hidden);
    at.o = take(s.hidden, s.q_width());
    at.mlp_norm = take(1, s.hidden);
    at.gate_up = take(2 * s.ffn, s.hidden);
    at.down = take(s.hidden, s.ffn);
    layers.push_back(at);
  }
  final_norm = take(1, s.hidden);
}

std::vector<NamedTensor> named_tensors(const Shape& s) {
  const Layout layout(s);
  const size_t h = as_size(s.hidden);
  const size_t q = as_size(s.q_width()) * h;
  const size_t kv = as_size(s.kv_width()) * h;
  std::vector<NamedTensor> out;
  out.push_back({"model.embed_tokens.weight", layout.embed, s.vocab, s.hidden});
  for (size_t l = 0; l < layout.layers.size(); ++l) {
    const LayerOffsets& at = layout.layers[l];
    const std::string p = "model.layers." + std::to_string(l) + ".";
    out.push_back({p + "input_layernorm.weight", at.attention_norm, s.hidden, 0});
    out.push_back({p + "self_attn.q_proj.weight", at.qkv, s.q_width(), s.hidden});
    out.push_back({p + "self_attn.k_proj.weight", at.qkv + q, s.kv_width(), s.hidden});
    out.push_back({p + "self_attn.v_proj.weight", at.qkv + q + kv, s.kv_width(), s.hidden});
    out.push_back({p + "self_attn.o_proj.weight", at.o, s.hidden, s.q_width()});
    out.push_back({p + "post_attention_layernorm.weight", at.mlp_norm, s.hidden, 0});
    out.push_back({p + "mlp.gate_proj.weight", at.gate_up, s.ffn, s.hidden});
    out.push_back({p + "mlp.up_proj.weight", at.gate_up + as_size(s.ffn) * h, s.ffn, s.hidden});
    out.push_back({p + "mlp.down_proj.weight", at.down, s.hidden, s.ffn});
  }
  out.push_back({"model.norm.weight", layout.final_norm, s.hidden, 0});
  return out;
}

template <class Real>
void initialise(const Shape& shape, uint64_t seed, std::vector<Real>& params) {
  params.assign(Layout(shape).size, Real(1));
  std::mt19937_64 random(seed);
  // Box and Muller by hand: the standard library's normal distribution differs between vendors.
  auto uniform = [&random] { return (static_cast<double>(random() >> 11) + 0.5) * 0x1.0p-53; };
  for (const NamedTensor& t : named_tensors(shape)) {
    if (t.cols == 0) continue;
    const bool into_residual =
        t.name.find("o_proj") != std::string::npos || t.name.find("down_proj") != std::string::npos;
    const double deviation = into_residual ? 0.02 / std::sqrt(2.0 * shape.layers) : 0.02;
    for (size_t i = 0; i < as_size(t.rows) * as_size(t.cols); ++i) {
      const double radius = std::sqrt(-2.0 * std::log(uniform()));
      params[t.offset + i] =
          static_cast<Real>(deviation * radius * std::cos(2.0 * M_PI * uniform()));
    }
  }
}

template <class Real>
Network<Real>::Network(const Shape& shape)
    : shape_(shape), layout_(shape), layers_(as_size(shape.layers)) {
  make_rope(shape.context);
}

template <class Real>
void Network<Real>::make_rope(int positions) {
  const int half = shape_.head_dim / 2;
  for (int p = 0; p < positions; ++p) {
    for (int j = 0; j < half; ++j) {
      const double angle = p * std::pow(shape_.rope_theta, -2.0 * j / shape_.head_dim);
      rope_cos_.push_back(static_cast<Real>(std::cos(angle)));
      rope_sin_.push_back(static_cast<Real>(std::sin(angle)));
    }
  }
}

// direction +1 rotates, -1 rotates back: a rotation's gradient is the inverse rotation.
template <class Real>
void Network<Real>::rotate(Real* qkv, const Batch& batch, Real direction) const {
  const size_t half = as_size(shape_.head_dim / 2);
  const size_t width = as_size(shape_.qkv_width());
  const size_t rotated_heads = as_size(shape_.heads + shape_.kv_heads);
  for (size_t d = 0; d + 1 < batch.starts.size(); ++d) {
    for (int i = batch.starts[d]; i < batch.starts[d + 1]; ++i) {
      const size_t position = as_size(i - batch.starts[d]);
      const Real* c = &rope_cos_[position * half];
      const Real* s = &rope_sin_[position * half];
      Real* row = qkv + as_size(i) * width;
      for (size_t h = 0; h < rotated_heads; ++h, row += 2 * half) {
        for (size_t j = 0; j < half; ++j) {
          const Real a = row[j];
          const Real b = row[j + half];
          row[j] = a * c[j] - direction * b * s[j];
          row[j + half] = b * c[j] + direction * a * s[j];
        }
      }
    }
  }
}

template <class Real>
void Network<Real>::attention_forward(LayerState& s, const Batch& batch) {
  const int dim = shape_.head_dim;
  const int width = shape_.qkv_width();
  const Real scale = 1 / std::sqrt(static_cast<Real>(dim));
  size_t block = 0;
  for (size_t d = 0; d + 1 < batch.starts.size(); ++d) {
    const int length = batch.starts[d + 1] - batch.starts[d];
    const Real* qkv = &s.qkv[as_size(batch.starts[d]) * as_size(width)];
    Real* ctx = &s.ctx[as_size(batch.starts[d]) * as_size(shape_.q_width())];
    for (int h = 0; h < shape_.heads; ++h, block += square(length)) {
      const int kv = h / (shape_.heads / shape_.kv_heads);
      const Real* q = qkv + h * dim;
      const Real* k = qkv + shape_.q_width() + kv * dim;
      const Real* v = k + shape_.kv_width();
      Real* p = &s.scores[block];
      gemm(CblasNoTrans, CblasTrans, length, length, dim, scale, q, width, k, width, Real(0), p,
           length);
      for (int i = 0; i < length; ++i) {
        Real* row = p + as_size(i) * as_size(length);
        softmax_loss(row, as_size(i + 1), 0);
        std::fill(row + i + 1, row + length, Real(0));
      }
      gemm(CblasNoTrans, CblasNoTrans, length, dim, length, Real(1), p, length, v, width, Real(0),
           ctx + h * dim, shape_.q_width());
    }
  }
}

template <class Real>
void Network<Real>::attention_backward(LayerState& s, const Batch& batch) {
  const int dim = shape_.head_dim;
  const int width = shape_.qkv_width();
  const Real scale = 1 / std::sqrt(static_cast<Real>(dim));
  size_t block = 0;
  for (size_t d = 0; d + 1 < batch.starts.size(); ++d) {
    const int length = batch.starts[d + 1] - batch.starts[d];
    const size_t row0 = as_size(batch.starts[d]) * as_size(width);
    const Real* dctx = &dctx_[as_size(batch.starts[d]) * as_size(shape_.q_width())];
    dscores_.resize(square(length));
    for (int h = 0; h < shape_.heads; ++h, block += square(length)) {
      const int kv = h / (shape_.heads / shape_.kv_heads);
      const size_t q_at = row0 + as_size(h * dim);
      const size_t k_at = row0 + as_size(shape_.q_width() + kv * dim);
      const size_t v_at = k_at + as_size(shape_.kv_width());
      const Real* p = &s.scores[block];
      const Real* dout = dctx + h * dim;
      Real* dp = dscores_.data();
      gemm(CblasNoTrans, CblasTrans, length, length, dim, Real(1), dout, shape_.q_width(),
           &s.qkv[v_at], width, Real(0), dp, length);
      gemm(CblasTrans, CblasNoTrans, length, dim, length, Real(1), p, length, dout,
           shape_.q_width(), Real(1), &dqkv_[v_at], width);
      for (int i = 0; i < length; ++i) {
        const Real* prow = p + as_size(i) * as_size(length);
        Real* drow = dp + as_size(i) * as_size(length);
        Real dot = 0;
        for (int j = 0; j < length; ++j) dot += prow[j] * drow[j];
        for (int j = 0; j < length; ++j) drow[j] = prow[j] * (drow[j] - dot);
      }
      gemm(CblasNoTrans, CblasNoTrans, length, dim, length, scale, dp, length, &s.qkv[k_at], width,
           Real(1), &dqkv_[q_at], width);
      gemm(CblasTrans, CblasNoTrans, length, dim, length, scale, dp, length, &s.qkv[q_at], width,
           Real(1), &dqkv_[k_at], width);
    }
  }
}

template <class Real>
void Network<Real>::layer_forward(const Real* params, const LayerOffsets& at, LayerState& s,
                                  const Batch& batch) {
  const size_t n = batch.tokens.size();
  const int rows = static_cast<int>(n);
  const size_t hidden = as_size(shape_.hidden);
  const size_t ffn = as_size(shape_.ffn);
  const Real eps = static_cast<Real>(shape_.rms_eps);
  size_t score_count = 0;
  for (size_t d = 0; d + 1 < batch.starts.size(); ++d) {
    score_count += as_size(shape_.heads) * square(batch.starts[d + 1] - batch.starts[d]);
  }
  for (auto* v : {&s.inv1, &s.inv2}) v->resize(n);
  for (auto* v : {&s.n1, &s.n2, &s.x_in, &s.x_mid}) v->resize(n * hidden);
  s.qkv.resize(n * as_size(shape_.qkv_width()));
  s.ctx.resize(n * as_size(shape_.q_width()));
  s.scores.resize(score_count);
  s.gate_up.resize(n * 2 * ffn);
  s.act.resize(n * ffn);

  s.x_in = x_;
  rmsnorm(x_.data(), params + at.attention_norm, n, hidden, eps, s.inv1.data(), s.n1.data());
  linear(s.n1.data(), params + at.qkv, rows, shape_.hidden, shape_.qkv_width(), Real(0),
         s.qkv.data());
  rotate(s.qkv.data(), batch, Real(1));
  attention_forward(s, batch);
  linear(s.ctx.data(), params + at.o, rows, shape_.q_width(), shape_.hidden, Real(1), x_.data());

  s.x_mid = x_;
  rmsnorm(x_.data(), params + at.mlp_norm, n, hidden, eps, s.inv2.data(), s.n2.data());
  linear(s.n2.data(), params + at.gate_up, rows, shape_.hidden, 2 * shape_.ffn, Real(0),
         s.gate_up.data());
  for (size_t i = 0; i < n; ++i) {
    const Real* gate = &s.gate_up[i * 2 * ffn];
    const Real* up = gate + ffn;
    Real* act = &s.act[i * ffn];
    for (size_t j = 0; j < ffn; ++j) act[j] = gate[j] / (1 + std::exp(-gate[j])) * up[j];
  }
  linear(s.act.data(), params + at.down, rows, shape_.ffn, shape_.hidden, Real(1), x_.data());
}

// dx_ holds the gradient of the layer's output on entry and of its input on return.
template <class Real>
void Network<Real>::layer_backward(const Real* params, const LayerOffsets& at, LayerState& s,
                                   const Batch& batch, Real* grads) {
  const size_t n = batch.tokens.size();
  const int rows = static_cast<int>(n);
  const size_t hidden = as_size(shape_.hidden);
  const size_t ffn = as_size(shape_.ffn);
  dnormed_.resize(n * hidden);
  dact_.resize(n * ffn);
  dgate_up_.resize(n * 2 * ffn);
  linear_backward(s.act.data(), params + at.down, dx_.data(), rows, shape_.ffn, shape_.hidden,
                  dact_.data(), grads + at.down);
  for (size_t i = 0; i < n; ++i) {
    const Real* gate = &s.gate_up[i * 2 * ffn];
    const Real* up = gate + ffn;
    const Real* dact = &dact_[i * ffn];
    Real* dgate = &dgate_up_[i * 2 * ffn];
    Real* dup = dgate + ffn;
    for (size_t j = 0; j < ffn; ++j) {
      const Real sigmoid = 1 / (1 + std::exp(-gate[j]));
      dup[j] = dact[j] * gate[j] * sigmoid;
      dgate[j] = dact[j] * up[j] * sigmoid * (1 + gate[j] * (1 - sigmoid));
    }
  }
  linear_backward(s.n2.data(), params + at.gate_up, dgate_up_.data(), rows, shape_.hidden,
                  2 * shape_.ffn, dnormed_.data(), grads + at.gate_up);
  rmsnorm_backward(s.x_mid.data(), params + at.mlp_norm, s.inv2.data(), dnormed_.data(), n, hidden,
                   dx_.data(), grads + at.mlp_norm);

  dctx_.resize(n * as_size(shape_.q_width()));
  dqkv_.assign(n * as_size(shape_.qkv_width()), Real(0));
  linear_backward(s.ctx.data(), params + at.o, dx_.data(), rows, shape_.q_width(), shape_.hidden,
                  dctx_.data(), grads + at.o);
  attention_backward(s, batch);
  rotate(dqkv_.data(), batch, Real(-1));
  linear_backward(s.n1.data(), params + at.qkv, dqkv_.data(), rows, shape_.hidden,
                  shape_.qkv_width(), dnormed_.data(), grads + at.qkv);
  rmsnorm_backward(s.x_in.data(), params + at.attention_norm, s.inv1.data(), dnormed_.data(), n,
                   hidden, dx_.data(), grads + at.attention_norm);
}

template <class Real>
double Network<Real>::forward(const Real* params, const Batch& batch) {
  const size_t n = batch.tokens.size();
  const size_t hidden = as_size(shape_.hidden);
  x_.resize(n * hidden);
  for (size_t i = 0; i < n; ++i) {
    const Real* row = params + layout_.embed + as_size(batch.tokens[i]) * hidden;
    std::copy(row, row + hidden, &x_[i * hidden]);
  }
  for (size_t l = 0; l < layers_.size(); ++l) {
    layer_forward(params, layout_.layers[l], layers_[l], batch);
  }
  inv_.resize(n);
  normed_.resize(n * hidden);
  probs_.resize(n * vocab_size());
  rmsnorm(x_.data(), params + layout_.final_norm, n, hidden, static_cast<Real>(shape_.rms_eps),
          inv_.data(), normed_.data());
  linear(normed_.data(), params + layout_.embed, static_cast<int>(n), shape_.hidden, shape_.vocab,
         Real(0), probs_.data());
  double loss = 0;
  for (size_t i = 0; i < n; ++i) {
    loss += static_cast<double>(batch.weights[i]) *
            softmax_loss(&probs_[i * vocab_size()], vocab_size(), as_size(batch.targets[i]));
  }
  return loss;
}

template <class Real>
void Network<Real>::backward(const Real* params, const Batch& batch, Real scale, Real* grads) {
  const size_t n = batch.tokens.size();
  const size_t hidden = as_size(shape_.hidden);
  for (size_t i = 0; i < n; ++i) {
    Real* row = &probs_[i * vocab_size()];
    row[batch.targets[i]] -= 1;
    const Real weight = scale * static_cast<Real>(batch.weights[i]);
    for (size_t j = 0; j < vocab_size(); ++j) row[j] *= weight;
  }
  dnormed_.resize(n * hidden);
  dx_.assign(n * hidden, Real(0));
  linear_backward(normed_.data(), params + layout_.embed, probs_.data(), static_cast<int>(n),
                  shape_.hidden, shape_.vocab, dnormed_.data(), grads + layout_.embed);
  rmsnorm_backward(x_.data(), params + layout_.final_norm, inv_.data(), dnormed_.data(), n, hidden,
                   dx_.data(), grads + layout_.final_norm);
  for (size_t l = layers_.size(); l-- > 0;) {
    layer_backward(params, layout_.layers[l], layers_[l], batch, grads);
  }
  for (size_t i = 0; i < n; ++i) {
    Real* row = grads + layout_.embed + as_size(batch.tokens[i]) * hidden;
    for (size_t j = 0; j < hidden; ++j) row[j] += dx_[i * hidden + j];
  }
}

template class Network<float>;
template class Network<double>;
template void initialise<float>(const Shape&, uint64_t, std::vector<float>&);
template void initialise<double>(const Shape&, uint64_t, std::vector<double>&);

}  // namespace otr::train
