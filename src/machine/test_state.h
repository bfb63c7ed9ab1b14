// A State (machine/step.h) whose every value a test sets, and a program of any sizes around it.
//
// Missing values throw (at()), so a step that reads more than a test gave it fails the test.
#ifndef OTR_MACHINE_TEST_STATE_H_
#define OTR_MACHINE_TEST_STATE_H_

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "machine/step.h"

namespace otr::machine {

using Values = std::vector<std::int64_t>;

struct TestMatrix {
  std::vector<Values> w;  // rows
  Values m;               // scales
  Values bias;            // empty: none
  int exponent = 0;
};

class TestState {
 public:
  // What the program is made of. Only what the steps under test look at has to be set.
  Program program;
  Sampling sampling;
  std::uint32_t n_prompt = 0;

  std::array<Values, kTensorCount> tensors;
  std::vector<std::uint32_t> tokens;
  std::map<std::uint32_t, Values> residual_rows;  // by layer, of the one position
  std::vector<Values> k_rows, v_rows;             // by position of one head: D values, exponent
  std::uint32_t first_kv = 0;                     // position of the first of them
  std::vector<std::uint64_t> rope_steps;
  NoiseBlock noise = nullptr;
  std::int64_t claim = 0;

  TestState() {
    program.layers.resize(2);
    program.shape.layers = 2;
    program.shape.context = kMaxContext;
  }

  Values& at(Tensor tensor) { return tensors[static_cast<std::size_t>(tensor)]; }
  Shape& shape() { return program.shape; }

  // The matrix of layer 0, of the embedding or of the head.
  void set(MatrixId id, TestMatrix matrix) {
    const MatrixInfo facts{static_cast<std::uint32_t>(matrix.w.size()),
                           static_cast<std::uint32_t>(matrix.w.at(0).size()), matrix.exponent,
                           !matrix.bias.empty()};
    if (id == MatrixId::kEmbed) {
      program.embed = facts;
    } else if (id == MatrixId::kHead) {
      program.head = facts;
    } else {
      for (LayerInfo& layer : program.layers) {
        layer.matrices.at(static_cast<std::size_t>(id)) = facts;
      }
    }
    matrices_[id] = std::move(matrix);
  }
  void set(GainId id, Values gain, int exponent) {
    if (id == GainId::kFinalNorm) program.final_norm_exponent = exponent;
    for (LayerInfo& layer : program.layers) {
      if (id != GainId::kFinalNorm) {
        layer.gain_exponents.at(static_cast<std::size_t>(id)) = exponent;
      }
    }
    gains_[id] = std::move(gain);
  }

  StepContext context() const { return {program, sampling, n_prompt}; }
  StepResult step_at(std::uint32_t t, std::uint32_t layer, Tensor tensor, std::uint64_t i) {
    return step(context(), *this, {t, layer, tensor, i});
  }
  // All elements of a tensor, kept in at(tensor) for the steps that follow. The first outcome that
  // is not a value ends it and is kept in outcome().
  bool run(std::uint32_t t, std::uint32_t layer, Tensor tensor) {
    return run_count(t, layer, tensor, shape_of(program, sampling, t, layer, tensor).size());
  }
  bool run_count(std::uint32_t t, std::uint32_t layer, Tensor tensor, std::uint64_t count) {
    Values& values = at(tensor);
    values.assign(count, 0);
    for (std::uint64_t i = 0; i < count; ++i) {
      const StepResult result = step_at(t, layer, tensor, i);
      if (result.outcome != StepOutcome::kValue) {
        outcome_ = result.outcome;
        return false;
      }
      values[i] = result.value;
    }
    return true;
  }
  bool run_all(std::uint32_t t, std::uint32_t layer, std::initializer_list<Tensor> list) {
    for (const Tensor tensor : list) {
      if (!run(t, layer, tensor)) return false;
    }
    return true;
  }
  StepOutcome outcome() const { return outcome_; }

  // The members of a State.
  std::int64_t micro(Tensor tensor, std::uint64_t i) const {
    return tensors[static_cast<std::size_t>(tensor)].at(i);
  }
  std::int64_t token(std::uint32_t t) const { return tokens.at(t); }
  std::int64_t residual(std::uint32_t layer, std::uint32_t, std::uint64_t j) const {
    return residual_rows.at(layer).at(j);
  }
  std::int64_t k(std::uint32_t, std::uint32_t, std::uint32_t t, std::uint32_t j) const {
    return k_rows.at(t - first_kv).at(j);
  }
  std::int64_t v(std::uint32_t, std::uint32_t, std::uint32_t t, std::uint32_t j) const {
    return v_rows.at(t - first_kv).at(j);
  }
  std::int64_t weight(MatrixId m, std::uint32_t, std::uint64_t n, std::uint64_t k) const {
    return matrices_.at(m).w.at(n).at(k);
  }
  std::int64_t scale(MatrixId m, std::uint32_t, std::uint64_t n) const {
    return matrices_.at(m).m.at(n);
  }
  std::int64_t bias(MatrixId m, std::uint32_t, std::uint64_t n) const {
    return matrices_.at(m).bias.at(n);
  }
  std::int64_t gain(GainId g, std::uint32_t, std::uint64_t j) const { return gains_.at(g).at(j); }
  std::uint64_t rope_step(std::uint64_t i) const { return rope_steps.at(i); }
  std::int64_t table(TableId id, std::uint64_t row, std::uint64_t column) const {
    return table_entry(id, row, column);
  }
  std::uint32_t noise_word(std::uint32_t t, std::uint64_t j) const {
    return noise(sampling.seed, t, static_cast<std::uint32_t>(j / 8))[j % 8];
  }
  std::int64_t claimed() const { return claim; }

 private:
  std::map<MatrixId, TestMatrix> matrices_;
  std::map<GainId, Values> gains_;
  StepOutcome outcome_ = StepOutcome::kValue;
};

}  // namespace otr::machine

#endif  // OTR_MACHINE_TEST_STATE_H_
