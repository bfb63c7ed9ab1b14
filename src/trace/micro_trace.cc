#include "trace/micro_trace.h"

#include <limits>

#include "base/check.h"

namespace otr::trace {
namespace {

using merkle::Kind;
using merkle::Type;

template <class T>
Bytes narrowed(std::span<const std::int64_t> values) {
  const std::vector<T> narrow(values.begin(), values.end());
  const ByteView bytes = as_bytes(std::span<const T>(narrow));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

Type micro_type(machine::Tensor tensor) {
  const machine::TensorInfo& range = machine::info(tensor);
  const auto holds = [&]<class T>(T) {
    return range.lo >= std::numeric_limits<T>::min() && range.hi <= std::numeric_limits<T>::max();
  };
  if (holds(std::int8_t{})) return Type::kI8;
  if (holds(std::int16_t{})) return Type::kI16;
  if (holds(std::int32_t{})) return Type::kI32;
  return Type::kI64;
}

Bytes micro_bytes(machine::Tensor tensor, std::span<const std::int64_t> values) {
  switch (micro_type(tensor)) {
    case Type::kI8:
      return narrowed<std::int8_t>(values);
    case Type::kI16:
      return narrowed<std::int16_t>(values);
    case Type::kI32:
      return narrowed<std::int32_t>(values);
    default:
      return narrowed<std::int64_t>(values);
  }
}

std::vector<machine::Tensor> micro_tensors_of(const machine::Program& program,
                                              const machine::Sampling& sampling, std::uint32_t t,
                                              std::uint32_t layer) {
  std::vector<machine::Tensor> present;
  for (int i = 0; i < machine::kTensorCount; ++i) {
    const auto tensor = static_cast<machine::Tensor>(i);
    if (machine::shape_of(program, sampling, t, layer, tensor).size() != 0) {
      present.push_back(tensor);
    }
  }
  return present;
}

std::vector<MicroRoot> micro_roots(const machine::Program& program,
                                   const machine::Sampling& sampling, std::uint32_t t,
                                   std::uint32_t layer, const MicroTensors& tensors) {
  std::vector<MicroRoot> roots;
  for (const machine::Tensor tensor : micro_tensors_of(program, sampling, t, layer)) {
    const machine::TensorShape shape = machine::shape_of(program, sampling, t, layer, tensor);
    const std::vector<std::int64_t>& values = tensors[static_cast<std::size_t>(tensor)];
    OTR_CHECK(values.size() == shape.size());
    roots.push_back({tensor, shape,
                     merkle::tensor_root(Kind::kMicroTensor, micro_type(tensor), shape.cols,
                                         micro_bytes(tensor, values))});
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

}  // namespace otr::trace
