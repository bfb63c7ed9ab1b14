#include "engine/generate.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace otr::engine {
namespace {

// Runs tokens in chunks from the end of the cache on; calls after(chunk begin, size) for each.
template <class After>
Status run_chunks(Forward& forward, KvCache& cache, std::span<const std::uint32_t> tokens,
                  trace::TraceBuilder& trace, const std::function<bool()>& cancelled,
                  const After& after) {
  for (std::size_t at = 0; at < tokens.size(); at += Forward::kChunk) {
    if (cancelled()) {
      return fail(ErrorKind::kCancelled, "stopped: a partial answer is never signed");
    }
    const auto chunk =
        tokens.subspan(at, std::min<std::size_t>(Forward::kChunk, tokens.size() - at));
    OTR_TRY(forward.run(cache, chunk, &trace));
    OTR_TRY(after(at, chunk.size()));
  }
  return {};
}

}  // namespace

std::uint32_t choose(std::span<const std::int32_t> logits, const Job& job,
                     std::span<const std::uint32_t> known) {
  const std::size_t window =
      known.size() > machine::kPenaltyWindow ? known.size() - machine::kPenaltyWindow : 0;
  const auto recent = known.subspan(std::max(window, job.prompt.size()));
  const auto t = static_cast<std::uint32_t>(known.size() - 1);
  return machine::choose_token(logits, recent, job.sampling, t, job.noise).token;
}

Result<std::vector<std::uint32_t>> generate(Forward& forward, const machine::Model& model,
                                            const Job& job, trace::TraceBuilder& trace,
                                            const OnToken& on_token,
                                            const std::function<bool()>& cancelled,
                                            const OnLogits& on_logits) {
  KvCache cache(model.shape);
  std::vector<std::uint32_t> known(job.prompt.begin(), job.prompt.end());
  std::size_t last = 0;  // index of the newest position in its chunk
  for (const std::uint32_t id : known) trace.append_token(id);
  const auto note_last = [&](std::size_t, std::size_t size) -> Status {
    last = size - 1;
    return {};
  };
  OTR_TRY(run_chunks(forward, cache, known, trace, cancelled, note_last));
  while (true) {
    OTR_TRY_ASSIGN(const auto logits, forward.logits(last));
    if (on_logits) on_logits(logits);
    const std::uint32_t id = choose(logits, job, known);
    known.push_back(id);
    trace.append_token(id);
    if (on_token(id)) break;
    OTR_CHECK(known.size() < model.shape.context);
    OTR_TRY(run_chunks(forward, cache, std::span(known).last(1), trace, cancelled, note_last));
  }
  return std::vector(known.begin() + static_cast<std::ptrdiff_t>(job.prompt.size()), known.end());
}

namespace {

Result<Recomputed> recompute_in_chunks(Forward& forward, const machine::Model& model,
                                       const Job& job, std::span<const std::uint32_t> output,
                                       trace::TraceBuilder& trace,
                                       const std::function<bool()>& cancelled) {
  KvCache cache(model.shape);
  std::vector<std::uint32_t> known(job.prompt.begin(), job.prompt.end());
  known.insert(known.end(), output.begin(), output.end());
  for (const std::uint32_t id : known) trace.append_token(id);
  Recomputed result;
  // The last token has no layer rows: nothing is computed from it.
  const auto positions = std::span(std::as_const(known)).first(known.size() - 1);
  // Logits and noise only where a token was chosen, for many positions in one product.
  const auto choose_again = [&](std::size_t begin, std::size_t size) -> Status {
    const std::size_t first = std::max(begin, job.prompt.size() - 1);
    for (std::size_t at = first; at < begin + size; at += Forward::kMaxLogitRows) {
      std::vector<std::size_t> rows(
          std::min<std::size_t>(Forward::kMaxLogitRows, begin + size - at));
      std::iota(rows.begin(), rows.end(), at - begin);
      const auto logits = forward.logits(rows);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        if (!logits[i]) return std::unexpected(logits[i].error());
        result.chosen.push_back(choose(*logits[i], job, positions.first(at + i + 1)));
      }
    }
    return {};
  };
  OTR_TRY(run_chunks(forward, cache, positions, trace, cancelled, choose_again));
  return result;
}

// Row by row, until a chosen token is not the claimed one or the arithmetic leaves its range: a
// chunk does not say which comes first (SPEC RCPT-4).
Result<Recomputed> recompute_to_first_fault(Forward& forward, const machine::Model& model,
                                            const Job& job, std::span<const std::uint32_t> output,
                                            const std::function<bool()>& cancelled) {
  KvCache cache(model.shape);
  std::vector<std::uint32_t> known(job.prompt.begin(), job.prompt.end());
  known.insert(known.end(), output.begin(), output.end());
  Recomputed result;
  for (std::size_t t = 0; t + 1 < known.size(); ++t) {
    if (cancelled()) {
      return fail(ErrorKind::kCancelled, "stopped: a partial answer is never signed");
    }
    OTR_TRY(forward.run(cache, std::span(known).subspan(t, 1), nullptr));
    if (t + 1 < job.prompt.size()) continue;
    OTR_TRY_ASSIGN(const auto logits, forward.logits(0));
    result.chosen.push_back(choose(logits, job, std::span(known).first(t + 1)));
    if (result.chosen.back() != known[t + 1]) break;
  }
  return result;
}

}  // namespace

Result<Recomputed> recompute(Forward& forward, const machine::Model& model, const Job& job,
                             std::span<const std::uint32_t> output, trace::TraceBuilder& trace,
                             const std::function<bool()>& cancelled) {
  auto result = recompute_in_chunks(forward, model, job, output, trace, cancelled);
  if (result || result.error().kind != ErrorKind::kOutOfRange) return result;
  return recompute_to_first_fault(forward, model, job, output, cancelled);
}

}  // namespace otr::engine
