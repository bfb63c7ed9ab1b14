// The commitment to all micro-tensors of one position and layer (SPEC PROG-5): what a dispute that
// has narrowed to them is played on. Made only when somebody asks.
#ifndef OTR_TRACE_MICRO_TRACE_H_
#define OTR_TRACE_MICRO_TRACE_H_

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "machine/program.h"
#include "machine/tensors.h"
#include "merkle/tree.h"

namespace otr::trace {

using MicroTensors = std::array<std::vector<std::int64_t>, machine::kTensorCount>;

// The type of a tensor's elements as they are hashed: the first that holds its range.
[[nodiscard]] merkle::Type micro_type(machine::Tensor tensor);

// The elements as they are hashed. Requires every one to lie in the tensor's type.
[[nodiscard]] Bytes micro_bytes(machine::Tensor tensor, std::span<const std::int64_t> values);

// The tensors of (t, layer) in order; `layer` may be machine::kHeadLayer. Any arguments.
[[nodiscard]] std::vector<machine::Tensor> micro_tensors_of(const machine::Program& program,
                                                            const machine::Sampling& sampling,
                                                            std::uint32_t t, std::uint32_t layer);

// One tensor that is present, with its TREE-4 root of kind 9.
struct MicroRoot {
  machine::Tensor tensor = machine::Tensor::kXIn;
  machine::TensorShape shape;
  Hash root{};
};

// Of the same tensors. Each that is present has all its elements, within its type.
[[nodiscard]] std::vector<MicroRoot> micro_roots(const machine::Program& program,
                                                 const machine::Sampling& sampling, std::uint32_t t,
                                                 std::uint32_t layer, const MicroTensors& tensors);

// The root of kind 10 over the list.
[[nodiscard]] Hash micro_trace_root(const machine::Program& program,
                                    const machine::Sampling& sampling, std::uint32_t t,
                                    std::uint32_t layer, const MicroTensors& tensors);

}  // namespace otr::trace

#endif  // OTR_TRACE_MICRO_TRACE_H_
