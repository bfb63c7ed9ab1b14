// How fast the sum of fractions is proved (SPEC PL-4): time per leaf by size and threads.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <vector>

#include "engine/pool.h"
#include "prover/gkr.h"
#include "zk/field.h"

namespace otr {
namespace {

prover::LeafBlock random_block(std::vector<std::uint32_t> dims, std::uint64_t base) {
  prover::LeafBlock block;
  block.dims = std::move(dims);
  block.base = base;
  std::size_t count = 1;
  for (const std::uint32_t n : block.dims) count *= n;
  std::mt19937_64 random(1);
  for (auto* column : {&block.q0, &block.q1}) {
    column->resize(count);
    for (std::uint64_t& x : *column) x = random() % zk::kPrime;
  }
  return block;
}

void prove_gkr(benchmark::State& state, const prover::LeafBlock& block, std::size_t nu) {
  engine::Pool pool(static_cast<unsigned>(state.range(1)));
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<prover::LeafBlock> blocks = {block};
    state.ResumeTiming();
    zk::Transcript transcript(as_bytes("bench"));
    benchmark::DoNotOptimize(prover::prove_gkr(transcript, std::move(blocks), nu, pool, nullptr));
  }
  const double cells =
      static_cast<double>(block.q0.size()) * static_cast<double>(state.iterations());
  state.counters["time_per_leaf"] =
      benchmark::Counter(cells, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void gkr(benchmark::State& state) {
  const auto bits = static_cast<std::size_t>(state.range(0));
  prove_gkr(state, random_block({1U << bits}, 0), bits);
}
BENCHMARK(gkr)->ArgsProduct({{20, 22, 24}, {1, 2}})->UseRealTime()->Unit(benchmark::kMillisecond);

// About 2^22 cells in boxes whose rows are no powers of two; the first argument is the row.
void gkr_ragged(benchmark::State& state) {
  const auto row = static_cast<std::uint32_t>(state.range(0));
  const std::uint32_t rows = (1U << 22) / row;
  const auto nu = static_cast<std::size_t>(zk::bits_of(row) + zk::bits_of(rows));
  prove_gkr(state, random_block({row, rows}, 0), nu);
}
BENCHMARK(gkr_ragged)
    ->ArgsProduct({{3, 5, 7, 11, 33, 288, 11008}, {2}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace otr

BENCHMARK_MAIN();
