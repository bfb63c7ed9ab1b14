#include "dispute/position.h"

#include <algorithm>
#include <span>
#include <string>

#include "base/check.h"
#include "machine/sample.h"
#include "trace/noise.h"

namespace otr::dispute {
namespace {

using machine::GainId;
using machine::kHeadLayer;
using machine::MatrixId;
using machine::Tensor;
using merkle::Kind;

template <std::integral T>
T row_value(const trace::TraceBuilder& trace, const trace::StreamId& stream, std::uint64_t index) {
  return load_le<T>(trace.rows(stream).data() + index * sizeof(T));
}

std::vector<std::int64_t>& slot(trace::MicroTensors& tensors, Tensor tensor) {
  return tensors[static_cast<std::size_t>(tensor)];
}

// Computes tensors in place, one after the other.
class Computation {
 public:
  Computation(const Execution& execution, referee::Position position, trace::MicroTensors& tensors)
      : execution_(execution), position_(position), tensors_(tensors) {}

  // False if a step leaves its range, which stop() then names.
  bool run(Tensor tensor) {
    const auto [t, layer] = position_;
    std::vector<std::int64_t>& values = slot(tensors_, tensor);
    values.assign(size_of(tensor), 0);
    PositionState state(execution_.model, execution_.sampling, execution_.trace, position_,
                        tensors_);
    for (std::uint64_t i = 0; i < values.size(); ++i) {
      const machine::StepId id{t, layer, tensor, i};
      const machine::StepResult result = machine::step(execution_.context(), state, id);
      if (result.outcome != machine::StepOutcome::kValue) {
        stop_ = id;
        return false;
      }
      values[i] = result.value;
    }
    return true;
  }

  // The cuts and what their steps read stand in circles (SPEC PROG-6): the native sampler breaks
  // them. Cuts below `first` are given.
  bool run_cuts(Tensor first) {
    using enum Tensor;
    const machine::Choice choice = native_choice();
    if (first <= kKCut) slot(tensors_, kKCut) = {choice.k_cut};
    for (const Tensor tensor : {kKCount, kKW, kKMass}) {
      if (first <= tensor && !run(tensor)) return false;
    }
    if (first <= kPCut) slot(tensors_, kPCut) = {choice.p_cut};
    for (const Tensor tensor : {kPW, kPMass}) {
      if (first <= tensor && !run(tensor)) return false;
    }
    return true;
  }

  // Where a tensor is not complete, it has its size and zeros.
  void fill() {
    for (int i = 0; i < machine::kTensorCount; ++i) {
      const auto tensor = static_cast<Tensor>(i);
      slot(tensors_, tensor).resize(size_of(tensor));
    }
  }

  [[nodiscard]] const std::optional<machine::StepId>& stop() const { return stop_; }

 private:
  [[nodiscard]] std::uint64_t size_of(Tensor tensor) const {
    return machine::shape_of(execution_.program, execution_.sampling, position_.t, position_.layer,
                             tensor)
        .size();
  }

  [[nodiscard]] machine::Choice native_choice() const {
    const std::vector<std::int64_t>& logits = slot(tensors_, Tensor::kLogit);
    const std::vector<std::int32_t> row(logits.begin(), logits.end());
    const std::uint32_t t = position_.t;
    constexpr std::uint32_t kWindow = machine::kPenaltyWindow;
    std::vector<std::uint32_t> recent;
    for (std::uint32_t u = std::max(execution_.n_prompt, t + 1 > kWindow ? t + 1 - kWindow : 0);
         u <= t; ++u) {
      const auto id = row_value<std::uint32_t>(execution_.trace, {}, u);
      recent.push_back(std::min(id, execution_.program.shape.vocabulary - 1));
    }
    return machine::choose_token(row, recent, execution_.sampling, t, trace::noise_block);
  }

  const Execution& execution_;
  const referee::Position position_;
  trace::MicroTensors& tensors_;
  std::optional<machine::StepId> stop_;
};

}  // namespace

const machine::Matrix& PositionState::matrix(MatrixId m, std::uint32_t layer) const {
  if (m == MatrixId::kEmbed) return model_.embed;
  if (m == MatrixId::kHead) return model_.head;
  const machine::Layer& l = model_.layers[layer];
  const machine::Matrix* matrices[] = {&l.wq, &l.wk, &l.wv, &l.wo, &l.w_gate, &l.w_up, &l.w_down};
  return *matrices[static_cast<std::size_t>(m)];
}

std::int64_t PositionState::token(std::uint32_t t) const {
  return row_value<std::uint32_t>(trace_, {}, t);
}

std::int64_t PositionState::residual(std::uint32_t layer, std::uint32_t t, std::uint64_t j) const {
  return row_value<std::int32_t>(trace_, {Kind::kResidual, layer, 0},
                                 std::uint64_t{t} * model_.shape.hidden + j);
}

std::int64_t PositionState::k(std::uint32_t layer, std::uint32_t g, std::uint32_t t,
                              std::uint32_t j) const {
  const std::uint32_t d = model_.shape.head_dim;
  if (t == position_.t) {
    return j == d ? micro(Tensor::kKExp, g) : micro(Tensor::kK, std::uint64_t{g} * d + j);
  }
  return row_value<std::int16_t>(trace_, {Kind::kKey, layer, g}, std::uint64_t{t} * (d + 1) + j);
}

std::int64_t PositionState::v(std::uint32_t layer, std::uint32_t g, std::uint32_t t,
                              std::uint32_t j) const {
  const std::uint32_t d = model_.shape.head_dim;
  if (t == position_.t) {
    return j == d ? micro(Tensor::kVExp, g) : micro(Tensor::kV, std::uint64_t{g} * d + j);
  }
  return row_value<std::int8_t>(trace_, {Kind::kValue, layer, g}, std::uint64_t{t} * (d + 1) + j);
}

std::int64_t PositionState::weight(MatrixId m, std::uint32_t layer, std::uint64_t n,
                                   std::uint64_t k) const {
  const machine::Matrix& of = matrix(m, layer);
  return of.weight[n * of.cols + k];
}
std::int64_t PositionState::scale(MatrixId m, std::uint32_t layer, std::uint64_t n) const {
  return matrix(m, layer).scale[n];
}
std::int64_t PositionState::bias(MatrixId m, std::uint32_t layer, std::uint64_t n) const {
  return matrix(m, layer).bias[n];
}

std::int64_t PositionState::gain(GainId g, std::uint32_t layer, std::uint64_t j) const {
  if (g == GainId::kFinalNorm) return model_.final_norm.gain[j];
  const machine::Layer& l = model_.layers[layer];
  const machine::Gain* gains[] = {&l.attn_norm, &l.q_norm, &l.k_norm, &l.mlp_norm};
  return gains[static_cast<std::size_t>(g)]->gain[j];
}

std::uint32_t PositionState::noise_word(std::uint32_t t, std::uint64_t j) const {
  return trace::noise_block(sampling_.seed, t, static_cast<std::uint32_t>(j / 8))[j % 8];
}

Computed compute_from(const Execution& execution, referee::Position position, Tensor first,
                      trace::MicroTensors tensors) {
  Computed computed{.tensors = std::move(tensors)};
  Computation computation(execution, position, computed.tensors);
  const bool is_sampled = position.layer == kHeadLayer && !execution.sampling.greedy();
  for (int i = static_cast<int>(first); i < machine::kTensorCount; ++i) {
    const auto tensor = static_cast<Tensor>(i);
    const bool in_circle = is_sampled && tensor >= Tensor::kKCut && tensor <= Tensor::kPMass;
    if (!(in_circle ? computation.run_cuts(tensor) : computation.run(tensor))) break;
    if (in_circle) i = static_cast<int>(Tensor::kPMass);
  }
  computed.stop = computation.stop();
  computation.fill();
  return computed;
}

Computed compute_position(const Execution& execution, referee::Position position) {
  return compute_from(execution, position, Tensor::kXIn, {});
}

}  // namespace otr::dispute
