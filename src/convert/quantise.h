// Real weights to the integers of a model artifact (SPEC MODEL-4, chapter OP).
#ifndef OTR_CONVERT_QUANTISE_H_
#define OTR_CONVERT_QUANTISE_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "convert/float_model.h"

namespace otr::convert {

// A matrix that is read some rows at a time, as often as needed, because it may not fit into
// memory. `read` gives rows [begin, end), row-major, valid until the next call.
struct MatrixRows {
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;
  std::function<Result<std::span<const float>>(std::uint64_t begin, std::uint64_t end)> read;
};
// The rows of a matrix in memory, which must outlive them.
[[nodiscard]] MatrixRows rows_of(const FloatMatrix& matrix);

// Reads all rows, block by block: `body` takes each, a std::span<const float> of whole rows.
Status for_blocks(const MatrixRows& matrix,
                  const std::function<Status(std::span<const float>)>& body);

// Takes the weights of the rows in their order, some at a time.
using WeightSink = std::function<Status(std::span<const std::int8_t>)>;

struct QuantisedMatrix {
  std::vector<std::uint16_t> scale;  // rows
  int exponent = 0;
  double error = 0;     // sqrt(Σ (w - ŵ)² / Σ w²); 0 for a matrix of zeros
  double peak = 0;      // greatest |w| over the root of their mean square
  double outliers = 0;  // share of the weights beyond six times that root
};

struct QuantisedGain {
  std::vector<std::int32_t> gain;
  int exponent = 0;
};

// One scale m·2^-e for each row. e is the greatest, up to `max_exponent`, for which every row fits
// with m <= 4095 without clipping; then each row takes the m, at or below that, with the least
// squared error. Reads all rows twice. kBadInput if a weight is too large for e >= 0, or if the
// rows are others when they are read again; `name` is for those errors. Memory for a few rows.
[[nodiscard]] Result<QuantisedMatrix> quantise_matrix(const MatrixRows& matrix, int max_exponent,
                                                      const std::string& name,
                                                      const WeightSink& sink);

// gain·factor with the greatest exponent, up to `max_exponent`, that keeps them within 23 bits.
[[nodiscard]] Result<QuantisedGain> quantise_gain(std::span<const float> gain, double factor,
                                                  int max_exponent, const std::string& name);

// round(bias·2^frac_bits), refused beyond `limit`.
[[nodiscard]] Result<std::vector<std::int32_t>> quantise_bias(std::span<const double> bias,
                                                              int frac_bits, std::int32_t limit,
                                                              const std::string& name);

}  // namespace otr::convert

#endif  // OTR_CONVERT_QUANTISE_H_
