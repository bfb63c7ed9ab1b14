// What attestation costs a busy worker: tokens per second of the bare engine (engine::Scheduler,
// which always traces) against the same jobs through node::InferenceService, each ending in a
// signed claim, a countersigned receipt, its encoding, and a client that checks it. At 1, 8 and 32
// streams, on models of random weights; pairs measured one after the other, every other one
// backwards, medians of their ratios. Client and worker share this machine's processors, so the
// client's work counts against the service.
//
//   serve_bench [--shapes 15m,135m] [--threads 1] [--tokens 64] [--pairs 5]
#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <mutex>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "convert/random_model.h"
#include "engine/scheduler.h"
#include "env/clock.h"
#include "node/inference.h"
#include "protocol/verify.h"
#include "trace/noise.h"

namespace otr {
namespace {

struct Flags {
  std::vector<std::string> shapes = {"15m", "135m"};
  unsigned threads = 1;
  std::uint32_t tokens = 64;  // of a long answer
  int pairs = 5;
};

crypto::PrivateKey key_of(std::uint8_t byte) {
  return *crypto::PrivateKey::from_bytes(Bytes(32, byte));
}

struct Ask {
  protocol::SignedRequest request;
  std::vector<std::uint32_t> prompt;
};

// Two answers for each stream, from half as long to full, so that they end one after another.
std::vector<Ask> make_asks(const model::Artifact& artifact, std::size_t streams,
                           std::uint32_t tokens, std::uint64_t& counter) {
  const machine::Model& model = artifact.view();
  const crypto::PrivateKey client = key_of(7);
  std::mt19937_64 random(counter);
  std::vector<Ask> asks(2 * streams);
  for (std::size_t i = 0; i < asks.size(); ++i) {
    Ask& ask = asks[i];
    for (int j = 0; j < 16; ++j) {
      ask.prompt.push_back(static_cast<std::uint32_t>(random() % model.shape.vocabulary));
    }
    protocol::Request& request = ask.request.request;
    request.client = client.address();
    request.counter = ++counter;
    request.task_id = protocol::task_id(request.client, request.counter);
    request.model_root = artifact.root();
    request.prompt_root = trace::token_root(ask.prompt);
    request.prompt_count = static_cast<std::uint32_t>(ask.prompt.size());
    request.max_tokens =
        tokens / 2 + static_cast<std::uint32_t>((i + 1) * (tokens - tokens / 2) / asks.size());
    request.sampling.top_p = 65536;
    for (const std::uint32_t id : model.eos_ids) {
      request.sampling.logit_bias.push_back({id, -machine::kMaxLogitBias});
    }
    request.deadline = ~std::uint64_t{0};
    ask.request.signature = client.sign(protocol::digest_of(request, Hash{}));
  }
  return asks;
}

struct Measured {
  double tokens_per_second = 0;
  double cpu_seconds = 0;  // of the process, for each token
};

class Meter {
 public:
  Measured of(std::size_t tokens) const {
    const double seconds = static_cast<double>(env::monotonic_ns() - begin_ns_) / 1e9;
    const double cpu = static_cast<double>(std::clock() - begin_cpu_) / CLOCKS_PER_SEC;
    return {static_cast<double>(tokens) / seconds, cpu / static_cast<double>(tokens)};
  }

 private:
  std::int64_t begin_ns_ = env::monotonic_ns();
  std::clock_t begin_cpu_ = std::clock();
};

engine::SchedulerOptions options_for(const machine::Shape& shape, std::size_t streams) {
  return {.kv_budget_bytes = 8 * streams * engine::KvPage::size_bytes(shape),
          .max_sequences = streams};
}

Measured run_bare(engine::Forward& forward, const std::vector<Ask>& asks, std::size_t streams) {
  const Meter meter;
  engine::Scheduler scheduler(forward, options_for(forward.model().shape, streams));
  std::size_t tokens = 0;
  for (const Ask& ask : asks) {
    const auto id = scheduler.submit({.prompt = ask.prompt,
                                      .sampling = ask.request.request.sampling,
                                      .noise = trace::noise_block,
                                      .max_tokens = ask.request.request.max_tokens,
                                      .on_token = [](std::uint32_t) { return false; },
                                      .on_done =
                                          [&](Result<engine::Answer> answer) {
                                            OTR_CHECK(answer.has_value());
                                            tokens += answer->output.size();
                                          }});
    OTR_CHECK(id.has_value());
  }
  while (scheduler.step()) continue;
  return meter.of(tokens);
}

// Answers that have ended, in the order in which the client takes them.
class Inbox {
 public:
  void push(std::size_t i, node::Finished finished) {
    const std::lock_guard lock(mutex_);
    ended_.emplace_back(i, std::move(finished));
    changed_.notify_one();
  }
  std::pair<std::size_t, node::Finished> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !ended_.empty(); });
    auto first = std::move(ended_.front());
    ended_.pop_front();
    return first;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<std::size_t, node::Finished>> ended_;
};

Measured run_attested(node::InferenceService& service, const model::Artifact& artifact,
                      const crypto::PrivateKey& operator_key, const std::vector<Ask>& asks) {
  const Meter meter;
  Inbox inbox;
  for (std::size_t i = 0; i < asks.size(); ++i) {
    const auto id = service.submit({.request = asks[i].request,
                                    .prompt_ids = asks[i].prompt,
                                    .on_token = [](const node::TokenInfo&) {},
                                    .on_done =
                                        [&inbox, i](Result<node::Finished> finished) {
                                          OTR_CHECK(finished.has_value());
                                          inbox.push(i, *std::move(finished));
                                        }});
    OTR_CHECK(id.has_value());
  }
  std::size_t tokens = 0;
  for (std::size_t left = asks.size(); left > 0; --left) {
    auto [i, finished] = inbox.pop();
    tokens += finished.output_ids.size();
    const auto text = protocol::encode_receipt(node::make_receipt(
        asks[i].request, asks[i].prompt, std::move(finished), artifact.view(), operator_key));
    OTR_CHECK(text.has_value());
    const auto opened = protocol::open_receipt(*text, machine::kSpecHash);
    OTR_CHECK(opened.report.failure() == nullptr);
    const auto report =
        protocol::check_with_model(*opened.receipt, artifact.view(), artifact.root());
    OTR_CHECK(report.failure() == nullptr);
  }
  return meter.of(tokens);
}

struct Median {
  double median = 0, low = 0, high = 0;
};

Median median_of(std::vector<double> values) {
  std::ranges::sort(values);
  return {values[values.size() / 2], values.front(), values.back()};
}

void measure(const Flags& flags, const model::Artifact& artifact, const engine::PackedModel& packed,
             const std::string& shape, std::size_t streams) {
  engine::Forward forward(packed, flags.threads);
  auto service = node::InferenceService::start(
      artifact, packed, {.key = key_of(8)},
      {.threads = flags.threads, .scheduler = options_for(artifact.view().shape, streams)});
  OTR_CHECK(service.has_value());
  const crypto::PrivateKey operator_key = key_of(9);
  std::uint64_t counter = 0;
  std::vector<double> bare, attested, ratio, cpu;
  for (int pair = -1; pair < flags.pairs; ++pair) {  // the first one warms up
    const std::vector<Ask> asks = make_asks(artifact, streams, flags.tokens, counter);
    Measured sides[2];
    for (const int turn : {0, 1}) {
      const int side = pair % 2 == 0 ? turn : 1 - turn;
      sides[side] = side == 0 ? run_bare(forward, asks, streams)
                              : run_attested(**service, artifact, operator_key, asks);
    }
    if (pair < 0) continue;
    bare.push_back(sides[0].tokens_per_second);
    attested.push_back(sides[1].tokens_per_second);
    ratio.push_back(sides[1].tokens_per_second / sides[0].tokens_per_second);
    cpu.push_back(sides[0].cpu_seconds / sides[1].cpu_seconds);
  }
  const Median r = median_of(ratio), c = median_of(cpu);
  std::printf(
      "%-5s %2zu streams, %u threads: bare %8.1f tokens/s, attested %8.1f; ratio %.4f "
      "(%.4f to %.4f); of processor time %.4f (%.4f to %.4f)\n",
      shape.c_str(), streams, flags.threads, median_of(bare).median, median_of(attested).median,
      r.median, r.low, r.high, c.median, c.low, c.high);
  std::fflush(stdout);
}

int run(const Flags& flags) {
  for (const std::string& shape : flags.shapes) {
    auto bytes = convert::random_model({.shape = shape}, [] { return false; });
    if (!bytes) {
      std::fprintf(stderr, "%s\n", bytes.error().message.c_str());
      return 2;
    }
    const auto artifact = model::parse_artifact(*std::move(bytes));
    OTR_CHECK(artifact.has_value());
    const engine::PackedModel packed(artifact->view(), engine::best_kernel(), 2);
    for (const std::size_t streams : {1, 8, 32}) measure(flags, *artifact, packed, shape, streams);
  }
  return 0;
}

int main_with(int argc, char** argv) {
  Flags flags;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    const std::string value = argv[i + 1];
    if (flag == "--shapes") {
      flags.shapes.clear();
      std::istringstream list(value);
      for (std::string shape; std::getline(list, shape, ',');) flags.shapes.push_back(shape);
    } else if (flag == "--threads") {
      flags.threads = static_cast<unsigned>(std::max(1, std::atoi(value.c_str())));
    } else if (flag == "--tokens") {
      flags.tokens = static_cast<std::uint32_t>(std::clamp(std::atoi(value.c_str()), 2, 512));
    } else if (flag == "--pairs") {
      flags.pairs = std::max(1, std::atoi(value.c_str()));
    }
  }
  return run(flags);
}

}  // namespace
}  // namespace otr

int main(int argc, char** argv) { return otr::main_with(argc, argv); }
