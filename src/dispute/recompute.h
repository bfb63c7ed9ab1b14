// A whole pass over given tokens by the machine's own steps, without an engine: slow, and exact
// about the position at which it leaves its range.
#ifndef OTR_DISPUTE_RECOMPUTE_H_
#define OTR_DISPUTE_RECOMPUTE_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "dispute/position.h"
#include "machine/program.h"
#include "referee/statement.h"
#include "trace/trace.h"

namespace otr::dispute {

struct Recomputed {
  trace::TraceBuilder trace;                // Keep::kRows, complete; rows from `broken` on are zero
  std::vector<std::uint32_t> choices;       // what the head chose at each position before `broken`
  std::optional<referee::Position> broken;  // the first that leaves its range, layer after layer
};

// Appends the K, V and residual rows of a position's tensors to a trace.
void append_rows(trace::TraceBuilder& trace, std::uint32_t layer,
                 const trace::MicroTensors& tensors);

// Over prompt and output; ids of no token break the pass. Requires 1 <= n_prompt < tokens.size(),
// and no more tokens than the context.
[[nodiscard]] Recomputed recompute(const machine::Model& model, const machine::Program& program,
                                   const machine::Sampling& sampling, std::uint32_t n_prompt,
                                   std::span<const std::uint32_t> tokens);

}  // namespace otr::dispute

#endif  // OTR_DISPUTE_RECOMPUTE_H_
