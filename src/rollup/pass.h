// A whole answer computed again with all rows of its trace: what either side of a dispute needs.
#ifndef OTR_ROLLUP_PASS_H_
#define OTR_ROLLUP_PASS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "dispute/archive.h"
#include "engine/packed.h"
#include "model/artifact.h"
#include "protocol/claim.h"
#include "protocol/request.h"
#include "referee/statement.h"
#include "trace/trace.h"

namespace otr::rollup {

// A model and its weights as an engine reads them, for whoever recomputes. All must outlive it.
struct Weights {
  const model::Artifact& artifact;
  const engine::PackedModel& packed;
  unsigned threads = 1;
};

struct Pass {
  trace::TraceBuilder trace;  // Keep::kRows
  // What the model chooses after each prefix that ends in an output position, up to `broken`.
  std::vector<std::uint32_t> choices;
  std::optional<referee::Position> broken;  // the first position that leaves its range
};

// Over `tokens`, prompt and output as somebody claims them; ids of no token break the pass. Runs
// the engine, and the machine's own steps where the engine leaves its range. Requires at least one
// output token, prompt_count of them prompt, no more than the context.
[[nodiscard]] Pass compute_pass(const Weights& weights, const machine::Sampling& sampling,
                                std::uint32_t prompt_count, std::span<const std::uint32_t> tokens);

// The answer of the model itself to a request with these prompt ids: its output. kOutOfRange.
[[nodiscard]] Result<std::vector<std::uint32_t>> answer(const Weights& weights,
                                                        const protocol::Request& request,
                                                        std::span<const std::uint32_t> prompt_ids);

// A claim with what was computed for it, ready to be opened. Not to be moved: parts refer to parts.
class Case {
 public:
  Case(const Weights& weights, const protocol::Request& request, const protocol::Claim& claim,
       std::span<const std::uint32_t> prompt_ids, Pass pass);
  Case(const Case&) = delete;
  Case& operator=(const Case&) = delete;

  [[nodiscard]] const referee::Statement& statement() const { return statement_; }
  [[nodiscard]] const Pass& pass() const { return pass_; }
  // Of all rows of its trace, in memory.
  [[nodiscard]] std::uint64_t row_bytes() const;
  // Only of a claim that passes check_statement.
  [[nodiscard]] dispute::Archive& archive() { return archive_; }

 private:
  referee::ModelFacts facts_;
  referee::Terms terms_;
  referee::Statement statement_;
  Pass pass_;
  dispute::Archive archive_;
};

}  // namespace otr::rollup

#endif  // OTR_ROLLUP_PASS_H_
