#include "service/front_reply.h"

#include <algorithm>
#include <utility>

#include "base/hex.h"
#include "crypto/sha256.h"
#include "env/clock.h"
#include "env/random.h"
#include "machine/tables.h"
#include "service/error_answer.h"
#include "trace/trace.h"

namespace otr::service {
namespace {

openai::ApiError verification_error(const Error& error) {
  return {502, "verification_error", error.code.empty() ? "UNVERIFIED" : error.code, "",
          "What was received is not the answer that was claimed: " + error.message};
}

Error no_honest_token() {
  return {ErrorKind::kReject,
          "The stream holds a token that is not in the vocabulary, or more tokens than were asked "
          "for.",
          "COUNT_MISMATCH"};
}

openai::ApiError storage_error() {
  // What is wrong with the disk is the operator's to know (the log).
  return {500, "server_error", "receipt_not_stored", "",
          "The answer is verified, but its receipt could not be kept."};
}

// Cancels and lets go of the calls when it goes.
struct Cancelled {
  std::vector<std::shared_ptr<UpstreamCall>> calls;
  ~Cancelled() {
    for (const auto& call : calls) call->cancel();
  }
};

}  // namespace

Reply::Reply(std::shared_ptr<FrontParts> parts, Incoming incoming,
             std::shared_ptr<Recording> recording)
    : parts_(std::move(parts)), incoming_(std::move(incoming)), recording_(std::move(recording)) {}

// An upstream that forgot its call, or a queue that was stopped: nobody is left waiting.
Reply::~Reply() {
  const std::lock_guard lock(mutex_);
  fail_now(openai::unavailable("The request was given up."), "dropped");
}

bool Reply::enter() {
  const std::lock_guard lock(parts_->mutex);
  // Nobody enters once stop() has looked who is there.
  if (parts_->drains || parts_->replies.size() >= parts_->options.max_requests) return false;
  parts_->replies.emplace(this, weak_from_this());
  parts_->services.metrics.set("otr_requests_running",
                               static_cast<std::int64_t>(parts_->replies.size()));
  return true;
}

void Reply::start(Plan plan) {
  auto session = parts_->services.upstream.session(plan.model->artifact->root());
  {
    const std::lock_guard lock(mutex_);
    if (over_) return;
    if (!session) return fail_now(to_api_error(session.error()), "upstream");
    session_ = *std::move(session);
    plan_ = std::move(plan);
    if (const auto is_signed = sign_all(); !is_signed)
      return fail_now(is_signed.error(), "request");
    prepare_head();
  }
  recording_->on_disconnect([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self) self->fail(openai::unavailable("The client has gone."), "client");
  });
  watch(true);
  submit_all();
}

// One request for each answer (SPEC REQ-7).
openai::Parsed<bool> Reply::sign_all() {
  const openai::Generation& generation = plan_.generation;
  const machine::Model& model = plan_.model->artifact->view();
  protocol::Request request;
  request.model_root = plan_.model->artifact->root();
  request.sampling = generation.sampling;
  request.stop = generation.stop;
  request.mode = parts_->options.mode;
  request.deadline =
      static_cast<std::uint64_t>(env::unix_seconds()) + parts_->options.answer_seconds;
  Hash seed = generation.sampling.seed;
  // In sealed mode the seed blinds what a gateway sees, also of a greedy request (SPEC SEAL-4).
  if (!generation.has_seed && (request.mode != 0 || !request.sampling.greedy())) {
    const auto drawn = env::random_32_bytes();
    if (!drawn) return std::unexpected(openai::from_error(drawn.error(), ""));
    seed = *drawn;
  }
  if (request.mode != 0) seed = parts_->services.signer.blind_seed(seed);
  answers_.resize(plan_.prompts.size() * generation.n);
  for (std::size_t i = 0; i < answers_.size(); ++i) {
    const std::size_t prompt = i / generation.n;
    const std::vector<std::uint32_t>& ids = plan_.prompts[prompt];
    if (i % generation.n == 0) request.prompt_root = trace::token_root(ids);
    request.prompt_count = static_cast<std::uint32_t>(ids.size());
    request.max_tokens = plan_.max_tokens[prompt];
    request.sampling.seed =
        protocol::seed_of_answer(seed, static_cast<std::uint32_t>(i % generation.n));
    Status status = protocol::check_ranges(request);
    if (status) status = protocol::check_ranges_of_model(request, ids, model.shape);
    if (!status) return std::unexpected(openai::from_error(status.error(), ""));
    auto made = parts_->services.signer.sign(request, session_->document.ledger);
    if (!made) return std::unexpected(openai::from_error(made.error(), ""));
    answers_[i].choice = std::make_unique<Choice>(model, *std::move(made), generation.logprobs);
    answers_[i].prompt_ids = &ids;
  }
  return true;
}

void Reply::prepare_head() {
  std::string receipts;
  for (Answering& answering : answers_) {
    const Hash hash =
        protocol::digest_of(answering.choice->request().request, session_->document.ledger);
    answering.facts.receipt_id = to_hex(hash);
    receipts += (receipts.empty() ? "" : ", ") + answering.facts.receipt_id;
  }
  const Hash unique = crypto::sha256(as_bytes(receipts));
  head_ = {.kind = plan_.kind,
           .id = openai::response_id(plan_.kind, unique),
           .created = env::unix_seconds(),
           .model = plan_.model->names[0],
           .fingerprint =
               openai::system_fingerprint(machine::kSpecVersion, plan_.model->artifact->root())};
  headers_ = common_headers(*parts_, incoming_);
  headers_.push_back({"x-receipt-id", receipts});
}

void Reply::submit_all() {
  for (std::size_t i = 0; i < answers_.size(); ++i) {
    protocol::Submission submission;
    submission.session = session_->id;
    submission.request = answers_[i].choice->request();
    submission.prompt_ids = *answers_[i].prompt_ids;
    submission.logprobs = plan_.generation.logprobs;
    parts_->services.metrics.add("otr_prompt_tokens_total", submission.prompt_ids.size());
    const auto self = shared_from_this();
    UpstreamEvents events{
        .on_token = [self, i](const protocol::TokenMessage& token) { self->take_token(i, token); },
        .on_done =
            [self, i](std::expected<EndedAnswer, UpstreamError> ended) {
              self->take_end(i, std::move(ended));
            }};
    auto call = parts_->services.upstream.submit(submission, session_, std::move(events));
    {
      const std::lock_guard lock(mutex_);
      if (!over_) {
        answers_[i].call = std::move(call);
        continue;
      }
    }
    if (call != nullptr) call->cancel();
    return;
  }
}

// Looks after it now and then: the head of a stream that waited for a refusal, a sign of life in a
// stream that is silent, an upstream that never ends.
void Reply::watch(bool is_first) {
  {
    const std::lock_guard lock(mutex_);
    if (over_) return;
    const std::int64_t seconds = (env::monotonic_ns() - incoming_.began_ns) / 1'000'000'000;
    if (!is_first && seconds > parts_->options.answer_seconds) {
      return fail_now({504, "server_error", "timeout", "", "The answer took too long."}, "timeout");
    }
    if (!is_first && plan_.generation.stream) {
      if (!renderer_) {
        begin_stream();
      } else if (!std::exchange(wrote_, false)) {
        recording_->write(std::string(openai::kStreamPing));
      }
    }
  }
  const FrontOptions& options = parts_->options;
  parts_->queue->post_after(is_first ? options.admission_wait_ms : options.ping_ms,
                            [weak = weak_from_this()] {
                              if (const auto self = weak.lock()) self->watch(false);
                            });
}

void Reply::begin_stream() {
  net::Headers headers = headers_;
  headers.push_back({"content-type", "text/event-stream"});
  headers.push_back({"cache-control", "no-store"});
  headers.push_back({"x-accel-buffering", "no"});
  recording_->begin_stream(200, std::move(headers));
  renderer_.emplace(head_, plan_.generation.include_usage);
  for (std::uint32_t i = 0; i < answers_.size(); ++i) recording_->write(renderer_->begin(i));
  wrote_ = true;
}

void Reply::show(std::size_t i, const Choice::Piece& piece) {
  if (piece.is_empty()) return;
  recording_->write(
      renderer_->text(static_cast<std::uint32_t>(i), piece.text, piece.logprobs, piece.offset));
  wrote_ = true;
}

void Reply::observe_token(Answering& answering) {
  Metrics& metrics = parts_->services.metrics;
  const std::int64_t now = env::monotonic_ns();
  metrics.add("otr_generation_tokens_total");
  if (answering.last_token_ns == 0) {
    metrics.observe("otr_ttft_seconds", (now - incoming_.began_ns) / 1000);
    if (first_token_ns_ == 0) first_token_ns_ = now;
  } else {
    metrics.observe("otr_inter_token_seconds", (now - answering.last_token_ns) / 1000);
  }
  answering.last_token_ns = now;
}

void Reply::take_token(std::size_t i, const protocol::TokenMessage& token) {
  const std::lock_guard lock(mutex_);
  Answering& answering = answers_[i];
  if (over_ || answering.ended) return;
  const auto piece = answering.choice->push(token);
  if (!piece) {
    mark_claimed();
    return fail_now(verification_error(no_honest_token()), "verification");
  }
  observe_token(answering);
  if (!plan_.generation.stream) return;
  if (!renderer_) begin_stream();
  if (!parts_->options.buffer) show(i, *piece);
}

// What was computed may have been claimed, whatever became of it on the way: a second try would
// make a second claim (SPEC GATE-9).
void Reply::mark_claimed() {
  claimed_ = true;
  recording_->mark_claimed();
}

void Reply::take_end(std::size_t i, std::expected<EndedAnswer, UpstreamError> ended) {
  {
    const std::lock_guard lock(mutex_);
    if (over_ || answers_[i].ended) return;
    if (!ended) return fail_now(to_api_error(ended.error()), "upstream");
    answers_[i].ended = *std::move(ended);
    mark_claimed();
  }
  parts_->queue->post([self = shared_from_this(), i] { self->verify(i); });
}

// SPEC GATE-11. Nothing of an ended answer changes any more, so the mutex is free meanwhile.
void Reply::verify(std::size_t i) {
  const Answering& answering = answers_[i];
  const model::Artifact& artifact = *plan_.model->artifact;
  auto verified = verify_answer(answering.choice->request(), *answering.prompt_ids,
                                answering.choice->ids(), *answering.ended, *session_,
                                artifact.view(), artifact.root(), env::unix_seconds());
  if (!verified) return fail(verification_error(verified.error()), "verification");
  store(i, *std::move(verified));
}

// SPEC GATE-10.
void Reply::store(std::size_t i, VerifiedAnswer answer) {
  const protocol::Receipt& receipt = answer.receipt;
  {
    const std::lock_guard lock(mutex_);
    if (over_) return;
    openai::ClaimFacts& facts = answers_[i].facts;
    facts.claim_id = to_hex(protocol::digest_of(receipt.claim, receipt.ledger));
    facts.trace_root = to_hex(receipt.claim.trace_root);
    facts.session = to_hex(session_->id);
    facts.verified_by = parts_->options.component;
    facts.hardware = session_->hardware;
    answers_[i].reason = static_cast<protocol::FinishReason>(receipt.claim.finish_reason);
  }
  StoredReceipt stored{.id = receipt.claim.request_hash,
                       .api_key = incoming_.api_key,
                       .created = env::unix_seconds(),
                       .text = std::move(answer.receipt_text)};
  parts_->services.store.put(std::move(stored), [self = shared_from_this(), i](Status status) {
    if (status) return self->finish(i);
    self->parts_->services.log.write(
        LogLevel::kError, self->parts_->options.component, "receipt_not_stored",
        {{"request_id", self->incoming_.request_id}, {"reason", status.error().message}});
    self->fail(storage_error(), "store");
  });
}

void Reply::finish(std::size_t i) {
  const std::lock_guard lock(mutex_);
  if (over_) return;
  Answering& answering = answers_[i];
  parts_->services.metrics.add("otr_receipts_issued_total");
  const Choice::Piece rest = answering.choice->finish();
  answering.is_done = true;
  ++done_;
  const bool is_last = done_ == answers_.size();
  if (plan_.generation.stream) {
    if (!renderer_) begin_stream();
    show(i, parts_->options.buffer ? answering.choice->whole() : rest);
    const bool is_last_chunk = is_last && !plan_.generation.include_usage;
    recording_->write(renderer_->end(static_cast<std::uint32_t>(i), answering.reason,
                                     answering.facts,
                                     is_last_chunk ? std::optional(timings()) : std::nullopt));
    wrote_ = true;
  }
  if (is_last) end_whole();
}

openai::Usage Reply::usage() const {
  openai::Usage usage;
  for (const auto& ids : plan_.prompts) usage.prompt_tokens += ids.size();
  for (const Answering& one : answers_) usage.completion_tokens += one.choice->ids().size();
  return usage;
}

openai::Timings Reply::timings() const {
  const Answering& first = answers_[0];
  const std::int64_t begin = first_token_ns_ == 0 ? incoming_.began_ns : first_token_ns_;
  return {.prompt_tokens = static_cast<std::uint32_t>(first.prompt_ids->size()),
          .prompt_us = (begin - incoming_.began_ns) / 1000,
          .completion_tokens = static_cast<std::uint32_t>(first.choice->ids().size()),
          .completion_us = std::max<std::int64_t>(0, first.last_token_ns - begin) / 1000};
}

std::string Reply::render_whole() const {
  std::vector<openai::Answer> answers;
  for (const Answering& one : answers_) {
    const Choice::Piece& whole = one.choice->whole();
    answers.push_back({whole.text, one.reason, whole.logprobs, one.facts});
  }
  return openai::render_body(head_, answers, usage(), timings()).dump();
}

void Reply::end_whole() {
  const openai::Usage tokens = usage();
  leave(200, "answered",
        {{"receipt_id", answers_[0].facts.receipt_id},
         {"answers", answers_.size()},
         {"prompt_tokens", tokens.prompt_tokens},
         {"completion_tokens", tokens.completion_tokens}});
  if (plan_.generation.stream) {
    recording_->write(renderer_->usage(tokens, answers_[0].facts, timings()));
    recording_->write(std::string(openai::kStreamDone));
    recording_->end();
  } else {
    net::Response response = net::json_response(200, render_whole());
    response.headers.insert(response.headers.end(), headers_.begin(), headers_.end());
    recording_->respond(std::move(response));
  }
}

void Reply::fail(const openai::ApiError& error, std::string_view cause) {
  const std::lock_guard lock(mutex_);
  fail_now(error, cause);
}

void Reply::fail_now(const openai::ApiError& error, std::string_view cause) {
  if (over_) return;
  parts_->services.metrics.add("otr_stream_aborts_total", 1, {{"cause", cause}});
  leave(renderer_ ? 200 : static_cast<unsigned>(error.status), "failed",
        {{"cause", cause},
         {"status", error.status},
         {"code", error.code},
         {"reason", error.message}});
  if (renderer_) {
    // SPEC GATE-11: no finish, no [DONE], and no clean end.
    recording_->write(openai::sse_event(openai::to_json(error)));
    recording_->abort();
    return;
  }
  net::Response response = error_answer(error, is_worth_retrying(error) && !claimed_);
  const net::Headers common = headers_.empty() ? common_headers(*parts_, incoming_) : headers_;
  response.headers.insert(response.headers.end(), common.begin(), common.end());
  recording_->respond(std::move(response));
}

// Its place is free before its client hears of the end, and may come again.
void Reply::leave(unsigned status, std::string_view outcome, const Json& more) {
  over_ = true;
  count(*parts_, incoming_, status);
  {
    const std::lock_guard lock(parts_->mutex);
    parts_->replies.erase(this);
    parts_->services.metrics.set("otr_requests_running",
                                 static_cast<std::int64_t>(parts_->replies.size()));
  }
  Json fields = {{"request_id", incoming_.request_id},
                 {"route", incoming_.route},
                 {"ms", (env::monotonic_ns() - incoming_.began_ns) / 1'000'000}};
  fields.update(more);
  parts_->services.log.write(LogLevel::kInfo, parts_->options.component, outcome, fields);
  // Not here, as we may be inside of a call: where the task ends, or is dropped.
  auto calls = std::make_shared<Cancelled>();
  for (Answering& answering : answers_) {
    if (answering.call != nullptr) calls->calls.push_back(std::move(answering.call));
  }
  parts_->queue->post([calls = std::move(calls)] {});
}

}  // namespace otr::service
