// The direct accessor: a State (machine/step.h) over plain memory, for the reference engine.
#ifndef OTR_ENGINE_MICRO_STATE_H_
#define OTR_ENGINE_MICRO_STATE_H_

#include <array>
#include <cstdint>
#include <vector>

#include "machine/model.h"
#include "machine/sample.h"
#include "machine/step.h"

namespace otr::engine {

// One committed row of a key/value head: D values and the exponent last (SPEC TRACE-2).
using CachedRow = std::vector<std::int16_t>;

struct MicroState {
  MicroState(const machine::Model& the_model, const machine::Sampling& the_sampling,
             machine::NoiseBlock the_noise)
      : model(the_model), sampling(the_sampling), noise(the_noise) {}

  const machine::Model& model;
  const machine::Sampling& sampling;
  machine::NoiseBlock noise;

  std::vector<std::uint32_t> tokens;
  std::vector<std::vector<std::vector<std::int32_t>>> residuals;  // [layer][t][j]
  std::vector<std::vector<CachedRow>> k_rows, v_rows;             // [layer · G + g][t]
  std::array<std::vector<std::int64_t>, machine::kTensorCount> tensors;
  std::int64_t claim = 0;  // what claimed() answers

  const machine::Matrix& matrix(machine::MatrixId m, std::uint32_t layer) const;
  const machine::Gain& gain_of(machine::GainId g, std::uint32_t layer) const;

  std::int64_t micro(machine::Tensor tensor, std::uint64_t i) const {
    return tensors[static_cast<std::size_t>(tensor)][i];
  }
  std::int64_t token(std::uint32_t t) const { return tokens[t]; }
  std::int64_t residual(std::uint32_t layer, std::uint32_t t, std::uint64_t j) const {
    return residuals[layer][t][j];
  }
  std::int64_t k(std::uint32_t layer, std::uint32_t g, std::uint32_t t, std::uint32_t j) const {
    return k_rows[layer * model.shape.kv_heads + g][t][j];
  }
  std::int64_t v(std::uint32_t layer, std::uint32_t g, std::uint32_t t, std::uint32_t j) const {
    return v_rows[layer * model.shape.kv_heads + g][t][j];
  }
  std::int64_t weight(machine::MatrixId m, std::uint32_t layer, std::uint64_t n,
                      std::uint64_t k) const {
    const machine::Matrix& matrix_m = matrix(m, layer);
    return matrix_m.weight[n * matrix_m.cols + k];
  }
  std::int64_t scale(machine::MatrixId m, std::uint32_t layer, std::uint64_t n) const {
    return matrix(m, layer).scale[n];
  }
  std::int64_t bias(machine::MatrixId m, std::uint32_t layer, std::uint64_t n) const {
    return matrix(m, layer).bias[n];
  }
  std::int64_t gain(machine::GainId g, std::uint32_t layer, std::uint64_t j) const {
    return gain_of(g, layer).gain[j];
  }
  std::uint64_t rope_step(std::uint64_t i) const { return model.rope_steps[i]; }
  std::int64_t table(machine::TableId id, std::uint64_t row, std::uint64_t column) const {
    return machine::table_entry(id, row, column);
  }
  std::uint32_t noise_word(std::uint32_t t, std::uint64_t j) const {
    return noise(sampling.seed, t, static_cast<std::uint32_t>(j / 8))[j % 8];
  }
  std::int64_t claimed() const { return claim; }
};

}  // namespace otr::engine

#endif  // OTR_ENGINE_MICRO_STATE_H_
