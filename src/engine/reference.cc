#include "engine/reference.h"

#include <string>

#include "base/check.h"

namespace otr::engine {

using machine::GainId;
using machine::kHeadLayer;
using machine::MatrixId;
using machine::Tensor;

const machine::Matrix& MicroState::matrix(MatrixId m, std::uint32_t layer) const {
  if (m == MatrixId::kEmbed) return model.embed;
  if (m == MatrixId::kHead) return model.head;
  const machine::Layer& l = model.layers[layer];
  switch (m) {
    case MatrixId::kWq:
      return l.wq;
    case MatrixId::kWk:
      return l.wk;
    case MatrixId::kWv:
      return l.wv;
    case MatrixId::kWo:
      return l.wo;
    case MatrixId::kGate:
      return l.w_gate;
    case MatrixId::kUp:
      return l.w_up;
    default:
      return l.w_down;
  }
}

const machine::Gain& MicroState::gain_of(GainId g, std::uint32_t layer) const {
  if (g == GainId::kFinalNorm) return model.final_norm;
  const machine::Layer& l = model.layers[layer];
  switch (g) {
    case GainId::kAttnNorm:
      return l.attn_norm;
    case GainId::kQNorm:
      return l.q_norm;
    case GainId::kKNorm:
      return l.k_norm;
    default:
      return l.mlp_norm;
  }
}

Reference::Reference(const machine::Model& model, const machine::Sampling& sampling,
                     std::uint32_t n_prompt, machine::NoiseBlock noise)
    : program_(machine::lower(model)), n_prompt_(n_prompt), state_(model, sampling, noise) {
  state_.residuals.resize(model.shape.layers);
  state_.k_rows.resize(std::size_t{model.shape.layers} * model.shape.kv_heads);
  state_.v_rows.resize(state_.k_rows.size());
}

Status Reference::run_tensor(std::uint32_t t, std::uint32_t layer, Tensor tensor) {
  const std::uint64_t size = machine::shape_of(program_, state_.sampling, t, layer, tensor).size();
  // In place: the elements of a root read the ones before them.
  auto& values = state_.tensors[static_cast<std::size_t>(tensor)];
  values.assign(size, 0);
  for (std::uint64_t i = 0; i < size; ++i) {
    const machine::StepResult result = machine::step(context(), state_, {t, layer, tensor, i});
    OTR_CHECK(result.outcome != machine::StepOutcome::kMismatch);
    if (result.outcome == machine::StepOutcome::kOutOfRange) {
      return fail(ErrorKind::kOutOfRange,
                  "the exact arithmetic left its range at position " + std::to_string(t) +
                      (layer == kHeadLayer ? ", head" : ", layer " + std::to_string(layer)) +
                      ", tensor " + std::string(machine::info(tensor).name) + ", element " +
                      std::to_string(i) + "; no claim can be signed",
                  "OUT_OF_RANGE");
    }
    values[i] = result.value;
  }
  return {};
}

namespace {

// Appends head g's values and exponent to the rows that later positions read.
void append_rows(std::vector<std::vector<CachedRow>>& rows, std::uint32_t layer,
                 const machine::Shape& shape, const std::vector<std::int64_t>& values,
                 const std::vector<std::int64_t>& exponents) {
  for (std::uint32_t g = 0; g < shape.kv_heads; ++g) {
    CachedRow row;
    for (std::uint32_t j = 0; j < shape.head_dim; ++j) {
      row.push_back(static_cast<std::int16_t>(values[std::size_t{g} * shape.head_dim + j]));
    }
    row.push_back(static_cast<std::int16_t>(exponents[g]));
    rows[layer * shape.kv_heads + g].push_back(std::move(row));
  }
}

}  // namespace

Status Reference::advance(std::uint32_t token) {
  const machine::Shape& shape = program_.shape;
  const auto t = static_cast<std::uint32_t>(state_.tokens.size());
  OTR_CHECK(token < shape.vocabulary && t < shape.context);
  state_.tokens.push_back(token);
  const auto tensor_of = [&](Tensor tensor) -> const std::vector<std::int64_t>& {
    return state_.tensors[static_cast<std::size_t>(tensor)];
  };
  for (std::uint32_t layer = 0; layer < shape.layers; ++layer) {
    for (int i = 0; i < static_cast<int>(machine::kFirstOfHead); ++i) {
      const auto tensor = static_cast<Tensor>(i);
      OTR_TRY(run_tensor(t, layer, tensor));
      // Scores read the K and V rows of this position too, as they are committed.
      if (tensor == Tensor::kV) {
        append_rows(state_.k_rows, layer, shape, tensor_of(Tensor::kK), tensor_of(Tensor::kKExp));
        append_rows(state_.v_rows, layer, shape, tensor_of(Tensor::kV), tensor_of(Tensor::kVExp));
      }
    }
    const auto& out = tensor_of(Tensor::kXOut);
    state_.residuals[layer].emplace_back(out.begin(), out.end());
    if (observer_) observer_(t, layer);
  }
  return {};
}

Result<std::uint32_t> Reference::choose() {
  const auto t = static_cast<std::uint32_t>(state_.tokens.size() - 1);
  const auto slot = [&](Tensor tensor) -> std::vector<std::int64_t>& {
    return state_.tensors[static_cast<std::size_t>(tensor)];
  };
  machine::Choice choice;
  for (int i = static_cast<int>(machine::kFirstOfHead); i < machine::kTensorCount; ++i) {
    const auto tensor = static_cast<Tensor>(i);
    if (tensor == Tensor::kKCut && !state_.sampling.greedy()) {
      // The cuts are checked, not computed (SPEC PROG-6): what they check stands after them, so
      // all of them are filled in from the native sampler's cuts before their steps run.
      const auto& logits = slot(Tensor::kLogit);
      const std::vector<std::int32_t> row(logits.begin(), logits.end());
      const std::uint32_t begin = std::max(
          n_prompt_, t + 1 > machine::kPenaltyWindow ? t + 1 - machine::kPenaltyWindow : 0);
      const auto recent = std::span(state_.tokens).subspan(std::min<std::size_t>(begin, t + 1));
      choice = machine::choose_token(row, recent, state_.sampling, t, state_.noise);
      slot(Tensor::kKCut) = {choice.k_cut};
      slot(Tensor::kPCut) = {choice.p_cut};
      for (const Tensor before :
           {Tensor::kKCount, Tensor::kKW, Tensor::kKMass, Tensor::kPW, Tensor::kPMass}) {
        OTR_TRY(run_tensor(t, kHeadLayer, before));
      }
    }
    state_.claim = tensor == Tensor::kPCut ? choice.p_cut : choice.k_cut;
    OTR_TRY(run_tensor(t, kHeadLayer, tensor));
  }
  if (observer_) observer_(t, kHeadLayer);
  return static_cast<std::uint32_t>(slot(Tensor::kToken)[0]);
}

}  // namespace otr::engine
