// Models of random weights for measurements: a named shape, numbers of the size that a trained
// model has, no tokeniser. They compute as fast as a trained model of their shape and say nothing.
#ifndef OTR_CONVERT_RANDOM_MODEL_H_
#define OTR_CONVERT_RANDOM_MODEL_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "machine/model.h"

namespace otr::convert {

struct RandomModelOptions {
  std::string shape;             // one of random_model_shapes()
  std::uint64_t seed = 1;        // the same seed gives the same weights
  std::uint32_t context = 2048;  // tokens
  int act_bits = 16;             // 8 or 16, of every row that enters a product
};

// The shapes of bench/peer/shapes.json, and `tiny` for tests.
[[nodiscard]] std::vector<std::string> random_model_shapes();

// The bytes of a valid artifact. Errors: kUsage for an unknown shape or a context beyond SPEC
// LIM-1, kIo where memory is short, kCancelled once `cancelled` says so.
[[nodiscard]] Result<Bytes> random_model(const RandomModelOptions& options,
                                         const std::function<bool()>& cancelled);

}  // namespace otr::convert

#endif  // OTR_CONVERT_RANDOM_MODEL_H_
