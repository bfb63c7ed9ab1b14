// Continuous batching: many answers at a time, each with the bits it has alone.
//
// Each step() runs one pass with one row of every sequence that is being answered and rows of
// prompts that are still being read, in chunks, so a long prompt never holds up the others. Token
// ids and trace of a job are those of generate() for any company, order of arrival, chunking, hit
// in the prefix cache and preemption: rows of a pass do not see each other (forward.h), a cached
// page holds the very bits that would be computed again, and tokens are chosen from one row alone.
//
// KV memory is a budget of pages of 128 positions. A job starts when the pages for all its known
// tokens and one more are free, in the order of submission, nobody overtaking. If a running one
// needs a page and all are taken, the youngest running sequence gives its pages back and waits, and
// later reads its known tokens again (what is left of them in the prefix cache is not computed
// again).
//
// Every job ends. Ages are the order of submission, and at any time each running job is older than
// each waiting one: only the oldest waiting job is started, only the youngest running one is
// preempted, and new ones are the youngest of all. So let J be the oldest job that has not ended.
//  - J waits only while nobody runs. Then no page is held, all idle ones can be evicted, and
//    submit() has refused jobs that need more than the whole budget: J is started.
//  - J is never preempted: that happens only to a youngest running job that finds no page, and J
//    as the only one running needs no more pages than the budget has.
//  - Each pass runs at least one row of J: its one row if it is being answered; else at most
//    max_sequences - 1 <= max_rows - 1 others take a row before the rest of the rows is given out
//    in the order of age.
// So J ends after at most prompt + max_tokens passes, and then the next one is the oldest.
#ifndef OTR_ENGINE_SCHEDULER_H_
#define OTR_ENGINE_SCHEDULER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/forward.h"
#include "engine/generate.h"
#include "engine/prefix_cache.h"
#include "machine/sample.h"
#include "trace/trace.h"

namespace otr::engine {

struct SchedulerOptions {
  // Bounds KvPage::size_bytes() of all pages, running or cached. What else a sequence takes is
  // small beside them, its trace and in the cache one more for each page (prefix_cache.h), unless
  // it keeps all rows: these take some ten times its pages.
  std::size_t kv_budget_bytes = 0;
  std::size_t max_sequences = 16;          // that run at a time
  std::size_t max_rows = Forward::kChunk;  // of a pass: max_sequences <= it <= Forward::kMaxRows
  bool prefix_cache = true;
};

// What is left of a job when it has been answered.
struct Answer {
  std::vector<std::uint32_t> output;
  trace::TraceBuilder trace;  // of all rows of prompt and output, as generate() leaves it
};

struct Submission {
  std::vector<std::uint32_t> prompt;  // ids below the vocabulary, at least one
  machine::Sampling sampling;
  machine::NoiseBlock noise = nullptr;  // trace::noise_block; pure
  std::uint32_t max_tokens = 0;         // at least 1; the context ends an answer too (SPEC SAMP-10)
  // Jobs that keep all rows take nothing from the prefix cache and leave nothing there.
  trace::TraceBuilder::Keep keep = trace::TraceBuilder::Keep::kTops;
  std::string cache_scope;  // jobs share cached prefixes only with the same scope (prefix_cache.h)
  OnToken on_token;         // once for each output token, as it is chosen (generate.h)
  std::function<void(Result<Answer>)> on_done;  // once, the last call of a job
  // Where given, before each on_token: the row the token is chosen from (generate.h), which stays
  // valid until that on_token has returned.
  OnLogits on_logits = {};
};

// One thread; the engine's own threads never show. Callbacks are called from within step(). They
// may call submit(), cancel() and gauges(), but not step(), and must not throw.
class Scheduler {
 public:
  using Id = std::uint64_t;  // ascending

  struct Gauges {
    std::size_t running = 0, waiting = 0;  // jobs
    std::size_t pages_budget = 0;
    std::size_t pages_used = 0;    // of running jobs, shared ones once
    std::size_t pages_cached = 0;  // that no running job uses: to be evicted when needed
    // Since the beginning:
    std::uint64_t rows = 0;        // computed
    std::uint64_t hit_tokens = 0;  // rows taken from the prefix cache instead
    std::uint64_t preemptions = 0, evictions = 0;
  };

  // `forward` must outlive the scheduler. Others may use it between two steps.
  Scheduler(Forward& forward, const SchedulerOptions& options);
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;
  // Jobs that have not ended are dropped without a call.
  ~Scheduler();

  // kUsage: no prompt, an id beyond the vocabulary, a prompt that leaves no room for an answer in
  // the context, no max_tokens, or more pages than the whole budget has. kIo: a step has failed.
  Result<Id> submit(Submission submission);
  // The part of it that never changes, kUsage. From any thread, also during a step.
  Status check(std::span<const std::uint32_t> prompt, std::uint32_t max_tokens) const;

  // Ends a job: on_token is not called any more, no further pass holds rows of it, and the next
  // step() calls on_done with kCancelled. False if there is no such job (any more).
  bool cancel(Id id);

  // Runs one pass and calls back. Returns whether there is anything left to do. A job whose
  // arithmetic leaves its range ends alone with kOutOfRange. If memory or threads run out, all jobs
  // end with kIo, and so does every later submit(): the pass has stopped somewhere, so its engine
  // and its pages are not to be trusted.
  bool step();

  // Drops all cached pages that no running job uses.
  void clear_cache();

  Gauges gauges() const;

 private:
  struct Sequence;
  using Sequences = std::deque<std::unique_ptr<Sequence>>;

  bool report_one_ended();
  void report_ended();
  void admit();
  bool fits(const Sequence& sequence);
  void take_cached(Sequence& sequence);
  void plan();
  bool make_room(const Sequence& sequence, std::size_t pages);
  void preempt_youngest();
  void give_back(Sequence& sequence);
  void run_pass();
  void after_rows(Sequence& sequence);
  void choose_tokens(std::span<const std::size_t> rows, std::span<Sequence* const> sequences);
  std::size_t private_pages() const;

  Forward& forward_;
  const machine::Shape& shape_;
  const SchedulerOptions options_;
  const std::size_t pages_budget_;
  PrefixCache cache_;
  Sequences running_, waiting_;  // both by age; each running one is older than each waiting one
  Id last_id_ = 0;
  Gauges counts_;  // the part since the beginning
  bool stepping_ = false;
  std::optional<Error> broken_;
};

}  // namespace otr::engine

#endif  // OTR_ENGINE_SCHEDULER_H_
