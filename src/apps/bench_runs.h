// The measurements of otr bench. Each takes its sides in turn, round by round and every other round
// backwards, so that a machine that slows down slows all of them; ratios are those of one round.
#ifndef OTR_APPS_BENCH_RUNS_H_
#define OTR_APPS_BENCH_RUNS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "apps/bench_figures.h"
#include "apps/bench_peer.h"
#include "base/result.h"
#include "engine/packed.h"

namespace otr::apps {

struct BenchSubject {
  const engine::PackedModel& packed;
  double file_bytes = 0;  // of the artifact
};

struct BenchOptions {
  std::uint32_t tokens = 0;
  unsigned repetitions = 0;
  std::optional<Peer> peer;
};

// Errors of all: kUsage if the context of the model is too short, kOutOfRange if its numbers leave
// their ranges, kCancelled, and those of the peer.
using BenchRun = Result<std::vector<Figure>>(const BenchSubject&, unsigned threads,
                                             const BenchOptions&);

// `tokens` greedy tokens after a short prompt, one by one, with logits and argmax, against reading
// memory and the peer.
BenchRun bench_decode;
// A prompt of `tokens` tokens and the logits after the last, as an answer begins, against byte
// products and the peer.
BenchRun bench_prefill;
// `tokens` steps of 1, 8 and 32 sequences together, against memory or byte products, whichever
// bounds them.
BenchRun bench_batch;
// A prompt of `tokens` tokens, and greedy tokens in blocks of 8, with and without a trace.
BenchRun bench_trace;
// engine::recompute of `tokens` positions, half of them an answer, against a plain prefill of the
// same tokens with the head at the same positions, with and without a trace.
BenchRun bench_recompute;

}  // namespace otr::apps

#endif  // OTR_APPS_BENCH_RUNS_H_
