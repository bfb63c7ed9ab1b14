// What one side of a dispute holds: the model, the prompt, the rows of its trace, and the position
// in dispute; and how it opens any part of them (SPEC MTRC-3, MTRC-5, MTRC-6).
//
// The worker's archive is the execution that it committed to; a challenger's is its own. Nothing is
// checked here: who opens what the claim does not hold is rejected by the referee.
#ifndef OTR_DISPUTE_ARCHIVE_H_
#define OTR_DISPUTE_ARCHIVE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "dispute/position.h"
#include "machine/replay.h"
#include "merkle/tree.h"
#include "model/artifact.h"
#include "referee/adjudicate.h"
#include "referee/opening.h"
#include "referee/statement.h"
#include "trace/trace.h"

namespace otr::dispute {

class Archive {
 public:
  // All must outlive it. `statement` passes check_statement and is about the artifact's model;
  // `trace` is complete, with Keep::kRows, of as many positions as the statement says.
  Archive(const model::Artifact& artifact, const referee::Statement& statement,
          std::span<const std::uint32_t> prompt, const trace::TraceBuilder& trace);

  [[nodiscard]] const referee::Statement& statement() const { return statement_; }
  [[nodiscard]] const trace::TraceBuilder& trace() const { return trace_; }
  [[nodiscard]] const model::Artifact& artifact() const { return artifact_; }
  [[nodiscard]] Execution execution() const;
  [[nodiscard]] Hash trace_root() const;

  // Takes up a position. Its tensors are complete (position.h).
  void take(referee::Position position, trace::MicroTensors tensors);
  // Takes up again one of the last kKeptPositions; false where it is none of them.
  [[nodiscard]] bool retake(referee::Position position);
  static constexpr std::size_t kKeptPositions = 8;
  [[nodiscard]] const trace::MicroTensors& tensors() const { return tensors_; }
  // The roots of its tensors, in order. Requires a position.
  [[nodiscard]] const std::vector<Hash>& tensor_roots() const { return tensor_roots_; }

  // Leaves [begin, end) of a tree. Requires that the tree has them; a micro-tensor, a position.
  [[nodiscard]] referee::Opening open(const referee::TreeId& tree, std::uint64_t begin,
                                      std::uint64_t end);
  // Requires a demand that passes check_demand under the archive's own roots.
  [[nodiscard]] referee::Opening reveal(const referee::Demand& demand);
  // The hash of a node of a tree, leaves being level 0.
  [[nodiscard]] Hash node(const referee::TreeId& tree, std::uint32_t level, std::uint64_t index);
  // The answer to a leaf of the position.
  [[nodiscard]] referee::Answer answer(const referee::Leaf& leaf);

 private:
  struct Grown {
    referee::TreeFacts facts;
    Bytes bytes;  // all tiles, joined
    merkle::Tree tree;
    std::vector<Hash> list_path;
  };
  [[nodiscard]] Grown& at(const referee::TreeId& tree);
  [[nodiscard]] Bytes bytes_of(const referee::TreeId& tree) const;
  [[nodiscard]] std::vector<Hash> list_of(const referee::TreeFacts& facts) const;

  const model::Artifact& artifact_;
  const referee::Statement& statement_;
  const std::vector<std::uint32_t> prompt_;
  const trace::TraceBuilder& trace_;
  std::vector<Hash> model_list_;  // SPEC MODEL-6
  std::vector<Hash> trace_list_;  // SPEC TRACE-5
  std::optional<referee::MicroTrace> micro_;
  trace::MicroTensors tensors_;
  // Those before, oldest first.
  std::deque<std::pair<referee::Position, trace::MicroTensors>> kept_;
  std::vector<Hash> tensor_roots_;
  std::map<referee::TreeId, Grown> grown_;
};

// The runs of tiles that replaying the step needs, the element under test included, in the order of
// a witness: `accesses` are what a RecordingState noted (SPEC MTRC-4, REF-2).
[[nodiscard]] std::vector<referee::Demand> runs_of(const referee::Statement& statement,
                                                   const referee::MicroTrace& micro,
                                                   const machine::StepId& id,
                                                   std::span<const machine::Access> accesses);

// What a step reads, on these tensors.
[[nodiscard]] std::vector<machine::Access> record_step(const Execution& execution,
                                                       const machine::StepId& id,
                                                       const trace::MicroTensors& tensors);

}  // namespace otr::dispute

#endif  // OTR_DISPUTE_ARCHIVE_H_
