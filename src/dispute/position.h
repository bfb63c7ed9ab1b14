// The micro-tensors of one position, computed by the machine's own steps from the rows of a trace:
// what a player answers and proves with (SPEC MTRC-1, PROG-5).
//
// It needs no engine: a dispute is about one position, and one position by steps takes seconds at
// most even of a large model.
#ifndef OTR_DISPUTE_POSITION_H_
#define OTR_DISPUTE_POSITION_H_

#include <cstdint>
#include <optional>

#include "machine/model.h"
#include "machine/step.h"
#include "referee/statement.h"
#include "trace/micro_trace.h"
#include "trace/trace.h"

namespace otr::dispute {

// A State (machine/step.h) over the rows that one side holds. `tensors` are those of the position;
// what it reads of the K and V rows of its own position comes from them too, so that a position may
// be computed before its rows stand in the trace.
class PositionState {
 public:
  PositionState(const machine::Model& model, const machine::Sampling& sampling,
                const trace::TraceBuilder& trace, referee::Position position,
                const trace::MicroTensors& tensors)
      : model_(model), sampling_(sampling), trace_(trace), position_(position), tensors_(tensors) {}

  // The element that claimed() answers.
  void test(machine::Tensor tensor, std::uint64_t index) {
    tested_ = tensor;
    index_ = index;
  }

  [[nodiscard]] std::int64_t micro(machine::Tensor tensor, std::uint64_t i) const {
    return tensors_[static_cast<std::size_t>(tensor)][i];
  }
  [[nodiscard]] std::int64_t claimed() const { return micro(tested_, index_); }
  [[nodiscard]] std::int64_t token(std::uint32_t t) const;
  [[nodiscard]] std::int64_t residual(std::uint32_t layer, std::uint32_t t, std::uint64_t j) const;
  [[nodiscard]] std::int64_t k(std::uint32_t layer, std::uint32_t g, std::uint32_t t,
                               std::uint32_t j) const;
  [[nodiscard]] std::int64_t v(std::uint32_t layer, std::uint32_t g, std::uint32_t t,
                               std::uint32_t j) const;
  [[nodiscard]] std::int64_t weight(machine::MatrixId m, std::uint32_t layer, std::uint64_t n,
                                    std::uint64_t k) const;
  [[nodiscard]] std::int64_t scale(machine::MatrixId m, std::uint32_t layer, std::uint64_t n) const;
  [[nodiscard]] std::int64_t bias(machine::MatrixId m, std::uint32_t layer, std::uint64_t n) const;
  [[nodiscard]] std::int64_t gain(machine::GainId g, std::uint32_t layer, std::uint64_t j) const;
  [[nodiscard]] std::uint64_t rope_step(std::uint64_t i) const { return model_.rope_steps[i]; }
  [[nodiscard]] std::int64_t table(machine::TableId id, std::uint64_t row,
                                   std::uint64_t column) const {
    return machine::table_entry(id, row, column);
  }
  [[nodiscard]] std::uint32_t noise_word(std::uint32_t t, std::uint64_t j) const;

 private:
  [[nodiscard]] const machine::Matrix& matrix(machine::MatrixId m, std::uint32_t layer) const;

  const machine::Model& model_;
  const machine::Sampling& sampling_;
  const trace::TraceBuilder& trace_;
  const referee::Position position_;
  const trace::MicroTensors& tensors_;
  machine::Tensor tested_ = machine::Tensor::kXIn;
  std::uint64_t index_ = 0;
};

// What one side computes a position from. Holds references.
struct Execution {
  const machine::Model& model;
  const machine::Program& program;
  const machine::Sampling& sampling;
  std::uint32_t n_prompt = 0;
  const trace::TraceBuilder& trace;  // Keep::kRows; holds every row that the position reads

  [[nodiscard]] machine::StepContext context() const { return {program, sampling, n_prompt}; }
};

// The tensors of a position. `stop` is the first step that leaves its range (SPEC ARITH-5), if one
// does: it and what follows it are zero.
struct Computed {
  trace::MicroTensors tensors;
  std::optional<machine::StepId> stop;
};
// Requires that the trace has the tokens up to the position and the rows that it reads.
[[nodiscard]] Computed compute_position(const Execution& execution, referee::Position position);

// The same from tensor `first` on, the ones before being given. Cuts are computed, but one below
// `first` is kept: what follows it (SPEC PROG-6) is computed from it, whatever it is.
[[nodiscard]] Computed compute_from(const Execution& execution, referee::Position position,
                                    machine::Tensor first, trace::MicroTensors tensors);

}  // namespace otr::dispute

#endif  // OTR_DISPUTE_POSITION_H_
