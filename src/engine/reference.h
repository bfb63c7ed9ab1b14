// The reference engine: every element of every micro-tensor by machine::step, in program order.
//
// It has no arithmetic of its own. It is slow and stays as the truth the fast engine (forward.h)
// is compared with, and it makes the micro-traces of disputes (SPEC PROG-5).
#ifndef OTR_ENGINE_REFERENCE_H_
#define OTR_ENGINE_REFERENCE_H_

#include <cstdint>
#include <functional>
#include <span>

#include "base/result.h"
#include "engine/micro_state.h"
#include "machine/program.h"

namespace otr::engine {

class Reference {
 public:
  // Called when all micro-tensors of (t, layer) stand in state().tensors; layer may be kHeadLayer.
  using Observer = std::function<void(std::uint32_t t, std::uint32_t layer)>;

  // `model` and `sampling` must outlive the engine.
  Reference(const machine::Model& model, const machine::Sampling& sampling, std::uint32_t n_prompt,
            machine::NoiseBlock noise);

  void observe(Observer observer) { observer_ = std::move(observer); }

  // Runs all layers for the next position, which holds `token`. Requires token < vocabulary and a
  // position below the context. Error kOutOfRange: SPEC ARITH-5, naming position and tensor.
  Status advance(std::uint32_t token);
  // Runs the head at the last position: the token of the next one.
  Result<std::uint32_t> choose();

  const MicroState& state() const { return state_; }
  const machine::Program& program() const { return program_; }
  machine::StepContext context() const { return {program_, state_.sampling, n_prompt_}; }

 private:
  Status run_tensor(std::uint32_t t, std::uint32_t layer, machine::Tensor tensor);

  const machine::Program program_;
  const std::uint32_t n_prompt_;
  MicroState state_;
  Observer observer_;
};

}  // namespace otr::engine

#endif  // OTR_ENGINE_REFERENCE_H_
