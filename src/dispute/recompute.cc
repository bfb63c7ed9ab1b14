#include "dispute/recompute.h"

#include <algorithm>

namespace otr::dispute {
namespace {

using machine::Tensor;

const std::vector<std::int64_t>& slot(const trace::MicroTensors& tensors, Tensor tensor) {
  return tensors[static_cast<std::size_t>(tensor)];
}

trace::MicroTensors zero_rows(const machine::Shape& shape) {
  trace::MicroTensors tensors;
  const auto assign = [&](Tensor tensor, std::size_t size) {
    tensors[static_cast<std::size_t>(tensor)].assign(size, 0);
  };
  assign(Tensor::kK, shape.kv_width());
  assign(Tensor::kKExp, shape.kv_heads);
  assign(Tensor::kV, shape.kv_width());
  assign(Tensor::kVExp, shape.kv_heads);
  assign(Tensor::kXOut, shape.hidden);
  return tensors;
}

}  // namespace

void append_rows(trace::TraceBuilder& trace, std::uint32_t layer,
                 const trace::MicroTensors& tensors) {
  const machine::Shape& shape = trace.shape();
  for (std::uint32_t g = 0; g < shape.kv_heads; ++g) {
    std::vector<std::int16_t> k;
    std::vector<std::int8_t> v;
    for (std::uint32_t j = g * shape.head_dim; j < (g + 1) * shape.head_dim; ++j) {
      k.push_back(static_cast<std::int16_t>(slot(tensors, Tensor::kK)[j]));
      v.push_back(static_cast<std::int8_t>(slot(tensors, Tensor::kV)[j]));
    }
    trace.append_kv(layer, g, k, static_cast<int>(slot(tensors, Tensor::kKExp)[g]), v,
                    static_cast<int>(slot(tensors, Tensor::kVExp)[g]));
  }
  const auto& x = slot(tensors, Tensor::kXOut);
  trace.append_residual(layer, std::vector<std::int32_t>(x.begin(), x.end()));
}

Recomputed recompute(const machine::Model& model, const machine::Program& program,
                     const machine::Sampling& sampling, std::uint32_t n_prompt,
                     std::span<const std::uint32_t> tokens) {
  const machine::Shape& shape = program.shape;
  Recomputed run{.trace = {shape, trace::TraceBuilder::Keep::kRows}};
  const Execution execution{model, program, sampling, n_prompt, run.trace};
  for (const std::uint32_t id : tokens) run.trace.append_token(id);
  const auto last = static_cast<std::uint32_t>(tokens.size() - 1);  // it has no rows (TRACE-2)
  const trace::MicroTensors zeros = zero_rows(shape);
  for (std::uint32_t l = 0; l < shape.layers; ++l) {
    for (std::uint32_t t = 0; t < last; ++t) {
      if (run.broken) {
        append_rows(run.trace, l, zeros);
        continue;
      }
      const Computed computed = compute_position(execution, {t, l});
      if (computed.stop) run.broken = referee::Position{t, l};
      append_rows(run.trace, l, run.broken ? zeros : computed.tensors);
    }
  }
  for (std::uint32_t t = n_prompt - 1; t < last && !run.broken; ++t) {
    const Computed computed = compute_position(execution, {t, machine::kHeadLayer});
    if (computed.stop) {
      run.broken = referee::Position{t, machine::kHeadLayer};
    } else {
      run.choices.push_back(static_cast<std::uint32_t>(slot(computed.tensors, Tensor::kToken)[0]));
    }
  }
  return run;
}

}  // namespace otr::dispute
