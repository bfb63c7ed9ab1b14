// What a verified answer costs beside a bare one, and how long after its last token it is verified.
//
// Throughput: tokens per second of the bare engine (engine::Scheduler, which always traces) against
// the same jobs through everything: a client, HTTP, a gateway that verifies and countersigns and
// keeps receipts on disk, HTTP, a worker with an attested session (SIMULATED: the hardware's part
// happens before the first answer), a signed claim, and the client's own verification. Pairs one
// after the other, every other one backwards; medians of their ratios. All of them share this
// machine's processors, so client and gateway count against the service.
//
// Provisional finality: from the moment when the worker's engine has chosen the last token (a
// listener inside of the same process) until the client holds a verified receipt. Cold: the first
// answer of a client that has just connected; its session's fetching and appraisal, which come
// before the answer, stand beside it.
//
//   serve_bench [--shapes 15m,135m] [--threads 1] [--tokens 64] [--pairs 5]
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/hex.h"
#include "convert/random_model.h"
#include "engine/scheduler.h"
#include "env/clock.h"
#include "node/inference.h"
#include "node/sessions.h"
#include "node/simulated_tee.h"
#include "service/answer.h"
#include "service/gateway.h"
#include "service/http_upstream.h"
#include "service/worker_server.h"
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

// Two answers for each stream and 16 at least, from half as long to full, so that they end one
// after another.
std::vector<Ask> make_asks(const model::Artifact& artifact, std::size_t streams,
                           std::uint32_t tokens, std::uint64_t& counter) {
  const machine::Model& model = artifact.view();
  const crypto::PrivateKey client = key_of(7);
  std::mt19937_64 random(counter);
  std::vector<Ask> asks(std::max<std::size_t>(16, 2 * streams));
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

// Worker, gateway and client, each behind its own socket.
class Service {
 public:
  Service(std::shared_ptr<model::Artifact> artifact, const engine::PackedModel& packed,
          unsigned threads, std::size_t streams)
      : artifact_(std::move(artifact)) {
    char name[] = "/tmp/otr-serve-bench-XXXXXX";
    OTR_CHECK(mkdtemp(name) != nullptr);
    folder_ = name;
    const auto home = node::Home::open(folder_ / "operator");
    OTR_CHECK(home.has_value());
    const node::Measurement measurement{};  // of nothing: a simulated TEE measures what it is told
    auto tee = node::SimulatedTee::open({.folder = folder_, .measurement = measurement});
    OTR_CHECK(tee.has_value());
    const auto policy = attest::parse_policy(
        "name = \"bench\"\n[simulated]\nroots = [\"" + to_hex((*tee)->root_hash()) +
        "\"]\nmeasurement = [\"" + to_hex(measurement) + "\"]\n");
    OTR_CHECK(policy.has_value());
    policy_ = *policy;
    tee_ = *std::move(tee);
    auto sessions = node::Sessions::start(
        *tee_, nullptr,
        {.operator_address = home->key("operator")->address(), .model_root = artifact_->root()});
    OTR_CHECK(sessions.has_value());
    sessions_ = *std::move(sessions);
    auto inference =
        node::InferenceService::start(*artifact_, packed,
                                      {.threads = threads,
                                       .scheduler = options_for(artifact_->view().shape, streams),
                                       .max_waiting = 1000});
    OTR_CHECK(inference.has_value());
    inference_ = *std::move(inference);
    auto worker = service::WorkerServer::start({}, *sessions_, *inference_);
    OTR_CHECK(worker.has_value());
    worker_ = *std::move(worker);
    service::ServedModel model{.names = {"bench"}, .artifact = artifact_};  // no text is asked for
    auto gateway = service::Gateway::start(
        *home, {std::move(model)}, {.worker_urls = {url_of(worker_->port())}, .policy = policy_});
    OTR_CHECK(gateway.has_value());
    gateway_ = *std::move(gateway);
    OTR_CHECK(gateway_->workers().workers().front()->refresh().has_value());
    connect();
  }
  ~Service() {
    upstream_.reset();
    client_.reset();
    gateway_->stop(0);
    worker_->stop(0);
    inference_->stop(false);
    gateway_.reset();
    worker_.reset();
    std::filesystem::remove_all(folder_);
  }

  // As a client that has just come; the milliseconds until it has a session it accepts.
  double connect() {
    const std::int64_t begin_ns = env::monotonic_ns();
    upstream_.reset();
    auto client = net::Client::create();
    OTR_CHECK(client.has_value());
    client_ = *std::move(client);
    upstream_ = service::HttpUpstream::start(*client_,
                                             {.url = url_of(gateway_->port()), .policy = policy_});
    OTR_CHECK(upstream_->refresh().has_value());
    return static_cast<double>(env::monotonic_ns() - begin_ns) / 1e6;
  }

  // Milliseconds from last token to verified receipt are added to `finality_ms`.
  Measured run(const std::vector<Ask>& asks, std::vector<double>& finality_ms) {
    const auto session = upstream_->session(artifact_->root());
    OTR_CHECK(session.has_value());
    const Meter meter;
    Inbox inbox;
    std::vector<std::atomic<std::int64_t>> last_token_ns(asks.size());
    std::vector<std::vector<std::uint32_t>> output(asks.size());
    std::vector<std::shared_ptr<service::UpstreamCall>> calls;
    for (std::size_t i = 0; i < asks.size(); ++i) {
      listen(asks[i], last_token_ns[i]);
      calls.push_back(upstream_->submit(
          {.session = (*session)->id, .request = asks[i].request, .prompt_ids = asks[i].prompt},
          *session,
          {.on_token =
               [&ids = output[i]](const protocol::TokenMessage& token) { ids.push_back(token.id); },
           .on_done =
               [&inbox, i](auto ended) {
                 OTR_CHECK(ended.has_value());
                 inbox.push(i, *std::move(ended));
               }}));
    }
    std::size_t tokens = 0;
    for (std::size_t left = asks.size(); left > 0; --left) {
      const auto [i, ended] = inbox.pop();
      const auto answer =
          service::verify_answer(asks[i].request, asks[i].prompt, output[i], ended, **session,
                                 artifact_->view(), artifact_->root(), env::unix_seconds());
      OTR_CHECK(answer.has_value());
      finality_ms.push_back(static_cast<double>(env::monotonic_ns() - last_token_ns[i]) / 1e6);
      tokens += output[i].size();
    }
    return meter.of(tokens);
  }

 private:
  // Answers that have ended, in the order in which the client takes them.
  class Inbox {
   public:
    void push(std::size_t i, service::EndedAnswer ended) {
      const std::lock_guard lock(mutex_);
      ended_.emplace_back(i, std::move(ended));
      changed_.notify_one();
    }
    std::pair<std::size_t, service::EndedAnswer> pop() {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return !ended_.empty(); });
      auto first = std::move(ended_.front());
      ended_.pop_front();
      return first;
    }

   private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::pair<std::size_t, service::EndedAnswer>> ended_;
  };

  static std::string url_of(std::uint16_t port) {
    return "http://127.0.0.1:" + std::to_string(port);
  }

  // The submission that comes over HTTP joins this job of the same request, so both see each token
  // at the same time.
  void listen(const Ask& ask, std::atomic<std::int64_t>& last_token_ns) {
    const auto id = inference_->submit(
        {.signer = sessions_->live().front()->signer(),
         .request = ask.request,
         .prompt_ids = ask.prompt,
         .on_token = [&](const node::TokenInfo&) { last_token_ns = env::monotonic_ns(); },
         .on_done = [](Result<node::Finished> finished) { OTR_CHECK(finished.has_value()); }});
    OTR_CHECK(id.has_value());
  }

  std::shared_ptr<model::Artifact> artifact_;
  std::filesystem::path folder_;
  attest::Policy policy_;
  std::unique_ptr<node::SimulatedTee> tee_;
  std::unique_ptr<node::Sessions> sessions_;
  std::unique_ptr<node::InferenceService> inference_;
  std::unique_ptr<service::WorkerServer> worker_;
  std::unique_ptr<service::Gateway> gateway_;
  std::unique_ptr<net::Client> client_;
  std::unique_ptr<service::HttpUpstream> upstream_;
};

struct Median {
  double median = 0, low = 0, high = 0;
};

Median median_of(std::vector<double> values) {
  std::ranges::sort(values);
  return {values[values.size() / 2], values.front(), values.back()};
}

void print_times(const char* what, std::vector<double> ms) {
  std::ranges::sort(ms);
  const auto at = [&](std::size_t percent) { return ms[(ms.size() - 1) * percent / 100]; };
  std::printf("      %s: p50 %.2f ms, p95 %.2f, p99 %.2f, most %.2f (%zu)\n", what, at(50), at(95),
              at(99), ms.back(), ms.size());
}

// What stands in every finality above: the gateway's receipt on this disk.
void measure_disk() {
  char name[] = "/tmp/otr-serve-bench-XXXXXX";
  const int file = mkstemp(name);
  OTR_CHECK(file >= 0);
  const Bytes block(4096, 1);
  std::vector<double> ms;
  for (int i = 0; i < 200; ++i) {
    const std::int64_t begin_ns = env::monotonic_ns();
    OTR_CHECK(write(file, block.data(), block.size()) == static_cast<ssize_t>(block.size()));
    OTR_CHECK(fdatasync(file) == 0);
    ms.push_back(static_cast<double>(env::monotonic_ns() - begin_ns) / 1e6);
  }
  close(file);
  unlink(name);
  print_times("one block appended and synced to this disk", ms);
}

void measure(const Flags& flags, const std::shared_ptr<model::Artifact>& artifact,
             const engine::PackedModel& packed, const std::string& shape, std::size_t streams) {
  engine::Forward forward(packed, flags.threads);
  Service service(artifact, packed, flags.threads, streams);
  std::uint64_t counter = 0;
  std::vector<double> bare, attested, ratio, cpu, warm_ms, cold_ms, connect_ms;
  for (int pair = -1; pair < flags.pairs; ++pair) {  // the first one warms up
    const std::vector<Ask> asks = make_asks(*artifact, streams, flags.tokens, counter);
    Measured sides[2];
    std::vector<double> finality_ms;
    for (const int turn : {0, 1}) {
      const int side = pair % 2 == 0 ? turn : 1 - turn;
      sides[side] = side == 0 ? run_bare(forward, asks, streams) : service.run(asks, finality_ms);
    }
    if (pair < 0) continue;
    warm_ms.insert(warm_ms.end(), finality_ms.begin(), finality_ms.end());
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
  for (int i = 0; i < 20; ++i) {
    connect_ms.push_back(service.connect());
    std::vector<Ask> one = make_asks(*artifact, 1, 8, counter);
    one.resize(1);
    service.run(one, cold_ms);
  }
  print_times("last token to verified receipt, warm", warm_ms);
  print_times("the same, first answer of a new client, alone", cold_ms);
  print_times("connecting: session fetched and appraised", connect_ms);
  std::fflush(stdout);
}

int run(const Flags& flags) {
  measure_disk();
  for (const std::string& shape : flags.shapes) {
    auto bytes = convert::random_model({.shape = shape}, [] { return false; });
    if (!bytes) {
      std::fprintf(stderr, "%s\n", bytes.error().message.c_str());
      return 2;
    }
    auto parsed = model::parse_artifact(*std::move(bytes));
    OTR_CHECK(parsed.has_value());
    const auto artifact = std::make_shared<model::Artifact>(*std::move(parsed));
    const engine::PackedModel packed(artifact->view(), engine::best_kernel(), 2);
    for (const std::size_t streams : {1, 8, 32}) measure(flags, artifact, packed, shape, streams);
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
