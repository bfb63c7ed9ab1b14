#include "trace/header.h"

#include "base/check.h"
#include "crypto/sha256.h"

namespace otr::trace {
namespace {

using merkle::Kind;
using merkle::Type;

constexpr std::uint8_t kNoParity = 0;
constexpr std::uint8_t kLayout = 1;

Hash hash_of(std::span<const machine::LogitBias> biases) {
  Bytes bytes;
  append(bytes, as_bytes("OTR.bias"));
  for (const machine::LogitBias& bias : biases) {
    append_le(bytes, bias.id);
    append_le(bytes, bias.value);
  }
  return crypto::sha256(bytes);
}

std::uint64_t trees_per_layer(const machine::Shape& shape) {
  return 2 * std::uint64_t{shape.kv_heads} + 1;
}

}  // namespace

Hash hash_of(const TraceHeader& header) {
  Bytes bytes;
  append(bytes, as_bytes("OTR.head"));
  append(bytes, header.spec_hash);
  append_le(bytes, kNoParity);
  append(bytes, header.model_root);
  append_le(bytes, kLayout);
  append_le(bytes, header.prompt_count);
  append_le(bytes, header.out_count);
  append_le(bytes, static_cast<std::uint8_t>(header.mode));
  append_le(bytes, header.sampling.inv_t);
  append_le(bytes, header.sampling.top_k);
  append_le(bytes, header.sampling.top_p);
  append_le(bytes, header.sampling.min_p);
  append_le(bytes, header.sampling.presence);
  append_le(bytes, header.sampling.frequency);
  append(bytes, header.sampling.seed);
  append(bytes, hash_of(header.sampling.logit_bias));
  return crypto::sha256(bytes);
}

Hash token_root(std::span<const std::uint32_t> ids) {
  return merkle::tensor_root(Kind::kTokenIds, Type::kU32, 1, as_bytes(ids));
}

bool exists(const machine::Shape& shape, const StreamId& stream) {
  switch (stream.kind) {
    case Kind::kTokenIds:
      return stream.layer == 0 && stream.kv_head == 0;
    case Kind::kKey:
    case Kind::kValue:
      return stream.layer < shape.layers && stream.kv_head < shape.kv_heads;
    case Kind::kResidual:
      return stream.layer < shape.layers && stream.kv_head == 0;
    default:
      return false;
  }
}

RowFormat row_format(const machine::Shape& shape, const StreamId& stream) {
  OTR_CHECK(exists(shape, stream));
  switch (stream.kind) {
    case Kind::kKey:
      return {Type::kI16, shape.head_dim + 1};
    case Kind::kValue:
      return {Type::kI8, shape.head_dim + 1};
    case Kind::kResidual:
      return {Type::kI32, shape.hidden};
    default:
      return {Type::kU32, 1};
  }
}

std::uint64_t row_count(const StreamId& stream, std::uint64_t token_count) {
  OTR_CHECK(token_count >= 2);
  return stream.kind == Kind::kTokenIds ? token_count : token_count - 1;
}

std::uint64_t trace_leaf_count(const machine::Shape& shape) {
  return 2 + shape.layers * trees_per_layer(shape);
}

std::uint64_t trace_leaf_index(const machine::Shape& shape, const StreamId& stream) {
  OTR_CHECK(exists(shape, stream));
  const std::uint64_t layer = 2 + stream.layer * trees_per_layer(shape);
  switch (stream.kind) {
    case Kind::kKey:
      return layer + 2 * std::uint64_t{stream.kv_head};
    case Kind::kValue:
      return layer + 2 * std::uint64_t{stream.kv_head} + 1;
    case Kind::kResidual:
      return layer + 2 * std::uint64_t{shape.kv_heads};
    default:
      return kTokenLeaf;
  }
}

}  // namespace otr::trace
