// One answer: prefill in chunks, then a token at a time, each row into the trace as it is made.
#ifndef OTR_ENGINE_GENERATE_H_
#define OTR_ENGINE_GENERATE_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/forward.h"
#include "machine/program.h"
#include "machine/sample.h"
#include "trace/trace.h"

namespace otr::engine {

// A prompt and how its answer is sampled. `noise` is trace::noise_block.
struct Job {
  std::span<const std::uint32_t> prompt;
  machine::Sampling sampling;
  machine::NoiseBlock noise = nullptr;
};

// Called with each output token as it is chosen; returns whether the answer ends with it.
using OnToken = std::function<bool(std::uint32_t id)>;
// Called with each row of logits before the token that is chosen from it; what it does can not
// change the answer.
using OnLogits = std::function<void(std::span<const std::int32_t> logits)>;

// The token that follows `known` (the prompt and what was chosen so far) by the logits after it.
std::uint32_t choose(std::span<const std::int32_t> logits, const Job& job,
                     std::span<const std::uint32_t> known);

// The output tokens of the job; `trace` then holds all its rows. Requires a prompt of ids below
// the vocabulary, shorter than the context, and that on_token ends the answer before the context
// is full (SPEC SAMP-10). Errors: kOutOfRange; kCancelled once `cancelled` says so.
Result<std::vector<std::uint32_t>> generate(Forward& forward, const machine::Model& model,
                                            const Job& job, trace::TraceBuilder& trace,
                                            const OnToken& on_token,
                                            const std::function<bool()>& cancelled,
                                            const OnLogits& on_logits = {});

// The same pass over tokens that are known already, as a checker runs it: prompt and claimed
// output in chunks, choosing again at every position an output token was claimed for.
struct Recomputed {
  std::vector<std::uint32_t> chosen;  // what the model chooses after each prefix of the claim
};
Result<Recomputed> recompute(Forward& forward, const machine::Model& model, const Job& job,
                             std::span<const std::uint32_t> output, trace::TraceBuilder& trace,
                             const std::function<bool()>& cancelled);

}  // namespace otr::engine

#endif  // OTR_ENGINE_GENERATE_H_
