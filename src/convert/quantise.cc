#include "convert/quantise.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/multiversion.h"

// The same integers on every machine: none may fuse a product with a sum.
#pragma clang fp contract(off)

namespace otr::convert {
namespace {

constexpr double kMaxScale = 4095;
constexpr double kMaxWeight = 127;
constexpr double kMaxGain = (1 << 23) - 1;
constexpr double kOutlier = 6;
constexpr std::uint64_t kBlockElements = std::uint64_t{1} << 20;  // of the rows held at once
// Adding and subtracting it rounds to the nearest integer, ties to even: for numbers far below
// 2^51.
constexpr double kRound = 0x1.8p52;

std::unexpected<Error> too_large(const std::string& name, double value) {
  return fail(ErrorKind::kBadInput, "'" + name + "' holds " + std::to_string(value) +
                                        ", which is too large for the integers of an artifact.");
}

OTR_MULTIVERSION float greatest_of(std::span<const float> row) {
  std::array<float, 32> greatest = {};
  std::size_t i = 0;
  for (; i + greatest.size() <= row.size(); i += greatest.size()) {
    for (std::size_t k = 0; k < greatest.size(); ++k) {
      greatest[k] = std::max(greatest[k], std::abs(row[i + k]));
    }
  }
  for (; i < row.size(); ++i) greatest[0] = std::max(greatest[0], std::abs(row[i]));
  return std::ranges::max(greatest);
}

OTR_MULTIVERSION double energy_of(std::span<const float> row) {
  std::array<double, 16> sums = {};
  std::size_t i = 0;
  for (; i + sums.size() <= row.size(); i += sums.size()) {
    for (std::size_t k = 0; k < sums.size(); ++k) {
      sums[k] += static_cast<double>(row[i + k]) * row[i + k];
    }
  }
  for (; i < row.size(); ++i) sums[0] += static_cast<double>(row[i]) * row[i];
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

OTR_MULTIVERSION std::uint64_t count_beyond(std::span<const float> row, float bound) {
  std::uint32_t count = 0;
  for (const float value : row) count += std::abs(value) > bound ? 1U : 0U;
  return count;
}

OTR_MULTIVERSION void round_row(std::span<const float> row, double scale, std::int8_t* out) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    const double rounded = (row[i] / scale + kRound) - kRound;
    out[i] = static_cast<std::int8_t>(std::clamp(rounded, -kMaxWeight, kMaxWeight));
  }
}

// The scale that clips nothing, and smaller ones whose finer steps may be worth the clipping. Eight
// are tried at once, in the lanes of a vector, so that the sum of each has the order of its row.
constexpr std::array<double, 8> kParts = {1, 0.95, 0.9, 0.85, 0.8, 0.7, 1, 1};
using Lanes = double __attribute__((ext_vector_type(8)));

// The squared error of a row under each of the scales.
//
// The product with the inverse differs from the quotient by a few 2^-53 of it. Rounded, that is
// another integer only where the quotient lies exactly between two: any other quotient of a float
// by an integer of 12 bits times a power of two is at least 2^-26 of it away from there. And there
// both integers have the same error.
OTR_MULTIVERSION void squared_errors(std::span<const float> row, const double* scales,
                                     double* errors) {
  Lanes scale, sum = 0;
  for (int k = 0; k < 8; ++k) scale[k] = scales[k];
  const Lanes inverse = 1 / scale;
  const Lanes low = -kMaxWeight, high = kMaxWeight;
  for (const float value : row) {
    const Lanes wide = static_cast<double>(value);
    const Lanes rounded = (wide * inverse + kRound) - kRound;
    const Lanes weight = __builtin_elementwise_min(__builtin_elementwise_max(rounded, low), high);
    const Lanes difference = wide - weight * scale;
    sum += difference * difference;
  }
  for (int k = 0; k < 8; ++k) errors[k] = sum[k];
}

struct RowScale {
  double m = 1;
  double error = 0;
};

RowScale best_scale(std::span<const float> row, double greatest, int exponent) {
  const double whole = std::max(1.0, std::ceil(std::ldexp(greatest / kMaxWeight, exponent)));
  std::array<double, 8> m = {}, scales = {}, errors = {};
  for (std::size_t k = 0; k < m.size(); ++k) {
    m[k] = std::max(1.0, std::round(whole * kParts[k]));
    scales[k] = std::ldexp(m[k], -exponent);
  }
  squared_errors(row, scales.data(), errors.data());
  const auto best = static_cast<std::size_t>(std::ranges::min_element(errors) - errors.begin());
  return {m[best], errors[best]};
}

}  // namespace

MatrixRows rows_of(const FloatMatrix& matrix) {
  return {
      matrix.rows, matrix.cols,
      [&matrix](std::uint64_t begin, std::uint64_t end) -> Result<std::span<const float>> {
        return std::span(matrix.weight).subspan(begin * matrix.cols, (end - begin) * matrix.cols);
      }};
}

Status for_blocks(const MatrixRows& matrix,
                  const std::function<Status(std::span<const float>)>& body) {
  const std::uint64_t step = std::max<std::uint64_t>(kBlockElements / matrix.cols, 1);
  for (std::uint64_t begin = 0; begin < matrix.rows; begin += step) {
    OTR_TRY_ASSIGN(const std::span<const float> block,
                   matrix.read(begin, std::min<std::uint64_t>(begin + step, matrix.rows)));
    OTR_TRY(body(block));
  }
  return {};
}

Result<QuantisedMatrix> quantise_matrix(const MatrixRows& matrix, int max_exponent,
                                        const std::string& name, const WeightSink& sink) {
  double greatest = 0, energy = 0;
  OTR_TRY(for_blocks(matrix, [&](std::span<const float> block) -> Status {
    greatest = std::max<double>(greatest, greatest_of(block));
    energy += energy_of(block);
    return {};
  }));
  QuantisedMatrix out;
  out.exponent = max_exponent;
  while (out.exponent >= 0 &&
         std::ceil(std::ldexp(greatest / kMaxWeight, out.exponent)) > kMaxScale) {
    --out.exponent;
  }
  if (out.exponent < 0) return too_large(name, greatest);

  const double count = static_cast<double>(matrix.rows) * matrix.cols;
  const double rms = std::sqrt(energy / count);
  double error = 0;
  std::uint64_t outliers = 0;
  std::vector<std::int8_t> weights;
  OTR_TRY(for_blocks(matrix, [&](std::span<const float> block) -> Status {
    weights.resize(block.size());
    for (std::size_t at = 0; at < block.size(); at += matrix.cols) {
      const auto row = block.subspan(at, matrix.cols);
      const double greatest_here = greatest_of(row);
      if (!(greatest_here <= greatest)) {
        return fail(ErrorKind::kBadInput, "'" + name +
                                              "' changed while it was read: somebody writes to "
                                              "the source; repeat when they are done.");
      }
      const RowScale best = best_scale(row, greatest_here, out.exponent);
      round_row(row, std::ldexp(best.m, -out.exponent), weights.data() + at);
      out.scale.push_back(static_cast<std::uint16_t>(best.m));
      error += best.error;
      outliers += count_beyond(row, static_cast<float>(kOutlier * rms));
    }
    return sink(weights);
  }));
  if (energy > 0) {
    out.error = std::sqrt(error / energy);
    out.peak = greatest / rms;
    out.outliers = static_cast<double>(outliers) / count;
  }
  return out;
}

Result<QuantisedGain> quantise_gain(std::span<const float> gain, double factor, int max_exponent,
                                    const std::string& name) {
  const double greatest = greatest_of(gain) * std::abs(factor);
  QuantisedGain out;
  out.exponent = max_exponent;
  while (out.exponent >= 0 && std::round(std::ldexp(greatest, out.exponent)) > kMaxGain) {
    --out.exponent;
  }
  if (out.exponent < 0) return too_large(name, greatest);
  for (const float value : gain) {
    out.gain.push_back(
        static_cast<std::int32_t>(std::round(std::ldexp(value * factor, out.exponent))));
  }
  return out;
}

Result<std::vector<std::int32_t>> quantise_bias(std::span<const double> bias, int frac_bits,
                                                std::int32_t limit, const std::string& name) {
  std::vector<std::int32_t> out;
  for (const double value : bias) {
    const double rounded = std::round(std::ldexp(value, frac_bits));
    if (!(std::abs(rounded) <= limit)) return too_large(name, value);
    out.push_back(static_cast<std::int32_t>(rounded));
  }
  return out;
}

}  // namespace otr::convert
