// How fast the engine runs, what the trace costs it, and how fast the hash under both is.
//
// Models: a random one of a fixed shape, so that numbers can be compared over time, and the demo
// model where models/demo.safetensors exists. The head of the output names the machine and commit.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "crypto/sha256.h"
#include "engine/forward.h"
#include "env/file.h"
#include "merkle/tree.h"
#include "model/artifact.h"
#include "trace/trace.h"

namespace otr {
namespace {

using engine::Forward;
using engine::KvCache;

constexpr std::uint32_t kPrompt = 128;
constexpr std::uint32_t kOutput = 16;

// --- A random model ------------------------------------------------------------------------------

template <class T>
void append_many(Bytes& to, std::uint64_t size_bytes, const auto& next) {
  for (std::uint64_t at = 0; at < size_bytes; at += sizeof(T))
    append_le(to, static_cast<T>(next()));
}

void append_tensor(Bytes& to, const model::TensorSpec& spec, std::mt19937& random) {
  const std::string& name = spec.name;
  if (name.ends_with(".weight")) {
    append_many<std::int8_t>(to, spec.size_bytes, [&] { return int(random() % 255) - 127; });
  } else if (name.ends_with(".scale")) {
    append_many<std::uint16_t>(to, spec.size_bytes, [&] { return 2048 + random() % 2048; });
  } else if (name.ends_with(".gain")) {
    append_many<std::int32_t>(to, spec.size_bytes, [&] { return 22 << 16; });  // about √512
  } else if (name == "rope.steps") {
    append_many<std::uint64_t>(to, spec.size_bytes, [&] { return std::uint64_t{random()} << 28; });
  } else {  // the table of tokens: the last has one byte, all others none
    to.resize(to.size() + spec.size_bytes);
    if (name == "tokens.offsets") store_le(to.data() + to.size() - 4, std::uint32_t{1});
  }
}

// 28 million weights with numbers of the size a trained model has.
model::Artifact random_model() {
  model::ArtifactContents contents;
  model::Config& config = contents.config;
  config.shape = {.hidden = 512,
                  .heads = 8,
                  .kv_heads = 4,
                  .head_dim = 64,
                  .ffn = 1376,
                  .layers = 8,
                  .vocabulary = 8192,
                  .context = 1024,
                  .residual_frac_bits = 16,
                  .qk_frac_bits = 13,
                  .eps = 1 << 20};
  const std::vector<int> bits(config.shape.layers, 16);
  config.act_bits = {.attn = bits, .o = bits, .mlp = bits, .down = bits, .head = 16};
  for (const std::string& name : model::exponent_names(config)) {
    config.exponents[name] = name.ends_with("norm") ? 16 : 22;
  }
  contents.tokenizer = contents.chat_template = "{}";
  contents.token_bytes = 1;
  std::mt19937 random(1);
  for (const model::TensorSpec& spec : model::tensor_layout(config, contents.token_bytes)) {
    if (spec.name != "numbers") append_tensor(contents.data, spec, random);
  }
  auto file = model::encode_artifact(std::move(contents));
  OTR_CHECK(file.has_value());
  auto artifact = model::parse_artifact(*std::move(file));
  if (!artifact) std::cerr << artifact.error().message << '\n';
  OTR_CHECK(artifact.has_value());
  return *std::move(artifact);
}

// --- What is measured ----------------------------------------------------------------------------

std::vector<std::uint32_t> prompt_of(const machine::Model& model) {
  std::mt19937 random(2);
  std::vector<std::uint32_t> ids(std::min(kPrompt, model.shape.context / 2));
  for (std::uint32_t& id : ids) id = static_cast<std::uint32_t>(random() % model.shape.vocabulary);
  return ids;
}

// The positions of the prompt in chunks; false where the arithmetic left its range.
bool prefill(Forward& forward, KvCache& cache, std::span<const std::uint32_t> prompt,
             trace::TraceBuilder* trace) {
  for (std::size_t at = 0; at < prompt.size(); at += Forward::kChunk) {
    const auto chunk =
        prompt.subspan(at, std::min<std::size_t>(Forward::kChunk, prompt.size() - at));
    if (!forward.run(cache, chunk, trace)) return false;
  }
  return true;
}

// Greedy tokens one after another, logits included.
bool decode(Forward& forward, KvCache& cache, std::uint32_t id, trace::TraceBuilder* trace) {
  for (std::uint32_t i = 0; i < kOutput; ++i) {
    if (!forward.run(cache, std::span(&id, 1), trace)) return false;
    const auto logits = forward.logits(0);
    if (!logits) return false;
    id = static_cast<std::uint32_t>(std::ranges::max_element(*logits) - logits->begin());
  }
  return true;
}

void count_tokens(benchmark::State& state, std::size_t tokens) {
  state.counters["tokens/s"] =
      benchmark::Counter(static_cast<double>(tokens) * static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate);
}

void run_prefill(benchmark::State& state, const machine::Model& model, unsigned threads) {
  Forward forward(model, threads);
  const auto prompt = prompt_of(model);
  for (auto _ : state) {
    KvCache cache(model.shape);
    if (!prefill(forward, cache, prompt, nullptr)) return state.SkipWithError("OUT_OF_RANGE");
  }
  count_tokens(state, prompt.size());
}

void run_decode(benchmark::State& state, const machine::Model& model, unsigned threads) {
  Forward forward(model, threads);
  KvCache filled(model.shape);
  if (!prefill(forward, filled, prompt_of(model), nullptr)) {
    return state.SkipWithError("OUT_OF_RANGE");
  }
  for (auto _ : state) {
    state.PauseTiming();
    KvCache cache = filled;
    state.ResumeTiming();
    if (!decode(forward, cache, 0, nullptr)) return state.SkipWithError("OUT_OF_RANGE");
  }
  count_tokens(state, kOutput);
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

// The same prompt and answer without and with a trace, in turn and in changing order, so that a
// machine that slows down hits both; the cost is the median of the pairs' quotients.
void run_trace_cost(benchmark::State& state, const machine::Model& model, unsigned threads) {
  Forward forward(model, threads);
  const auto prompt = prompt_of(model);
  bool in_range = true;
  const auto seconds = [&](bool traced) {
    const auto begin = std::chrono::steady_clock::now();
    KvCache cache(model.shape);
    trace::TraceBuilder trace(model.shape, trace::TraceBuilder::Keep::kTops);
    trace::TraceBuilder* const target = traced ? &trace : nullptr;
    in_range =
        in_range && prefill(forward, cache, prompt, target) && decode(forward, cache, 0, target);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  std::vector<double> off, on, quotient;
  for (auto _ : state) {
    const bool traced_first = off.size() % 2 == 1;
    const double first = seconds(traced_first);
    const double second = seconds(!traced_first);
    off.push_back(traced_first ? second : first);
    on.push_back(traced_first ? first : second);
    quotient.push_back(on.back() / off.back());
    state.SetIterationTime(on.back());
  }
  if (!in_range) return state.SkipWithError("OUT_OF_RANGE");
  state.counters["off_ms"] = 1e3 * median(off);
  state.counters["on_ms"] = 1e3 * median(on);
  state.counters["cost_%"] = 100 * (median(quotient) - 1);
}

void run_sha256(benchmark::State& state) {
  const Bytes data(static_cast<std::size_t>(state.range(0)), 7);
  for (auto _ : state) benchmark::DoNotOptimize(crypto::sha256(data));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void run_leaf(benchmark::State& state) {
  const Bytes tile(static_cast<std::size_t>(state.range(0)), 7);
  for (auto _ : state) benchmark::DoNotOptimize(merkle::leaf(tile));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

// --- Which models, and the head of the output ----------------------------------------------------

void register_model(const std::string& name, const machine::Model& model) {
  std::vector<unsigned> thread_counts = {1};
  if (std::thread::hardware_concurrency() > 1) {
    thread_counts.push_back(std::thread::hardware_concurrency());
  }
  for (const unsigned threads : thread_counts) {
    const std::string suffix = "/" + name + "/threads:" + std::to_string(threads);
    const auto add = [&](const char* what, auto* body) {
      return benchmark::RegisterBenchmark(
                 (what + suffix).c_str(),
                 [&model, threads, body](benchmark::State& state) { body(state, model, threads); })
          ->Unit(benchmark::kMillisecond);
    };
    add("prefill", run_prefill)->UseRealTime();
    add("decode", run_decode)->UseRealTime();
    add("trace_cost", run_trace_cost)->UseManualTime()->Iterations(15);
  }
}

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(": ") + 2);
  }
  return "unknown";
}

std::string commit() {
  std::array<char, 100> text = {};
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(
      popen("git -C '" OTR_SOURCE_DIR "' describe --always --dirty 2>/dev/null", "r"), pclose);
  if (!pipe || std::fgets(text.data(), text.size(), pipe.get()) == nullptr) return "unknown";
  const std::string line = text.data();
  return line.substr(0, line.find('\n'));
}

}  // namespace
}  // namespace otr

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::AddCustomContext("processor", otr::processor());
  benchmark::AddCustomContext("commit", otr::commit());
  const otr::model::Artifact random = otr::random_model();
  otr::register_model("random28M", random.view());
  std::vector<otr::model::Artifact> demo;
  if (auto file = otr::env::read_file(OTR_SOURCE_DIR "/models/demo.safetensors", 1 << 30)) {
    auto artifact = otr::model::parse_artifact(*std::move(file));
    if (!artifact) {
      std::cerr << "models/demo.safetensors: " << artifact.error().message << '\n';
      return 2;
    }
    demo.push_back(*std::move(artifact));
    otr::register_model("demo", demo.front().view());
  }
  benchmark::RegisterBenchmark("sha256", otr::run_sha256)->Arg(72)->Arg(1 << 10)->Arg(1 << 20);
  benchmark::RegisterBenchmark("leaf", otr::run_leaf)->Arg(512)->Arg(2048);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
