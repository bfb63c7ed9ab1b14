// Who owns what: the mutex guards what submit() and the engine thread share, which is the table of
// executions, the inbox and the counts. Everything else of an execution is the engine thread's
// alone, so callbacks run without a lock. The engine thread goes round in turn(): new listeners,
// then those who leave, then one pass.
#include "node/inference.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "base/check.h"
#include "protocol/finish.h"
#include "protocol/wire.h"
#include "trace/noise.h"

namespace otr::node {
namespace {

using Id = InferenceService::Id;
// Tokens are the same for all, what is told with them is not.
using Key = std::pair<Hash, std::optional<unsigned>>;  // request hash, logprobs

struct Listener {
  Id id = 0;
  std::function<void(const TokenInfo&)> on_token;
  std::function<void(Result<Finished>)> on_done;
  std::size_t seen = 0;  // tokens
};

// One computation of an answer, and afterwards what is stored of it.
struct Execution {
  Execution(Key its_key, Job& job, const machine::Model& model)
      : key(std::move(its_key)),
        session(job.signer->session),
        signer(std::move(job.signer)),
        request(std::move(job.request.request)),
        prompt_ids(std::move(job.prompt_ids)),
        cache_scope(std::move(job.cache_scope)),
        finish(model, request) {}

  const Key key;
  const Hash session;
  const std::int64_t accepted_ns = env::monotonic_ns();
  // Guarded by the service's mutex:
  std::size_t pending = 0;  // listeners in the inbox
  bool stored = false;
  // Of the engine thread, once it has it:
  std::shared_ptr<const ClaimSigner> signer;  // until the answer has ended
  protocol::Request request;
  std::vector<std::uint32_t> prompt_ids;
  std::string cache_scope;
  protocol::FinishDetector finish;
  std::optional<protocol::FinishReason> reason;
  std::optional<engine::Scheduler::Id> scheduled;
  std::span<const std::int32_t> logits;  // that the next token is chosen from
  std::vector<Listener> listeners;
  std::vector<TokenInfo> tokens;
  std::optional<Result<Finished>> ended;

  std::size_t size_bytes() const {
    std::size_t bytes = sizeof *this + tokens.capacity() * sizeof(TokenInfo);
    for (const TokenInfo& token : tokens) {
      if (token.logprobs) bytes += token.logprobs->likeliest.capacity() * sizeof(TokenLogprob);
    }
    const Finished& finished = **ended;
    return bytes + finished.output_ids.capacity() * sizeof finished.output_ids[0] +
           finished.trace_path.capacity() * sizeof(Hash);
  }
};

void tell(const Execution& execution, Listener& listener) {
  while (listener.seen < execution.tokens.size()) {
    const TokenInfo& token = execution.tokens[listener.seen++];
    if (listener.on_token) listener.on_token(token);
  }
}

Status check_options(const InferenceOptions& options, const machine::Shape& shape) {
  const engine::SchedulerOptions& scheduler = options.scheduler;
  const std::size_t page_bytes = engine::KvPage::size_bytes(shape);
  if (scheduler.kv_budget_bytes < page_bytes) {
    return fail(ErrorKind::kUsage, "a budget of " + std::to_string(scheduler.kv_budget_bytes) +
                                       " bytes of KV memory holds no page; this model's have " +
                                       std::to_string(page_bytes) + " bytes");
  }
  if (scheduler.max_sequences < 1 || scheduler.max_sequences > scheduler.max_rows ||
      scheduler.max_rows > engine::Forward::kMaxRows) {
    return fail(ErrorKind::kUsage,
                "at least 1 sequence, at most as many as rows of a pass, and "
                "these at most " +
                    std::to_string(engine::Forward::kMaxRows));
  }
  return {};
}

}  // namespace

class InferenceService::Body {
 public:
  Body(const model::Artifact& artifact, const engine::PackedModel& packed,
       std::shared_ptr<const ClaimSigner> signer, InferenceOptions options)
      : model_(artifact.view()),
        model_root_(artifact.root()),
        signer_(std::move(signer)),
        options_(std::move(options)),
        forward_(packed, options_.threads),
        scheduler_(forward_, options_.scheduler) {
    publish();
  }

  void launch() {
    thread_ = std::thread([this] { run(); });
  }
  Result<Id> submit(Job job);
  void cancel(Id id);
  Gauges gauges() const;
  bool healthy() const;
  unsigned retry_after_seconds() const;
  void stop(bool drain);

 private:
  struct Arrival {
    std::shared_ptr<Execution> execution;
    Listener listener;
  };

  // With the mutex held:
  Result<std::shared_ptr<Execution>> find_or_begin(Key key, Job& job, std::int64_t unix_seconds);
  void store(const std::shared_ptr<Execution>& execution);
  void note_time(const Execution& execution);

  // On the engine thread:
  void run();
  bool turn();
  void arrive(Arrival arrival);
  void schedule(const std::shared_ptr<Execution>& execution);
  bool take_token(Execution& execution, std::uint32_t id);
  void end(const std::shared_ptr<Execution>& execution, Result<engine::Answer> answer);
  void leave(Id id);
  void dismiss(Id id, const Result<Finished>& outcome);
  void publish();
  void close(const Error& why);

  const machine::Model& model_;
  const Hash model_root_;
  const std::shared_ptr<const ClaimSigner> signer_;  // of jobs that bring none; may be null
  const InferenceOptions options_;
  engine::Forward forward_;
  engine::Scheduler scheduler_;  // the engine thread's, but for check()

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::map<Key, std::shared_ptr<Execution>> executions_;  // under way and stored
  std::deque<std::shared_ptr<Execution>> stored_;         // the oldest first
  std::vector<Arrival> arrivals_;
  std::vector<Id> leaving_;
  Gauges counts_;
  std::size_t open_ = 0;  // executions under way
  Id last_id_ = 0;
  bool stopping_ = false, at_once_ = false;
  std::optional<Error> broken_;
  std::int64_t last_end_ns_ = 0, end_gap_ns_ = 0;  // of executions; the gap is a moving mean

  std::map<Id, std::shared_ptr<Execution>> listening_;  // the engine thread's
  std::uint64_t output_tokens_ = 0;                     // the engine thread's
  bool work_left_ = false;                              // the engine thread's
  std::atomic<std::int64_t> turn_began_ns_ = 0;         // 0 while it sleeps

  std::mutex join_mutex_;
  std::thread thread_;
};

// --- From any thread -----------------------------------------------------------------------------

Result<Id> InferenceService::Body::submit(Job job) {
  if (job.logprobs && *job.logprobs > protocol::kMaxTopLogprobs) {
    return fail(ErrorKind::kUsage, "logprobs of at most " +
                                       std::to_string(protocol::kMaxTopLogprobs) +
                                       " alternatives, not " + std::to_string(*job.logprobs));
  }
  if (!job.signer) job.signer = signer_;
  if (!job.signer) return fail(ErrorKind::kUsage, "there is no session to sign claims");
  const Hash& ledger = job.signer->ledger;
  OTR_TRY(protocol::check_request(job.request, ledger, job.prompt_ids, model_.shape, model_root_));
  OTR_TRY(scheduler_.check(job.prompt_ids, job.request.request.max_tokens));
  Key key{protocol::digest_of(job.request.request, ledger), job.logprobs};
  const std::int64_t now = options_.unix_seconds();
  const std::lock_guard lock(mutex_);
  if (broken_) return std::unexpected(*broken_);
  if (stopping_) return fail(ErrorKind::kCancelled, "this worker takes no more requests: it stops");
  OTR_TRY_ASSIGN(auto execution, find_or_begin(std::move(key), job, now));
  ++execution->pending;
  arrivals_.push_back(
      {std::move(execution), {++last_id_, std::move(job.on_token), std::move(job.on_done)}});
  wake_.notify_one();
  return last_id_;
}

Result<std::shared_ptr<Execution>> InferenceService::Body::find_or_begin(
    Key key, Job& job, std::int64_t unix_seconds) {
  // SPEC GATE-4: one claim, whatever is told beside it.
  const auto like = executions_.lower_bound(Key{key.first, std::nullopt});
  if (like != executions_.end() && like->first.first == key.first &&
      like->second->session != job.signer->session) {
    return fail(ErrorKind::kUsage,
                "the request is answered, or was, under another session; sign a new one",
                "other_session");
  }
  if (const auto found = executions_.find(key); found != executions_.end()) {
    ++(found->second->stored ? counts_.repeated : counts_.joined);
    return found->second;
  }
  const std::uint64_t deadline = job.request.request.deadline;
  if (unix_seconds > 0 && static_cast<std::uint64_t>(unix_seconds) > deadline) {
    return fail(ErrorKind::kUsage, "the request's deadline of " + std::to_string(deadline) +
                                       " has passed: it is " + std::to_string(unix_seconds) +
                                       "; sign a new one");
  }
  if (open_ >= options_.scheduler.max_sequences + options_.max_waiting) {
    ++counts_.refused_busy;
    return fail(ErrorKind::kNetwork, "busy: " + std::to_string(open_) +
                                         " answers are under way or wait; try again later");
  }
  auto execution = std::make_shared<Execution>(std::move(key), job, model_);
  executions_.emplace(execution->key, execution);
  ++open_;
  return execution;
}

void InferenceService::Body::cancel(Id id) {
  const std::lock_guard lock(mutex_);
  leaving_.push_back(id);
  wake_.notify_one();
}

InferenceService::Gauges InferenceService::Body::gauges() const {
  const std::lock_guard lock(mutex_);
  Gauges gauges = counts_;
  gauges.running = std::min(counts_.running, open_);
  gauges.waiting = open_ - gauges.running;
  return gauges;
}

bool InferenceService::Body::healthy() const {
  const std::int64_t began = turn_began_ns_;
  if (began != 0 &&
      env::monotonic_ns() - began > std::int64_t{options_.stall_seconds} * 1'000'000'000) {
    return false;
  }
  const std::lock_guard lock(mutex_);
  return !broken_ && !stopping_;
}

unsigned InferenceService::Body::retry_after_seconds() const {
  const std::lock_guard lock(mutex_);
  return static_cast<unsigned>(std::clamp<std::int64_t>(end_gap_ns_ / 1'000'000'000 + 1, 1, 60));
}

void InferenceService::Body::stop(bool drain) {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    at_once_ = at_once_ || !drain;
    wake_.notify_one();
  }
  const std::lock_guard lock(join_mutex_);
  if (thread_.joinable()) thread_.join();
}

// --- On the engine thread ------------------------------------------------------------------------

void InferenceService::Body::run() {
  Error why{ErrorKind::kCancelled, "the worker stops: a partial answer is never signed"};
  try {
    while (turn()) continue;
  } catch (const std::exception& e) {
    why = {ErrorKind::kIo,
           "the engine stopped (" + std::string(e.what()) + "); it has to be started anew"};
  }
  close(why);
}

bool InferenceService::Body::turn() {
  std::vector<Arrival> arrivals;
  std::vector<Id> leaving;
  {
    std::unique_lock lock(mutex_);
    turn_began_ns_ = 0;
    wake_.wait(lock,
               [&] { return work_left_ || stopping_ || !arrivals_.empty() || !leaving_.empty(); });
    if (at_once_ || (stopping_ && open_ == 0 && arrivals_.empty())) return false;
    turn_began_ns_ = env::monotonic_ns();
    arrivals.swap(arrivals_);
    leaving.swap(leaving_);
    for (const Arrival& arrival : arrivals) --arrival.execution->pending;
  }
  for (Arrival& arrival : arrivals) arrive(std::move(arrival));
  for (const Id id : leaving) leave(id);
  work_left_ = scheduler_.step();
  publish();
  return true;
}

void InferenceService::Body::arrive(Arrival arrival) {
  auto& [execution, listener] = arrival;
  tell(*execution, listener);
  if (execution->ended) return listener.on_done(*execution->ended);
  listening_.emplace(listener.id, execution);
  execution->listeners.push_back(std::move(listener));
  if (!execution->scheduled) schedule(execution);
}

void InferenceService::Body::schedule(const std::shared_ptr<Execution>& execution) {
  engine::Submission submission{
      .prompt = std::move(execution->prompt_ids),
      .sampling = execution->request.sampling,
      .noise = trace::noise_block,
      .max_tokens = execution->request.max_tokens,
      .cache_scope = execution->cache_scope,
      .on_token = [this, execution](std::uint32_t id) { return take_token(*execution, id); },
      .on_done = [this,
                  execution](Result<engine::Answer> answer) { end(execution, std::move(answer)); }};
  if (execution->key.second) {
    submission.on_logits = [execution](auto logits) { execution->logits = logits; };
  }
  const auto id = scheduler_.submit(std::move(submission));
  if (!id) return end(execution, std::unexpected(id.error()));
  execution->scheduled = *id;
}

bool InferenceService::Body::take_token(Execution& execution, std::uint32_t id) {
  TokenInfo& token = execution.tokens.emplace_back(id);
  if (const auto likeliest = execution.key.second) {
    token.logprobs = logprobs_of(execution.logits, id, *likeliest);
  }
  for (Listener& listener : execution.listeners) tell(execution, listener);
  ++output_tokens_;
  execution.reason = execution.finish.push(id);
  return execution.reason.has_value();
}

void InferenceService::Body::end(const std::shared_ptr<Execution>& execution,
                                 Result<engine::Answer> answer) {
  if (execution->ended) return;  // it was given up
  if (answer) {
    OTR_CHECK(execution->reason.has_value());
    execution->ended = sign_claim(execution->request, std::move(answer->output), *execution->reason,
                                  answer->trace, *execution->signer);
  } else {
    execution->ended = std::unexpected(answer.error());
  }
  execution->signer.reset();
  {
    const std::lock_guard lock(mutex_);
    --open_;
    ++(answer ? counts_.finished : counts_.failed);
    note_time(*execution);
    if (answer) store(execution);
    if (!answer) executions_.erase(execution->key);
    if (!answer && answer.error().kind == ErrorKind::kIo) broken_ = answer.error();
  }
  while (!execution->listeners.empty()) dismiss(execution->listeners[0].id, *execution->ended);
}

void InferenceService::Body::store(const std::shared_ptr<Execution>& execution) {
  execution->request = {};
  execution->stored = true;
  stored_.push_back(execution);
  counts_.stored_bytes += execution->size_bytes();
  while (stored_.size() > options_.stored_answers || counts_.stored_bytes > options_.stored_bytes) {
    counts_.stored_bytes -= stored_.front()->size_bytes();
    executions_.erase(stored_.front()->key);
    stored_.pop_front();
  }
  counts_.stored_answers = stored_.size();
}

// The time since the last one ended, without the time in which there was nothing to do.
void InferenceService::Body::note_time(const Execution& execution) {
  const std::int64_t now = env::monotonic_ns();
  const std::int64_t gap = now - std::max(last_end_ns_, execution.accepted_ns);
  end_gap_ns_ = last_end_ns_ == 0 ? gap : end_gap_ns_ + (gap - end_gap_ns_) / 8;
  last_end_ns_ = now;
}

// What nobody listens to, now and in the inbox, is given up.
void InferenceService::Body::leave(Id id) {
  const auto found = listening_.find(id);
  if (found == listening_.end()) return;
  const std::shared_ptr<Execution> execution = found->second;
  const Error why{ErrorKind::kCancelled, "stopped: a partial answer is never signed"};
  if (execution->listeners.size() == 1) {
    const std::lock_guard lock(mutex_);
    if (execution->pending == 0) {
      executions_.erase(execution->key);
      --open_;
      ++counts_.abandoned;
      execution->ended = std::unexpected(why);
      execution->signer.reset();
    }
  }
  if (execution->ended) scheduler_.cancel(*execution->scheduled);
  dismiss(id, std::unexpected(why));
}

void InferenceService::Body::dismiss(Id id, const Result<Finished>& outcome) {
  const auto found = listening_.find(id);
  std::vector<Listener>& listeners = found->second->listeners;
  const auto at = std::ranges::find(listeners, id, &Listener::id);
  const auto on_done = std::move(at->on_done);
  listeners.erase(at);
  listening_.erase(found);
  on_done(outcome);
}

void InferenceService::Body::publish() {
  const engine::Scheduler::Gauges now = scheduler_.gauges();
  const std::lock_guard lock(mutex_);
  counts_.running = now.running;
  counts_.kv_pages_budget = now.pages_budget;
  counts_.kv_pages_used = now.pages_used;
  counts_.kv_pages_cached = now.pages_cached;
  counts_.rows = now.rows;
  counts_.prefix_hit_tokens = now.hit_tokens;
  counts_.preemptions = now.preemptions;
  counts_.evictions = now.evictions;
  counts_.output_tokens = output_tokens_;
}

// Ends all that is left; nothing arrives any more.
void InferenceService::Body::close(const Error& why) {
  std::vector<Arrival> arrivals;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (why.kind == ErrorKind::kIo) broken_ = why;
    arrivals.swap(arrivals_);
    (why.kind == ErrorKind::kIo ? counts_.failed : counts_.abandoned) += open_;
    open_ = 0;
    counts_.running = counts_.kv_pages_used = 0;
    turn_began_ns_ = 0;
  }
  while (!listening_.empty()) dismiss(listening_.begin()->first, std::unexpected(why));
  for (Arrival& arrival : arrivals) arrival.listener.on_done(std::unexpected(why));
}

// --- The service ---------------------------------------------------------------------------------

InferenceService::InferenceService(std::unique_ptr<Body> body) : body_(std::move(body)) {}
InferenceService::~InferenceService() { stop(false); }

Result<std::unique_ptr<InferenceService>> InferenceService::start_with(
    const model::Artifact& artifact, const engine::PackedModel& packed,
    std::shared_ptr<const ClaimSigner> signer, InferenceOptions options) {
  OTR_TRY(check_options(options, artifact.view().shape));
  try {
    std::unique_ptr<InferenceService> service(new InferenceService(
        std::make_unique<Body>(artifact, packed, std::move(signer), std::move(options))));
    service->body_->launch();
    return service;
  } catch (const std::exception& e) {
    return fail(ErrorKind::kIo, "the engine could not be started: " + std::string(e.what()));
  }
}

Result<std::unique_ptr<InferenceService>> InferenceService::start(const model::Artifact& artifact,
                                                                  const engine::PackedModel& packed,
                                                                  ClaimSigner signer,
                                                                  InferenceOptions options) {
  return start_with(artifact, packed, std::make_shared<const ClaimSigner>(std::move(signer)),
                    std::move(options));
}

Result<std::unique_ptr<InferenceService>> InferenceService::start(const model::Artifact& artifact,
                                                                  const engine::PackedModel& packed,
                                                                  InferenceOptions options) {
  return start_with(artifact, packed, nullptr, std::move(options));
}

Result<Id> InferenceService::submit(Job job) { return body_->submit(std::move(job)); }
void InferenceService::cancel(Id id) { body_->cancel(id); }
InferenceService::Gauges InferenceService::gauges() const { return body_->gauges(); }
bool InferenceService::healthy() const { return body_->healthy(); }
unsigned InferenceService::retry_after_seconds() const { return body_->retry_after_seconds(); }
void InferenceService::stop(bool drain) { body_->stop(drain); }

}  // namespace otr::node
