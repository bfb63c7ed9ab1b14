// The commitment to all micro-tensors of one position and layer (SPEC PROG-5): what a dispute that
// has narrowed to them is played on. Made only when somebody asks.
#ifndef OTR_ENGINE_MICRO_TRACE_H_
#define OTR_ENGINE_MICRO_TRACE_H_

#include <array>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "machine/program.h"
#include "machine/tensors.h"

namespace otr::engine {

using MicroTensors = std::array<std::vector<std::int64_t>, machine::kTensorCount>;

// One tensor that is present, with its TREE-4 root of kind 9.
struct MicroRoot {
  machine::Tensor tensor = machine::Tensor::kXIn;
  machine::TensorShape shape;
  Hash root{};
};

// The tensors of (t, layer) in order; `layer` may be kHeadLayer. `tensors` are those a Reference
// shows its observer: each that is present has all its elements, within their range.
std::vector<MicroRoot> micro_roots(const machine::Program& program,
                                   const machine::Sampling& sampling, std::uint32_t t,
                                   std::uint32_t layer, const MicroTensors& tensors);

// The root of kind 10 over the list.
Hash micro_trace_root(const machine::Program& program, const machine::Sampling& sampling,
                      std::uint32_t t, std::uint32_t layer, const MicroTensors& tensors);

}  // namespace otr::engine

#endif  // OTR_ENGINE_MICRO_TRACE_H_
