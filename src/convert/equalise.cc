#include "convert/equalise.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace otr::convert {
namespace {

// A column this much smaller than the largest is as good as dead: without a floor, a few of them
// would move the mean and with it the scale of all others.
constexpr double kSmallestFactor = 1.0 / 65536;

void add_squares(const FloatMatrix& matrix, std::vector<double>& sums) {
  for (std::size_t i = 0; i < matrix.weight.size(); ++i) {
    sums[i % matrix.cols] += static_cast<double>(matrix.weight[i]) * matrix.weight[i];
  }
}

// Column sizes relative to their geometric mean; 1 for a column of zeros.
std::vector<double> column_factors(std::vector<double> squares) {
  const double floor = std::ranges::max(squares) * kSmallestFactor * kSmallestFactor;
  double logarithms = 0;
  double count = 0;
  for (double& square : squares) {
    if (square == 0) continue;
    square = std::max(square, floor);
    logarithms += std::log(square);
    count += 1;
  }
  const double mean = count > 0 ? std::exp(logarithms / count) : 1;
  for (double& square : squares) square = square == 0 ? 1 : std::sqrt(square / mean);
  return squares;
}

void divide_columns(FloatMatrix& matrix, const std::vector<double>& factors) {
  for (std::size_t i = 0; i < matrix.weight.size(); ++i) {
    matrix.weight[i] = static_cast<float>(matrix.weight[i] / factors[i % matrix.cols]);
  }
}

void scale(std::span<float> values, double factor) {
  for (float& value : values) value = static_cast<float>(value * factor);
}

void scale_rows(FloatMatrix& matrix, std::uint32_t first, std::uint32_t count, double factor) {
  scale(std::span(matrix.weight)
            .subspan(std::size_t{first} * matrix.cols, std::size_t{count} * matrix.cols),
        factor);
  if (!matrix.bias.empty()) scale(std::span(matrix.bias).subspan(first, count), factor);
}

// The row of wv whose attention average is element j of wo's input.
std::size_t value_of(std::size_t j, const machine::Shape& shape) {
  const auto head = static_cast<std::uint32_t>(j / shape.head_dim);
  return std::size_t{shape.kv_head_of(head)} * shape.head_dim + j % shape.head_dim;
}

// The largest |y| that rows [first, first + count) are likely to produce.
double likely_greatest(const FloatMatrix& matrix, std::span<const float> gain, std::uint32_t first,
                       std::uint32_t count) {
  double greatest = 0;
  for (std::uint32_t n = first; n < first + count; ++n) {
    double variance = 0;
    for (std::uint32_t j = 0; j < matrix.cols; ++j) {
      const double part =
          static_cast<double>(matrix.weight[std::size_t{n} * matrix.cols + j]) * gain[j];
      variance += part * part;
    }
    const double bias = matrix.bias.empty() ? 0 : std::abs(matrix.bias[n]);
    greatest = std::max(greatest, bias + 6 * std::sqrt(variance));
  }
  return greatest;
}

}  // namespace

void equalise_norm(std::vector<float>& gain, std::initializer_list<FloatMatrix*> readers) {
  std::vector<double> squares(gain.size(), 0.0);
  for (FloatMatrix* matrix : readers) {
    // What a zero gain silences must not set the scale of a row.
    for (std::size_t i = 0; i < matrix->weight.size(); ++i) {
      if (gain[i % matrix->cols] == 0) matrix->weight[i] = 0;
    }
    add_squares(*matrix, squares);
  }
  const std::vector<double> factors = column_factors(std::move(squares));
  for (FloatMatrix* matrix : readers) divide_columns(*matrix, factors);
  for (std::size_t j = 0; j < gain.size(); ++j) gain[j] = static_cast<float>(gain[j] * factors[j]);
}

void equalise_ffn(FloatMatrix& up, FloatMatrix& down) {
  std::vector<double> squares(down.cols, 0.0);
  add_squares(down, squares);
  const std::vector<double> factors = column_factors(std::move(squares));
  divide_columns(down, factors);
  for (std::uint32_t n = 0; n < up.rows; ++n) scale_rows(up, n, 1, factors[n]);
}

void equalise_values(FloatLayer& layer, const machine::Shape& shape) {
  FloatMatrix& wo = layer.wo;
  std::vector<double> squares(layer.wv.rows, 0.0);
  for (std::size_t i = 0; i < wo.weight.size(); ++i) {
    squares[value_of(i % wo.cols, shape)] += static_cast<double>(wo.weight[i]) * wo.weight[i];
  }
  const std::vector<double> factors = column_factors(std::move(squares));
  for (std::size_t i = 0; i < wo.weight.size(); ++i) {
    wo.weight[i] = static_cast<float>(wo.weight[i] / factors[value_of(i % wo.cols, shape)]);
  }
  for (std::uint32_t n = 0; n < layer.wv.rows; ++n) scale_rows(layer.wv, n, 1, factors[n]);
}

void fold_score_scale(FloatLayer& layer, double score_scale) {
  const double factor = score_scale * std::numbers::log2e;
  if (layer.q_norm.empty()) {
    scale_rows(layer.wq, 0, layer.wq.rows, factor);
  } else {
    scale(layer.q_norm, factor);
  }
}

std::vector<double> fold_value_bias(const FloatLayer& layer, const machine::Shape& shape) {
  if (layer.wv.bias.empty() && layer.wo.bias.empty()) return {};
  std::vector<double> out(layer.wo.rows, 0.0);
  for (std::uint32_t n = 0; n < layer.wo.rows; ++n) {
    if (!layer.wo.bias.empty()) out[n] = layer.wo.bias[n];
    if (layer.wv.bias.empty()) continue;
    for (std::uint32_t j = 0; j < layer.wo.cols; ++j) {
      out[n] += static_cast<double>(layer.wo.weight[std::size_t{n} * layer.wo.cols + j]) *
                layer.wv.bias[value_of(j, shape)];
    }
  }
  return out;
}

double balance_queries_and_keys(FloatLayer& layer, const machine::Shape& shape) {
  constexpr double kLarge = 64;  // leaves three of the nine integer bits of SPEC OP-6
  const std::uint32_t group =
      shape.heads / shape.kv_heads * shape.head_dim;  // rows of q per key head
  double greatest = 0;
  for (std::uint32_t g = 0; g < shape.kv_heads; ++g) {
    double q = likely_greatest(layer.wq, layer.attn_norm, g * group, group);
    double k = likely_greatest(layer.wk, layer.attn_norm, g * shape.head_dim, shape.head_dim);
    if (layer.q_norm.empty() && std::max(q, k) > kLarge && std::min(q, k) > 0) {
      const double factor = std::exp2(std::round(std::log2(k / q) / 2));
      scale_rows(layer.wq, g * group, group, factor);
      scale_rows(layer.wk, g * shape.head_dim, shape.head_dim, 1 / factor);
      q *= factor;
      k /= factor;
    }
    greatest = std::max({greatest, q, k});
  }
  return greatest;
}

}  // namespace otr::convert
