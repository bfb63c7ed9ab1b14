// Rows and tiles of a trace opened down to its root, as a verifier checks them (SPEC TRACE,
// TREE-6).
//
// The verifier knows the trace root, the number of positions (from the claim) and the shape (from
// the model); it trusts nothing in the opening.
#ifndef OTR_TRACE_OPENING_H_
#define OTR_TRACE_OPENING_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "trace/header.h"

namespace otr::trace {

// Leaves [begin, end) of one tree: tile by tile, row after row.
struct Opening {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  Bytes tiles;                   // the raw elements of those leaves, joined
  std::vector<Hash> path;        // from the tiles to the top of their tree
  std::vector<Hash> trace_path;  // from the tree's root to the top of the trace
};

// That the tiles are what the trace of `token_count` positions under `trace_root` holds there.
// Any arguments are allowed; else than a proof gives kReject with code PATH_INVALID. A caller
// that wants whole rows compares begin and end with multiples of merkle::tiles_per_row.
[[nodiscard]] Status check_opening(const machine::Shape& shape, std::uint64_t token_count,
                                   const Hash& trace_root, const StreamId& stream,
                                   const Opening& opening);

// That `token_root` and the header are leaves [0, 2) of the trace (SPEC RCPT-3), given the number
// of the trace's leaves. kReject with code TOKEN_PATH_MISMATCH otherwise.
[[nodiscard]] Status check_token_path(std::uint64_t leaf_count, const Hash& trace_root,
                                      const TraceHeader& header, const Hash& token_root,
                                      std::span<const Hash> path);

}  // namespace otr::trace

#endif  // OTR_TRACE_OPENING_H_
