// What the sumcheck prover costs per cell of a domain like those of the row checks (SPEC PR-2): 8
// columns on the whole box, 4 that are constant along rows, a linear term in each, two of degree 2,
// one of degree 3, and eq.
//
// Arguments: cells of a row, rows, threads, instruction set (0 portable, 1 AVX2, 2 AVX-512),
// whether the whole columns are over K. The counter per_cell is wall time.
#include <benchmark/benchmark.h>

#include <random>

#include "base/bytes.h"
#include "prover/sumcheck.h"

namespace otr::prover {
namespace {

SumcheckProblem typical(std::uint32_t cells, std::uint32_t rows, bool extension) {
  std::mt19937_64 random(1);
  const auto word = [&] { return random() % zk::kPrime; };
  const auto ext = [&] { return zk::Ext{{word()}, {word()}}; };
  SumcheckProblem problem{.sizes = {cells, rows}, .degree = 4};
  for (const std::uint32_t size : problem.sizes) {
    zk::Point& point = problem.eq.emplace_back().emplace();
    for (int i = 0; i < zk::bits_of(size); ++i) point.push_back(ext());
  }
  for (std::uint32_t i = 0; i < 12; ++i) {
    SumcheckColumn column;
    column.dims = i < 8 ? std::vector<std::uint32_t>{0, 1} : std::vector<std::uint32_t>{1};
    column.c0.resize((i < 8 ? std::size_t{cells} : 1) * rows);
    for (std::uint64_t& x : column.c0) x = word();
    if (extension && i < 8) column.c1 = column.c0;
    problem.columns.push_back(std::move(column));
    problem.terms.push_back({ext(), {i}});
  }
  problem.terms.push_back({ext(), {0, 1}});
  problem.terms.push_back({ext(), {2, 3, 8}});
  problem.terms.push_back({ext(), {4, 5, 6}});
  return problem;
}

void bench_sumcheck(benchmark::State& state) {
  const auto isa = static_cast<Isa>(state.range(3));
  if (!supported(isa)) return state.SkipWithError("this machine lacks the instruction set");
  const auto cells = static_cast<std::uint32_t>(state.range(0));
  const auto rows = static_cast<std::uint32_t>(state.range(1));
  engine::Pool pool(static_cast<unsigned>(state.range(2)));
  for (auto _ : state) {
    state.PauseTiming();
    SumcheckProblem problem = typical(cells, rows, state.range(4) != 0);
    zk::Transcript transcript(as_bytes("bench"));
    state.ResumeTiming();
    benchmark::DoNotOptimize(prove_sumcheck(transcript, std::move(problem), pool, isa));
  }
  state.counters["per_cell"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * cells * rows,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(bench_sumcheck)
    ->ArgNames({"row", "rows", "threads", "isa", "K"})
    ->Args({1024, 2048, 1, 2, 0})
    ->Args({1024, 2048, 2, 2, 0})
    ->Args({32, 65536, 1, 2, 0})
    ->Args({32, 65536, 2, 2, 0})
    ->Args({33, 65536, 1, 2, 0})
    ->Args({33, 65536, 2, 2, 0})
    ->Args({2048, 1024, 2, 2, 1})
    ->Args({1024, 2048, 2, 1, 0})
    ->Args({1024, 2048, 2, 0, 0})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace otr::prover

BENCHMARK_MAIN();
