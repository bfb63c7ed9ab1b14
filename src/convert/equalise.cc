#include "convert/equalise.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/multiversion.h"

// The same floats on every machine: none may fuse a product with a sum.
#pragma clang fp contract(off)

namespace otr::convert {
namespace {

// A column this much smaller than the largest is as good as dead: without a floor, a few of them
// would move the mean and with it the scale of all others.
constexpr double kSmallestFactor = 1.0 / 65536;

OTR_MULTIVERSION void add_squares(std::span<const float> row, double* sums) {
  for (std::size_t j = 0; j < row.size(); ++j) sums[j] += static_cast<double>(row[j]) * row[j];
}

OTR_MULTIVERSION void divide_row(std::span<float> row, const double* factors) {
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = static_cast<float>(row[j] / factors[j]);
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

ColumnEqualiser::ColumnEqualiser(std::size_t columns) : values_(columns, 0.0) {}

ColumnEqualiser::ColumnEqualiser(std::span<const float> gain) : values_(gain.size(), 0.0) {
  for (std::size_t j = 0; j < gain.size(); ++j) {
    if (gain[j] == 0) silent_.push_back(j);
  }
}

void ColumnEqualiser::silence(std::span<float> rows) const {
  if (silent_.empty()) return;
  for (std::size_t at = 0; at < rows.size(); at += values_.size()) {
    for (const std::size_t j : silent_) rows[at + j] = 0;
  }
}

void ColumnEqualiser::add(std::span<float> rows) {
  silence(rows);
  const std::size_t cols = values_.size();
  for (std::size_t at = 0; at < rows.size(); at += cols) {
    add_squares(rows.subspan(at, cols), values_.data());
  }
}

void ColumnEqualiser::make_factors() { values_ = column_factors(std::move(values_)); }

void ColumnEqualiser::divide(std::span<float> rows) const {
  silence(rows);
  const std::size_t cols = values_.size();
  for (std::size_t at = 0; at < rows.size(); at += cols) {
    divide_row(rows.subspan(at, cols), values_.data());
  }
}

void ColumnEqualiser::multiply(std::span<float> gain) const {
  for (std::size_t j = 0; j < gain.size(); ++j) {
    gain[j] = static_cast<float>(gain[j] * values_[j]);
  }
}

void equalise_norm(std::vector<float>& gain, std::initializer_list<FloatMatrix*> readers) {
  ColumnEqualiser columns(gain);
  for (FloatMatrix* matrix : readers) columns.add(matrix->weight);
  columns.make_factors();
  for (FloatMatrix* matrix : readers) columns.divide(matrix->weight);
  columns.multiply(gain);
}

void equalise_ffn(FloatMatrix& up, FloatMatrix& down) {
  ColumnEqualiser columns(down.cols);
  columns.add(down.weight);
  columns.make_factors();
  columns.divide(down.weight);
  for (std::uint32_t n = 0; n < up.rows; ++n) scale_rows(up, n, 1, columns.factors()[n]);
}

void equalise_values(FloatLayer& layer, const machine::Shape& shape) {
  FloatMatrix& wo = layer.wo;
  std::vector<std::size_t> value(wo.cols);
  for (std::size_t j = 0; j < wo.cols; ++j) value[j] = value_of(j, shape);
  std::vector<double> squares(layer.wv.rows, 0.0);
  for (std::size_t at = 0; at < wo.weight.size(); at += wo.cols) {
    for (std::size_t j = 0; j < wo.cols; ++j) {
      squares[value[j]] += static_cast<double>(wo.weight[at + j]) * wo.weight[at + j];
    }
  }
  const std::vector<double> factors = column_factors(std::move(squares));
  std::vector<double> wide(wo.cols);
  for (std::size_t j = 0; j < wo.cols; ++j) wide[j] = factors[value[j]];
  for (std::size_t at = 0; at < wo.weight.size(); at += wo.cols) {
    divide_row(std::span(wo.weight).subspan(at, wo.cols), wide.data());
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
