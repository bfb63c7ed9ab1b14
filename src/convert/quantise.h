// Real weights to the integers of a model artifact (SPEC MODEL-4, chapter OP).
#ifndef OTR_CONVERT_QUANTISE_H_
#define OTR_CONVERT_QUANTISE_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "convert/float_model.h"

namespace otr::convert {

struct QuantisedMatrix {
  std::vector<std::int8_t> weight;   // rows × cols
  std::vector<std::uint16_t> scale;  // rows
  int exponent = 0;
  double error = 0;  // sqrt(Σ (w - ŵ)² / Σ w²); 0 for a matrix of zeros
};

struct QuantisedGain {
  std::vector<std::int32_t> gain;
  int exponent = 0;
};

// One scale m·2^-e for each row. e is the greatest, up to `max_exponent`, for which every row fits
// with m <= 4095 without clipping; then each row takes the m, at or below that, with the least
// squared error. kBadInput if a weight is too large for e >= 0; `name` is for that error.
[[nodiscard]] Result<QuantisedMatrix> quantise_matrix(const FloatMatrix& matrix, int max_exponent,
                                                      const std::string& name);

// gain·factor with the greatest exponent, up to `max_exponent`, that keeps them within 23 bits.
[[nodiscard]] Result<QuantisedGain> quantise_gain(std::span<const float> gain, double factor,
                                                  int max_exponent, const std::string& name);

// round(bias·2^frac_bits), refused beyond `limit`.
[[nodiscard]] Result<std::vector<std::int32_t>> quantise_bias(std::span<const double> bias,
                                                              int frac_bits, std::int32_t limit,
                                                              const std::string& name);

}  // namespace otr::convert

#endif  // OTR_CONVERT_QUANTISE_H_
