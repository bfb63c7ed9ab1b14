// What the tests of the inference service share: a service, jobs, and what is heard of them.
#ifndef OTR_NODE_TEST_INFERENCE_H_
#define OTR_NODE_TEST_INFERENCE_H_

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "node/inference.h"
#include "node/test_requests.h"
#include "node/worker.h"

namespace otr::node {

using Ids = std::vector<std::uint32_t>;
using Id = InferenceService::Id;

// A door in the way of the engine thread, so that tests decide what it finds when it goes on.
class Gate {
 public:
  // Of the engine thread.
  void pass() {
    std::unique_lock lock(mutex_);
    ++arrived_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
  }
  void wait_until_somebody_stands_there() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return arrived_ > 0; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int arrived_ = 0;
  bool open_ = false;
};

// All that a client hears of its job.
class Heard {
 public:
  void token(const TokenInfo& token) {
    const std::lock_guard lock(mutex_);
    EXPECT_FALSE(outcome_) << "a token after the end";
    tokens_.push_back(token);
  }
  void done(Result<Finished> outcome) {
    const std::lock_guard lock(mutex_);
    EXPECT_FALSE(outcome_) << "a second end";
    outcome_ = std::move(outcome);
    changed_.notify_all();
  }
  Result<Finished> wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return outcome_.has_value(); });
    return *outcome_;
  }
  std::optional<ErrorKind> wait_for_error() {
    const Result<Finished> outcome = wait();
    return outcome ? std::nullopt : std::optional(outcome.error().kind);
  }
  bool ended() {
    const std::lock_guard lock(mutex_);
    return outcome_.has_value();
  }
  std::vector<TokenInfo> tokens() {
    const std::lock_guard lock(mutex_);
    return tokens_;
  }
  Ids ids() {
    Ids ids;
    for (const TokenInfo& token : tokens()) ids.push_back(token.id);
    return ids;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<TokenInfo> tokens_;
  std::optional<Result<Finished>> outcome_;
};

// At the beginning of time, so that no deadline has passed.
inline InferenceOptions options_of(std::size_t max_sequences = 8, std::size_t max_waiting = 100) {
  InferenceOptions options;
  options.scheduler.max_sequences = max_sequences;
  options.max_waiting = max_waiting;
  options.unix_seconds = [] { return 0; };
  return options;
}

// A service of a toy model, signing with key 8.
struct Toy {
  explicit Toy(InferenceOptions options = options_of(),
               const model::Artifact& its_model = artifact(), Hash session = {})
      : model(its_model), packed(model.view()) {
    if (options.scheduler.kv_budget_bytes == 0) {
      options.scheduler.kv_budget_bytes = 1000 * page_bytes();
    }
    auto started = InferenceService::start(model, packed, {.key = key_of(8), .session = session},
                                           std::move(options));
    EXPECT_TRUE(started) << started.error().message;
    service = *std::move(started);
  }
  std::size_t page_bytes() const { return engine::KvPage::size_bytes(model.view().shape); }
  Id submit(const Ask& ask, Heard& heard, std::function<void(const TokenInfo&)> in_token = {}) {
    const auto id = service->submit(job_of(ask, heard, std::move(in_token)));
    EXPECT_TRUE(id) << id.error().message;
    return id.value_or(0);
  }
  Job job_of(const Ask& ask, Heard& heard, std::function<void(const TokenInfo&)> in_token = {}) {
    return {.request = request_of(ask, model),
            .prompt_ids = ask.prompt,
            .on_token =
                [&heard, in_token](const TokenInfo& token) {
                  heard.token(token);
                  if (in_token) in_token(token);
                },
            .on_done = [&heard](Result<Finished> outcome) { heard.done(std::move(outcome)); }};
  }
  // The answer that a worker gives alone.
  Result<protocol::Receipt> alone(const Ask& ask) const {
    Worker worker(model, packed, key_of(8), key_of(9), 1);
    return worker.serve(
        request_of(ask, model), ask.prompt, [](std::uint32_t) {}, [] { return false; });
  }
  std::string receipt(const Ask& ask, const Finished& finished) const {
    return *protocol::encode_receipt(
        make_receipt(request_of(ask, model), ask.prompt, finished, model.view(), key_of(9)));
  }

  const model::Artifact& model;
  engine::PackedModel packed;
  std::unique_ptr<InferenceService> service;
};

// An answer of 200 tokens that no stop token ends.
inline Ask long_ask(std::uint8_t from = 0) {
  Ask ask{.max_tokens = 200};
  ask.sampling.logit_bias = {{2, -100 << 16}, {16, -100 << 16}};
  ask.sampling.seed[1] = from;
  return ask;
}

}  // namespace otr::node

#endif  // OTR_NODE_TEST_INFERENCE_H_
