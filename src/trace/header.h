// What a trace root commits besides the rows: the header, and which tree stands where (SPEC TRACE).
#ifndef OTR_TRACE_HEADER_H_
#define OTR_TRACE_HEADER_H_

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "machine/model.h"
#include "machine/program.h"
#include "merkle/tree.h"

namespace otr::trace {

// Who may see the prompt (SPEC REQ-5, chapter SEAL).
enum class Privacy : std::uint8_t { kPublic = 0, kSealed = 1 };

struct TraceHeader {
  Hash spec_hash{};
  Hash model_root{};
  std::uint32_t prompt_count = 0;  // n_prompt
  std::uint32_t out_count = 0;     // n_out; both together are the positions of the trace
  Privacy mode = Privacy::kPublic;
  machine::Sampling sampling;

  std::uint64_t token_count() const { return std::uint64_t{prompt_count} + out_count; }
};

[[nodiscard]] Hash hash_of(const TraceHeader& header);  // SPEC TRACE-4

// SPEC TRACE-1: the root of token ids. Requires at least one id.
[[nodiscard]] Hash token_root(std::span<const std::uint32_t> ids);

// Names one tree of a trace.
struct StreamId {
  merkle::Kind kind = merkle::Kind::kTokenIds;  // kTokenIds, kKey, kValue or kResidual
  std::uint32_t layer = 0;                      // 0 for token ids
  std::uint32_t kv_head = 0;                    // 0 for token ids and residual

  friend bool operator==(const StreamId&, const StreamId&) = default;
};

// What one row of a tree is: a tree has one row for each position but the last, which has only
// its token.
struct RowFormat {
  merkle::Type type = merkle::Type::kU32;
  std::uint32_t cols = 1;  // with the exponent, which stands last in the rows of K and V

  std::size_t size_bytes() const { return cols * merkle::size_bytes(type); }
};

// Whether the shape has such a tree. The functions below require it.
[[nodiscard]] bool exists(const machine::Shape& shape, const StreamId& stream);
[[nodiscard]] RowFormat row_format(const machine::Shape& shape, const StreamId& stream);
// Requires token_count >= 2.
[[nodiscard]] std::uint64_t row_count(const StreamId& stream, std::uint64_t token_count);

// The list under a trace root (SPEC TRACE-5): header, token root, then the layers' roots.
[[nodiscard]] std::uint64_t trace_leaf_count(const machine::Shape& shape);
[[nodiscard]] std::uint64_t trace_leaf_index(const machine::Shape& shape, const StreamId& stream);
inline constexpr std::uint64_t kHeaderLeaf = 0;
inline constexpr std::uint64_t kTokenLeaf = 1;

}  // namespace otr::trace

#endif  // OTR_TRACE_HEADER_H_
