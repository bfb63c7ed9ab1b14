// Where two executions part (SPEC TRACE-6): what a challenger names, and what a person wants to
// know when a recomputation does not agree.
#ifndef OTR_TRACE_DIVERGENCE_H_
#define OTR_TRACE_DIVERGENCE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "trace/trace.h"

namespace otr::trace {

struct Divergence {
  std::uint64_t t = 0;
  StreamId stream;
  std::uint64_t tile = 0;  // of the row

  friend bool operator==(const Divergence&, const Divergence&) = default;
};

// The least leaf that differs, in the order (t; token; then for each layer K of all heads, V of all
// heads, residual); nothing if the rows are the same. A leaf that only one trace has differs.
// Requires Keep::kRows and one shape for both.
[[nodiscard]] std::optional<Divergence> first_divergence(const TraceBuilder& a,
                                                         const TraceBuilder& b);

// For people: "position 7, layer 3, K of head 1, tile 0".
[[nodiscard]] std::string describe(const Divergence& divergence);

}  // namespace otr::trace

#endif  // OTR_TRACE_DIVERGENCE_H_
