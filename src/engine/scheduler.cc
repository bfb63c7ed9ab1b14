#include "engine/scheduler.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/check.h"

namespace otr::engine {
namespace {

constexpr std::size_t pages_for(std::size_t positions) {
  return (positions + kTilePositions - 1) / kTilePositions;
}

// The context ends an answer too.
std::size_t most_outputs(std::size_t prompt, std::uint32_t max_tokens,
                         const machine::Shape& shape) {
  return std::min<std::size_t>(max_tokens, shape.context - prompt);
}

// The last token of an answer has no rows.
constexpr std::size_t most_pages(std::size_t prompt, std::size_t outputs) {
  return pages_for(prompt + outputs - 1);
}

}  // namespace

struct Scheduler::Sequence {
  Sequence(Id its_id, Submission its_job, const machine::Shape& shape)
      : id(its_id),
        job(std::move(its_job)),
        outputs_at_most(most_outputs(job.prompt.size(), job.max_tokens, shape)),
        known(job.prompt),
        kv(shape) {}

  Id id;
  Submission job;
  std::size_t outputs_at_most;
  std::vector<std::uint32_t> known;  // prompt and output so far
  std::optional<Result<Answer>> ended;

  // While it runs. `kv` and `trace` hold the first kv.size() of the known tokens. Where pages are
  // cached, the full ones of `kv` are those of `entry`, and at most one more is its own.
  KvCache kv;
  std::optional<trace::TraceBuilder> trace;
  PrefixCache::Entry* entry = nullptr;
  bool caches = false;
  std::size_t planned = 0;  // rows in the pass to come

  std::size_t unread() const { return known.size() - kv.size(); }
  std::size_t shared() const { return entry == nullptr ? 0 : entry->depth(); }
  // Pages with those of the pass to come.
  std::size_t pages() const { return pages_for(kv.size() + planned); }
  std::size_t pages_at_most() const { return most_pages(job.prompt.size(), outputs_at_most); }
};

Scheduler::Scheduler(Forward& forward, const SchedulerOptions& options)
    : forward_(forward),
      shape_(forward.model().shape),
      options_(options),
      pages_budget_(options.kv_budget_bytes / KvPage::size_bytes(shape_)) {
  OTR_CHECK(options.max_sequences >= 1 && options.max_sequences <= options.max_rows &&
            options.max_rows <= Forward::kMaxRows);
}

Scheduler::~Scheduler() = default;

Status Scheduler::check(std::span<const std::uint32_t> prompt, std::uint32_t max_tokens) const {
  if (prompt.empty() || prompt.size() >= shape_.context || max_tokens == 0) {
    return fail(ErrorKind::kUsage, "a prompt of " + std::to_string(prompt.size()) +
                                       " tokens with at most " + std::to_string(max_tokens) +
                                       " tokens of answer; both must be at least 1 and fit the "
                                       "context of " +
                                       std::to_string(shape_.context));
  }
  const std::uint32_t greatest = *std::ranges::max_element(prompt);
  if (greatest >= shape_.vocabulary) {
    return fail(ErrorKind::kUsage, "the prompt holds token " + std::to_string(greatest) +
                                       ", but the vocabulary has " +
                                       std::to_string(shape_.vocabulary));
  }
  const std::size_t pages =
      most_pages(prompt.size(), most_outputs(prompt.size(), max_tokens, shape_));
  if (pages > pages_budget_) {
    return fail(ErrorKind::kUsage, "prompt and answer may need " + std::to_string(pages) +
                                       " pages of KV memory, but the whole budget is " +
                                       std::to_string(pages_budget_) +
                                       "; ask for fewer tokens or raise the budget");
  }
  return {};
}

Result<Scheduler::Id> Scheduler::submit(Submission submission) {
  if (broken_) return std::unexpected(*broken_);
  OTR_TRY(check(submission.prompt, submission.max_tokens));
  auto sequence = std::make_unique<Sequence>(last_id_ + 1, std::move(submission), shape_);
  sequence->caches =
      options_.prefix_cache && sequence->job.keep == trace::TraceBuilder::Keep::kTops;
  waiting_.push_back(std::move(sequence));
  return ++last_id_;
}

bool Scheduler::cancel(Id id) {
  for (const Sequences* sequences : {&running_, &waiting_}) {
    const auto found = std::ranges::find(*sequences, id, &Sequence::id);
    if (found == sequences->end() || (*found)->ended) continue;
    (*found)->ended = fail(ErrorKind::kCancelled, "stopped: a partial answer is never signed");
    return true;
  }
  return false;
}

bool Scheduler::step() {
  OTR_CHECK(!stepping_);
  stepping_ = true;
  try {
    report_ended();  // who was cancelled
    admit();
    plan();
    run_pass();
  } catch (const std::exception& e) {
    broken_ = Error{ErrorKind::kIo, "the engine stopped in the middle of a pass (" +
                                        std::string(e.what()) + "); it has to be started anew"};
    for (Sequences* sequences : {&running_, &waiting_}) {
      for (const auto& sequence : *sequences) sequence->ended = std::unexpected(*broken_);
    }
  }
  report_ended();
  stepping_ = false;
  return !running_.empty() || !waiting_.empty();
}

// One at a time: a callback may submit, and may cancel anybody.
bool Scheduler::report_one_ended() {
  for (Sequences* sequences : {&running_, &waiting_}) {
    const auto found =
        std::ranges::find_if(*sequences, [](const auto& one) { return one->ended.has_value(); });
    if (found == sequences->end()) continue;
    const std::unique_ptr<Sequence> sequence = std::move(*found);
    sequences->erase(found);
    give_back(*sequence);
    sequence->job.on_done(*std::move(sequence->ended));
    return true;
  }
  return false;
}

void Scheduler::report_ended() {
  while (report_one_ended()) continue;
}

void Scheduler::admit() {
  while (!waiting_.empty() && running_.size() < options_.max_sequences && fits(*waiting_.front())) {
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    Sequence& sequence = *running_.back();
    sequence.trace.emplace(shape_, sequence.job.keep);
    take_cached(sequence);
  }
}

// Pages that nobody holds are as good as free. What running sequences need for the tokens they know
// is theirs, even where they have not come to it yet.
bool Scheduler::fits(const Sequence& sequence) {
  std::size_t taken = cache_.held();
  for (const auto& other : running_) taken += pages_for(other->known.size()) - other->shared();
  std::size_t need = std::min(pages_for(sequence.known.size()) + 1, sequence.pages_at_most());
  if (sequence.caches) {  // pages that are counted already
    const auto unlast = std::span(sequence.known).first(sequence.known.size() - 1);
    const PrefixCache::Entry* entry = cache_.find(sequence.job.cache_scope, nullptr, unlast);
    while (entry != nullptr && !entry->held()) entry = entry->parent();
    if (entry != nullptr) need -= entry->depth();
  }
  return taken + need <= pages_budget_;
}

// At the end of a page, goes on to the end of the last page that somebody else has computed. At
// least one known token is left: its row gives the next one.
void Scheduler::take_cached(Sequence& sequence) {
  if (!sequence.caches || sequence.kv.size() % kTilePositions != 0) return;
  const auto unlast = std::span(sequence.known).first(sequence.known.size() - 1);
  PrefixCache::Entry* const found = cache_.find(sequence.job.cache_scope, sequence.entry, unlast);
  if (found == sequence.entry) return;
  sequence.trace = found->trace();
  counts_.hit_tokens += found->depth() * kTilePositions - sequence.kv.size();
  sequence.kv = KvCache(shape_, PrefixCache::pages(found));
  cache_.hold(found, sequence.entry);
  sequence.entry = found;
}

// Gives out the rows of the pass, and pages for them in the order of age.
void Scheduler::plan() {
  std::size_t left = options_.max_rows;
  for (const auto& sequence : running_) {
    take_cached(*sequence);
    if (sequence->unread() == 1) --left;
  }
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    std::size_t count = 1;
    if (sequence.unread() > 1) {
      count = std::min(left, sequence.unread());
      // The trace's state at the end of a page goes into the cache with it.
      if (sequence.caches) {
        count = std::min(count, kTilePositions - sequence.kv.size() % kTilePositions);
      }
      left -= count;
    }
    const std::size_t pages = pages_for(sequence.kv.size() + count) - sequence.pages();
    if (!make_room(sequence, pages)) return;
    sequence.planned = count;
  }
}

// False if the sequence itself was the youngest, and waits now.
bool Scheduler::make_room(const Sequence& sequence, std::size_t pages) {
  while (cache_.held() + cache_.idle() + private_pages() + pages > pages_budget_) {
    if (cache_.evict()) {
      ++counts_.evictions;
      continue;
    }
    const bool itself = running_.back().get() == &sequence;
    preempt_youngest();
    if (itself) return false;
  }
  return true;
}

void Scheduler::preempt_youngest() {
  give_back(*running_.back());
  waiting_.push_front(std::move(running_.back()));
  running_.pop_back();
  ++counts_.preemptions;
}

void Scheduler::give_back(Sequence& sequence) {
  cache_.release(std::exchange(sequence.entry, nullptr));
  sequence.kv = KvCache(shape_);
  sequence.trace.reset();
}

void Scheduler::run_pass() {
  std::vector<Segment> segments;
  std::vector<Sequence*> sequences;
  std::size_t rows = 0;
  for (const auto& sequence : running_) {
    const std::size_t count = std::exchange(sequence->planned, 0);
    if (count == 0) continue;
    const auto tokens = std::span(std::as_const(sequence->known)).subspan(sequence->kv.size());
    segments.push_back({&sequence->kv, tokens.first(count), &*sequence->trace});
    sequences.push_back(sequence.get());
    rows += count;
  }
  if (segments.empty()) return;
  counts_.rows += rows;
  std::vector<Status> statuses = forward_.run(segments);

  std::vector<Sequence*> choosing;
  std::vector<std::size_t> last_rows;
  std::size_t row = 0;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    row += segments[i].tokens.size();
    if (!statuses[i]) {
      sequences[i]->ended = std::unexpected(std::move(statuses[i]).error());
      continue;
    }
    for (const std::uint32_t id : segments[i].tokens) sequences[i]->trace->append_token(id);
    after_rows(*sequences[i]);
    if (sequences[i]->unread() > 0) continue;
    choosing.push_back(sequences[i]);
    last_rows.push_back(row - 1);
  }
  choose_tokens(last_rows, choosing);
}

// A page that has become full goes into the cache; if somebody was faster, theirs is taken.
void Scheduler::after_rows(Sequence& sequence) {
  const std::size_t size = sequence.kv.size();
  if (!sequence.caches || size % kTilePositions != 0) return;
  const auto tokens = std::span(std::as_const(sequence.known)).first(size).last(kTilePositions);
  const std::shared_ptr<KvPage> page = sequence.kv.pages().back();
  sequence.entry =
      cache_.insert(sequence.job.cache_scope, sequence.entry, tokens, page, *sequence.trace);
  if (sequence.entry->page() != page) {
    sequence.kv = KvCache(shape_, PrefixCache::pages(sequence.entry));
  }
  // Else there would be more pages than are counted.
  OTR_DCHECK(sequence.kv.pages().back() == sequence.entry->page());
}

void Scheduler::choose_tokens(std::span<const std::size_t> rows,
                              std::span<Sequence* const> sequences) {
  const auto choose_one = [&](Sequence& sequence, std::span<const std::int32_t> logits) {
    const Job job{sequence.job.prompt, sequence.job.sampling, sequence.job.noise};
    if (sequence.job.on_logits) sequence.job.on_logits(logits);
    const std::uint32_t id = choose(logits, job, sequence.known);
    sequence.known.push_back(id);
    const std::size_t outputs = sequence.known.size() - job.prompt.size();
    const bool last = sequence.job.on_token(id) || outputs == sequence.outputs_at_most;
    if (!last || sequence.ended) return;
    sequence.trace->append_token(id);
    sequence.ended =
        Answer{{sequence.known.end() - static_cast<std::ptrdiff_t>(outputs), sequence.known.end()},
               *std::move(sequence.trace)};
  };
  for (std::size_t at = 0; at < sequences.size(); at += Forward::kMaxLogitRows) {
    const auto part =
        sequences.subspan(at, std::min<std::size_t>(Forward::kMaxLogitRows, sequences.size() - at));
    const auto logits = forward_.logits(rows.subspan(at, part.size()));
    for (std::size_t i = 0; i < part.size(); ++i) {
      if (part[i]->ended) continue;  // cancelled by another one's callback
      if (logits[i]) {
        choose_one(*part[i], *logits[i]);
      } else {
        part[i]->ended = std::unexpected(logits[i].error());
      }
    }
  }
}

std::size_t Scheduler::private_pages() const {
  std::size_t pages = 0;
  for (const auto& sequence : running_) pages += sequence->pages() - sequence->shared();
  return pages;
}

void Scheduler::clear_cache() {
  while (cache_.evict()) ++counts_.evictions;
}

Scheduler::Gauges Scheduler::gauges() const {
  Gauges gauges = counts_;
  gauges.running = running_.size();
  gauges.waiting = waiting_.size();
  gauges.pages_budget = pages_budget_;
  gauges.pages_used = cache_.held() + private_pages();
  gauges.pages_cached = cache_.idle();
  return gauges;
}

}  // namespace otr::engine
