// Proofs of whole passes: time of each stage, memory, sizes and the verifier, for random models of
// known shapes (SPEC chapter 18). Weights and prompt are random; the answer is what the model says.
//
//   prove_bench [15m|15m-chat|124m|124m-chat|8b-layer ...] [--threads N]
//
// One run each, not google-benchmark: a run takes seconds, and its peak of memory is part of the
// result.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <random>
#include <string>
#include <thread>

#include "engine/generate.h"
#include "engine/pool.h"
#include "machine/model.h"
#include "prover/memory.h"
#include "prover/prove.h"
#include "trace/noise.h"
#include "zk/lookup_tables.h"
#include "zk/verify.h"

namespace otr {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// Processor time of the process so far.
double cpu_ms() { return static_cast<double>(std::clock()) * 1e3 / CLOCKS_PER_SEC; }

double peak_gb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1e6;
}

struct Case {
  const char* name;
  machine::Shape shape;
  std::uint32_t prompt, output;
};

// 15M: 6 layers of 288 with a vocabulary of 32,000; 124M: 12 layers of 768, 50,257 tokens; one
// layer of an 8B model, with a vocabulary too small to matter.
const Case kCases[] = {
    {"15m", {288, 6, 6, 48, 768, 6, 32000, 1024, 0, 16, 13, 1 << 20, 0, false}, 63, 1},
    {"15m-chat", {288, 6, 6, 48, 768, 6, 32000, 1024, 0, 16, 13, 1 << 20, 0, false}, 32, 33},
    {"124m", {768, 12, 12, 64, 3072, 12, 50257, 1024, 0, 16, 13, 1 << 20, 0, false}, 31, 1},
    {"124m-chat", {768, 12, 12, 64, 3072, 12, 50257, 1024, 0, 16, 13, 1 << 20, 0, false}, 16, 17},
    {"8b-layer", {4096, 32, 8, 128, 14336, 1, 256, 8192, 0, 16, 13, 1 << 20, 0, false}, 127, 1},
};

// The numbers of a random model and the views on them.
class RandomModel {
 public:
  explicit RandomModel(const machine::Shape& shape) : random_(1) {
    model_.shape = shape;
    model_.embed = matrix(shape.vocabulary, shape.hidden, 22);
    gain_.assign(shape.hidden, static_cast<std::int32_t>(1.0 * root(shape.hidden) * 65536));
    model_.layers.resize(shape.layers);
    for (machine::Layer& layer : model_.layers) {
      layer.attn_norm = layer.mlp_norm = {gain_, 16};
      layer.wq = matrix(shape.q_width(), shape.hidden, 26);
      layer.wk = matrix(shape.kv_width(), shape.hidden, 26);
      layer.wv = matrix(shape.kv_width(), shape.hidden, 24);
      layer.wo = matrix(shape.hidden, shape.q_width(), 24);
      layer.w_gate = matrix(shape.ffn, shape.hidden, 24);
      layer.w_up = matrix(shape.ffn, shape.hidden, 24);
      layer.w_down = matrix(shape.hidden, shape.ffn, 24);
    }
    model_.final_norm = {gain_, 16};
    model_.head = model_.embed;
    for (std::uint32_t i = 0; i < shape.head_dim / 2; ++i) steps_.push_back(random_() >> (4 + i));
    model_.rope_steps = steps_;
  }
  const machine::Model& view() const { return model_; }

 private:
  static double root(double x) {
    double r = x;
    for (int i = 0; i < 40; ++i) r = (r + x / r) / 2;
    return r;
  }
  machine::Matrix matrix(std::uint32_t rows, std::uint32_t cols, int exponent) {
    auto& weight = weights_.emplace_back(std::size_t{rows} * cols);
    for (std::size_t i = 0; i < weight.size(); i += 8) {
      const std::uint64_t word = random_();
      std::memcpy(weight.data() + i, &word, std::min<std::size_t>(8, weight.size() - i));
    }
    for (std::int8_t& w : weight) w = w == -128 ? std::int8_t{0} : w;
    auto& scale = scales_.emplace_back(rows);
    for (std::uint16_t& m : scale) m = static_cast<std::uint16_t>(2048 + random_() % 2048);
    return {weight, scale, {}, rows, cols, exponent};
  }

  std::mt19937_64 random_;
  std::deque<std::vector<std::int8_t>> weights_;
  std::deque<std::vector<std::uint16_t>> scales_;
  std::vector<std::int32_t> gain_;
  std::vector<std::uint64_t> steps_;
  machine::Model model_;
};

// Time and the processors' time (user and system) of each stage: on a busy machine only the second
// says anything.
struct Stages {
  std::string name;
  Clock::time_point begin = Clock::now();
  double user = 0, system = 0;

  void next(std::string_view stage) {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto ms = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_usec) / 1e3;
    };
    if (!name.empty()) {
      std::printf("  %-16s %9.1f ms, %9.1f user, %9.1f system\n", name.c_str(), ms_since(begin),
                  ms(usage.ru_utime) - user, ms(usage.ru_stime) - system);
    }
    user = ms(usage.ru_utime), system = ms(usage.ru_stime);
    name = stage;
    begin = Clock::now();
  }
};

// What folding all weights once costs: the verifier's part that grows with the model.
double fold_ms(const machine::Model& model, const zk::Circuit& circuit) {
  zk::DimPoints points;
  for (std::size_t d = 0; d < zk::kDimCount; ++d) {
    points[d].assign(static_cast<std::size_t>(zk::bits_of(circuit.sizes[d])), zk::Ext{{3}, {5}});
  }
  const double begin = cpu_ms();
  for (const zk::Column& column : circuit.columns) {
    if (column.kind != zk::ColumnKind::kWeights) continue;
    volatile std::uint64_t sink = zk::evaluate_weights(circuit, model, column, points).c0.v;
    static_cast<void>(sink);
  }
  return cpu_ms() - begin;
}

// Lookups and committed cells of each domain, for one position of one layer (s: of one output).
void print_counts(const zk::Circuit& circuit, const Case& c) {
  for (const zk::Domain& domain : circuit.domains) {
    const double units = domain.name == "s" ? c.output
                                            : static_cast<double>(c.prompt + c.output - 1) *
                                                  static_cast<double>(c.shape.layers);
    const auto per_unit = [&](std::size_t columns) {
      return static_cast<double>(columns * circuit.cells(domain.dims)) / units;
    };
    std::printf("  domain %-9s %9.0f lookups, %9.0f cells\n", domain.name.c_str(),
                per_unit(domain.lookups.size()), per_unit(domain.committed.size()));
  }
}

bool run(const Case& c, unsigned threads) {
  std::printf("%s: d %u, %u layers, %u positions, %u outputs, %u threads\n", c.name, c.shape.hidden,
              c.shape.layers, c.prompt + c.output - 1, c.output, threads);
  const RandomModel random(c.shape);
  const machine::Model& model = random.view();
  std::vector<std::uint32_t> prompt;
  for (std::uint32_t i = 0; i < c.prompt; ++i) prompt.push_back(i * 7919 % c.shape.vocabulary);
  const machine::Sampling greedy;
  engine::Forward forward(model, threads);
  trace::TraceBuilder trace(model.shape, trace::TraceBuilder::Keep::kTops);
  std::uint32_t count = 0;
  const auto output = engine::generate(
      forward, model, {prompt, greedy, trace::noise_block}, trace,
      [&](std::uint32_t) { return ++count == c.output; }, [] { return false; });
  if (!output) {
    std::printf("  the model: %s\n", output.error().message.c_str());
    return false;
  }
  engine::Pool pool(threads);
  const zk::Job job{model, greedy, trace::noise_block, prompt, *output};
  const zk::Statement statement{.n_prompt = c.prompt, .n_out = c.output};
  Stages stages;
  const auto begin = Clock::now();
  stages.next("witness");
  auto witness = prover::make_witness(model, greedy, job.noise, job.prompt, job.output, pool);
  if (!witness) {
    std::printf("  the witness: %s\n", witness.error().message.c_str());
    return false;
  }
  const zk::Circuit circuit = witness->circuit;
  const auto proof = prover::prove_pass(statement, job, std::move(*witness), pool,
                                        {.on_stage = [&](std::string_view stage, int) {
                                          stages.next(stage);
                                          return Status();
                                        }});
  stages.next("");
  const double total = ms_since(begin);
  if (!proof) {
    std::printf("  the proof: %s\n", proof.error().message.c_str());
    return false;
  }
  std::uint64_t lookups = 0, cells = 0;
  for (const zk::Domain& domain : circuit.domains) {
    lookups += domain.lookups.size() * circuit.cells(domain.dims);
    cells += domain.committed.size() * circuit.cells(domain.dims);
  }
  const double verify_begin = cpu_ms();
  const Status verified = zk::verify_pass(statement, job, proof->parts());
  const double verify = cpu_ms() - verify_begin;
  const double fold = fold_ms(model, circuit);
  std::printf(
      "  total            %9.1f ms; %.1f M lookups, %.1f M cells; peak %.2f GB, estimated %.2f GB "
      "and the model\n",
      total, static_cast<double>(lookups) / 1e6, static_cast<double>(cells) / 1e6, peak_gb(),
      static_cast<double>(prover::peak_bytes(circuit)) / 1e9);
  std::printf(
      "  proof            %9.2f MB: %.2f rows, %.2f scalars, %.2f argument\n",
      static_cast<double>(proof->rows.size() + proof->scalars.size() + proof->argument.size()) /
          1e6,
      static_cast<double>(proof->rows.size()) / 1e6,
      static_cast<double>(proof->scalars.size()) / 1e6,
      static_cast<double>(proof->argument.size()) / 1e6);
  print_counts(circuit, c);
  std::printf("  verifier         %9.1f ms of one processor, %.1f of them for the weights: %s\n",
              verify, fold, verified ? "accepted" : verified.error().message.c_str());
  return verified.has_value();
}

}  // namespace
}  // namespace otr

int main(int argc, char** argv) {
  unsigned threads = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--threads" && i + 1 < argc) {
      threads = static_cast<unsigned>(std::max(1, std::atoi(argv[++i])));
    } else {
      names.emplace_back(argv[i]);
    }
  }
  bool ok = true;
  for (const auto& c : otr::kCases) {
    bool wanted = names.empty();
    for (const std::string& name : names) wanted = wanted || name == c.name;
    if (wanted) ok = otr::run(c, threads) && ok;
  }
  return ok ? 0 : 1;
}
