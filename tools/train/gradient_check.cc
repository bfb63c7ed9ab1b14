#include "gradient_check.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "llama.h"

namespace otr::train {
namespace {

// Two heads per key head, two documents of different length, one position without weight.
constexpr Shape kTinyShape{.layers = 2,
                           .hidden = 12,
                           .heads = 4,
                           .kv_heads = 2,
                           .head_dim = 6,
                           .ffn = 10,
                           .vocab = 17,
                           .context = 16};

Batch make_batch(std::mt19937_64& random) {
  Batch batch;
  batch.starts = {0, 7, 12};
  for (int i = 0; i < batch.starts.back(); ++i) {
    batch.tokens.push_back(static_cast<int>(random() % static_cast<uint64_t>(kTinyShape.vocab)));
    batch.targets.push_back(static_cast<int>(random() % static_cast<uint64_t>(kTinyShape.vocab)));
    batch.weights.push_back(i == 6 ? 0.0f : i % 3 == 0 ? 0.2f : 1.0f);
  }
  return batch;
}

}  // namespace

Result<double> check_gradients() {
  std::mt19937_64 random(7);
  std::vector<double> params;
  initialise(kTinyShape, 1, params);
  // At deviation 0.02 attention is nearly uniform and many gradients vanish; spread the weights.
  for (double& p : params) {
    p = p * 15 + 0.2 * (static_cast<double>(random() % 1000) / 1000 - 0.5);
    if (std::abs(p) > 5) p = p / 15;
  }
  const Batch batch = make_batch(random);
  Network<double> network(kTinyShape);
  std::vector<double> grads(params.size(), 0.0);
  network.forward(params.data(), batch);
  network.backward(params.data(), batch, 1.0, grads.data());

  constexpr double kStep = 1e-5;
  double worst = 0;
  for (const NamedTensor& t : named_tensors(kTinyShape)) {
    const size_t count = static_cast<size_t>(t.rows) * static_cast<size_t>(std::max(1, t.cols));
    const size_t stride = std::max<size_t>(1, count / 30);
    for (size_t i = random() % stride; i < count; i += stride) {
      double& p = params[t.offset + i];
      const double kept = p;
      p = kept + kStep;
      const double above = network.forward(params.data(), batch);
      p = kept - kStep;
      const double below = network.forward(params.data(), batch);
      p = kept;
      const double numeric = (above - below) / (2 * kStep);
      const double analytic = grads[t.offset + i];
      const double relative =
          std::abs(numeric - analytic) / (1e-2 + std::abs(numeric) + std::abs(analytic));
      worst = std::max(worst, relative);
      if (!(relative < 1e-5)) {
        return fail(ErrorKind::kReject, t.name + "[" + std::to_string(i) + "]: analytic gradient " +
                                            std::to_string(analytic) + ", numeric " +
                                            std::to_string(numeric) + ".");
      }
    }
  }
  return worst;
}

}  // namespace otr::train
