#include "convert/quantise.h"

#include <algorithm>
#include <cmath>

namespace otr::convert {
namespace {

constexpr double kMaxScale = 4095;
constexpr double kMaxWeight = 127;
constexpr double kMaxGain = (1 << 23) - 1;

std::unexpected<Error> too_large(const std::string& name, double value) {
  return fail(ErrorKind::kBadInput, "'" + name + "' holds " + std::to_string(value) +
                                        ", which is too large for the integers of an artifact.");
}

float greatest_of(std::span<const float> row) {
  float greatest = 0;
  for (const float value : row) greatest = std::max(greatest, std::abs(value));
  return greatest;
}

std::int8_t round_weight(double value) {
  return static_cast<std::int8_t>(std::clamp(std::nearbyint(value), -kMaxWeight, kMaxWeight));
}

double squared_error(std::span<const float> row, double scale) {
  double sum = 0;
  for (const float value : row) {
    const double difference = value - round_weight(value / scale) * scale;
    sum += difference * difference;
  }
  return sum;
}

struct RowScale {
  double m = 1;
  double error = 0;
};

// The scale that clips nothing, or a smaller one where the finer steps are worth the clipping.
RowScale best_scale(std::span<const float> row, double greatest, int exponent) {
  const double whole = std::max(1.0, std::ceil(std::ldexp(greatest / kMaxWeight, exponent)));
  RowScale best{whole, squared_error(row, std::ldexp(whole, -exponent))};
  for (const double part : {0.95, 0.9, 0.85, 0.8, 0.7}) {
    const double m = std::round(whole * part);
    if (m < 1 || m == whole) continue;
    const double error = squared_error(row, std::ldexp(m, -exponent));
    if (error < best.error) best = {m, error};
  }
  return best;
}

}  // namespace

Result<QuantisedMatrix> quantise_matrix(const FloatMatrix& matrix, int max_exponent,
                                        const std::string& name) {
  const double greatest = greatest_of(matrix.weight);
  QuantisedMatrix out;
  out.exponent = max_exponent;
  while (out.exponent >= 0 &&
         std::ceil(std::ldexp(greatest / kMaxWeight, out.exponent)) > kMaxScale) {
    --out.exponent;
  }
  if (out.exponent < 0) return too_large(name, greatest);
  out.weight.reserve(matrix.weight.size());
  double error = 0;
  double energy = 0;
  for (std::uint32_t n = 0; n < matrix.rows; ++n) {
    const auto row = std::span(matrix.weight).subspan(std::size_t{n} * matrix.cols, matrix.cols);
    const RowScale best = best_scale(row, greatest_of(row), out.exponent);
    const double scale = std::ldexp(best.m, -out.exponent);
    out.scale.push_back(static_cast<std::uint16_t>(best.m));
    for (const float value : row) {
      out.weight.push_back(round_weight(value / scale));
      energy += static_cast<double>(value) * value;
    }
    error += best.error;
  }
  out.error = energy > 0 ? std::sqrt(error / energy) : 0;
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
