// The inference service of a worker: many signed requests at a time, each ending in a signed claim
// (SPEC GATE-4). No network and no files in it.
//
// One thread of its own, the engine thread, runs engine::Scheduler: continuous batching and shared
// prefixes, each answer with the bits it has alone. It sleeps where there is nothing to do.
//
// A claim is signed only for a whole answer, and one request hash has one claim:
//  - A request that is submitted again while it is answered joins: the new job sees all tokens from
//    the beginning and then those to come, and ends with the same claim. The computation is given
//    up only when nobody listens to it any more.
//  - One that has been answered gets the same tokens and the same claim again, from a bounded
//    store, out of which the oldest answers go first. What has gone is computed again if asked for
//    again, and since all of it is deterministic, signatures too (RFC 6979), that is the same claim
//    byte for byte. For the same reason a job that asks for other logprobs than the first may be
//    computed beside it: their claims are equal.
//  - One that is answered or was under one session is refused under another: it has its claim.
//  - Cancelled and failed answers leave nothing: asked for again, they are computed again.
// A session's key is let go of when the last answer under it has ended.
// Whoever has the signed request and its prompt can join: they are the right to the answer, and
// whoever lets others in keeps a request to those who may see it.
#ifndef OTR_NODE_INFERENCE_H_
#define OTR_NODE_INFERENCE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/packed.h"
#include "engine/scheduler.h"
#include "env/clock.h"
#include "model/artifact.h"
#include "node/logprobs.h"
#include "node/signed_claim.h"
#include "protocol/request.h"

namespace otr::node {

struct TokenInfo {
  std::uint32_t id = 0;
  std::optional<TokenLogprobs> logprobs;  // where asked for; not covered by the claim
};

// Callbacks run on the engine thread, where they hold up every answer: they hand over and return.
// They may call submit(), cancel(), gauges() and healthy(), but not stop(), and must not throw.
struct Job {
  // Whose session the claim is to be of; null: of the service's own signer.
  std::shared_ptr<const ClaimSigner> signer = nullptr;
  protocol::SignedRequest request;
  std::vector<std::uint32_t> prompt_ids;
  std::optional<unsigned> logprobs;  // how many of the likeliest, at most protocol::kMaxTopLogprobs
  std::string cache_scope;           // whom it shares prefixes with (engine/prefix_cache.h)
  std::function<void(const TokenInfo&)> on_token;      // each output token, in order
  std::function<void(Result<Finished>)> on_done = {};  // exactly once, the last call of a job
};

struct InferenceOptions {
  unsigned threads = 1;                // of the engine
  engine::SchedulerOptions scheduler;  // kv_budget_bytes has to be set
  std::size_t max_waiting = 64;        // answers accepted beyond scheduler.max_sequences
  // The store of whole answers, bounded both ways.
  std::size_t stored_answers = 1024;
  std::size_t stored_bytes = std::size_t{64} << 20;
  std::function<std::int64_t()> unix_seconds = env::unix_seconds;  // for deadlines; any thread
  std::uint32_t stall_seconds = 120;  // a pass that takes longer is not healthy
};

class InferenceService {
 public:
  using Id = std::uint64_t;  // of a job, ascending, never 0

  // For /metrics. Of the last pass, and the counts since the beginning.
  struct Gauges {
    std::size_t running = 0, waiting = 0;  // answers
    std::size_t kv_pages_budget = 0, kv_pages_used = 0, kv_pages_cached = 0;
    std::uint64_t rows = 0;               // positions computed, of prompts and answers
    std::uint64_t prefix_hit_tokens = 0;  // positions taken from the prefix cache instead
    std::uint64_t preemptions = 0, evictions = 0;
    std::uint64_t output_tokens = 0;  // chosen; once for all that listen
    std::uint64_t finished = 0;       // answers with a claim
    std::uint64_t failed = 0;         // answers that ended with an error
    std::uint64_t abandoned = 0;      // answers to which nobody listened any more
    std::uint64_t joined = 0;         // jobs that found their request being answered
    std::uint64_t repeated = 0;       // jobs that found it answered
    std::uint64_t refused_busy = 0;   // jobs
    std::size_t stored_answers = 0, stored_bytes = 0;
  };

  // `packed` holds the weights of `artifact`, whose own are not read; both must outlive the
  // service. kUsage: a KV budget below one page, or max_sequences and max_rows that do not fit each
  // other. kIo: no memory or threads.
  static Result<std::unique_ptr<InferenceService>> start(const model::Artifact& artifact,
                                                         const engine::PackedModel& packed,
                                                         ClaimSigner signer,
                                                         InferenceOptions options);
  // Without a signer of its own: every job brings one.
  static Result<std::unique_ptr<InferenceService>> start(const model::Artifact& artifact,
                                                         const engine::PackedModel& packed,
                                                         InferenceOptions options);
  // As stop(false).
  ~InferenceService();
  InferenceService(const InferenceService&) = delete;
  InferenceService& operator=(const InferenceService&) = delete;

  // From any thread. Checks on the caller's thread all that can be known before; after an error no
  // callback is called. Otherwise on_done comes once, perhaps before this returns. Errors:
  //  - kReject, with the code of protocol::check_request: a request that is not valid, not signed
  //    by its client, not for this model or prompt. A prompt that fills the context is
  //    REQUEST_INVALID too.
  //  - kUsage: too many logprobs; a deadline that has passed (not of a request that is being
  //    answered or has been); more KV memory than the whole budget; no signer; a request whose
  //    claim is of another session (code "other_session").
  //  - kNetwork, and nothing else is: busy. As many answers are under way as are allowed to run and
  //    wait; retry_after_seconds() guesses when to come again.
  //  - kCancelled: the service stops. kIo: the engine is broken and has to be started anew.
  // on_done then gives kOutOfRange (code OUT_OF_RANGE), kCancelled or kIo.
  [[nodiscard]] Result<Id> submit(Job job);

  // From any thread: ends a job before the next pass, with kCancelled, unless it has ended by then;
  // on_token may still be called meanwhile. Without listeners left the answer is given up and its
  // memory is free. Ids that are unknown or have ended are ignored.
  void cancel(Id id);

  // From any thread; they do not wait for the engine.
  [[nodiscard]] Gauges gauges() const;
  // Whether the engine can be trusted and its thread gets on: not broken, not stopped, and no pass
  // that has taken longer than stall_seconds.
  [[nodiscard]] bool healthy() const;
  // 1 to 60: about how long it takes until one more answer ends.
  [[nodiscard]] unsigned retry_after_seconds() const;

  // Refuses new jobs and ends the thread: at once, every job with kCancelled, or with `drain` when
  // all have ended by themselves. Returns when every on_done has returned. From any thread but the
  // engine thread, also twice: stop(false) cuts a drain short.
  void stop(bool drain);

 private:
  class Body;
  explicit InferenceService(std::unique_ptr<Body> body);
  static Result<std::unique_ptr<InferenceService>> start_with(
      const model::Artifact& artifact, const engine::PackedModel& packed,
      std::shared_ptr<const ClaimSigner> signer, InferenceOptions options);

  std::unique_ptr<Body> body_;
};

}  // namespace otr::node

#endif  // OTR_NODE_INFERENCE_H_
