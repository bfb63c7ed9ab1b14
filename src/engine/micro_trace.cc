#include "engine/micro_trace.h"

#include <limits>
#include <span>

#include "base/check.h"
#include "merkle/tree.h"

namespace otr::engine {
namespace {

using merkle::Kind;
using merkle::Type;

template <class T>
Hash root_as(Type type, std::uint64_t cols, const std::vector<std::int64_t>& values) {
  const std::vector<T> narrow(values.begin(), values.end());
  return merkle::tensor_root(Kind::kMicroTensor, type, cols, as_bytes(std::span<const T>(narrow)));
}

// SPEC PROG-5: the first type that holds the tensor's range.
Hash root_of(const machine::TensorInfo& range, std::uint64_t cols,
             const std::vector<std::int64_t>& values) {
  const auto holds = [&]<class T>(T) {
    return range.lo >= std::numeric_limits<T>::min() && range.hi <= std::numeric_limits<T>::max();
  };
  if (holds(std::int8_t{})) return root_as<std::int8_t>(Type::kI8, cols, values);
  if (holds(std::int16_t{})) return root_as<std::int16_t>(Type::kI16, cols, values);
  if (holds(std::int32_t{})) return root_as<std::int32_t>(Type::kI32, cols, values);
  return root_as<std::int64_t>(Type::kI64, cols, values);
}

}  // namespace

std::vector<MicroRoot> micro_roots(const machine::Program& program,
                                   const machine::Sampling& sampling, std::uint32_t t,
                                   std::uint32_t layer, const MicroTensors& tensors) {
  std::vector<MicroRoot> roots;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto tensor = static_cast<machine::Tensor>(i);
    const machine::TensorShape shape = machine::shape_of(program, sampling, t, layer, tensor);
    if (shape.size() == 0) continue;
    OTR_CHECK(tensors[i].size() == shape.size());
    roots.push_back({tensor, shape, root_of(machine::info(tensor), shape.cols, tensors[i])});
  }
  return roots;
}

Hash micro_trace_root(const machine::Program& program, const machine::Sampling& sampling,
                      std::uint32_t t, std::uint32_t layer, const MicroTensors& tensors) {
  std::vector<Hash> hashes;
  for (const MicroRoot& one : micro_roots(program, sampling, t, layer, tensors)) {
    hashes.push_back(one.root);
  }
  return merkle::list_root(Kind::kMicroTrace, hashes);
}

}  // namespace otr::engine
