// What a committed cell costs: to commit, to open, and to check the opening. items/s are cells/s.
// Arguments: bits of the number of cells, threads, instruction set (0 portable, 1 AVX2, 2 AVX-512).
#include <benchmark/benchmark.h>

#include <memory>
#include <random>
#include <vector>

#include "base/check.h"
#include "prover/commit.h"
#include "prover/open.h"

namespace otr::prover {
namespace {

// Columns of the sizes of a pass: most cells in boxes that are no powers of two, one claim on each
// column and a hundredth of the cells named one by one, at most 200,000.
struct Job {
  std::vector<zk::ColumnShape> shapes;
  std::unique_ptr<zk::Layout> layout;
  std::vector<std::vector<std::uint64_t>> columns;
  std::vector<zk::EvalClaim> evals;
  std::vector<zk::CellClaim> cells;

  explicit Job(int bits) {
    const std::uint64_t cells_wanted = std::uint64_t{1} << bits;
    const auto rows = static_cast<std::uint32_t>(cells_wanted / 16 / 288);
    for (int i = 0; i < 15; ++i) shapes.push_back({{288, rows}});
    const std::uint64_t left = cells_wanted - 15 * 288 * std::uint64_t{rows};
    shapes.push_back({{static_cast<std::uint32_t>(left)}});
    layout = std::make_unique<zk::Layout>(shapes);
    std::mt19937_64 random(1);
    const auto element = [&] { return zk::Ext{{random() % zk::kPrime}, {random() % zk::kPrime}}; };
    for (std::uint32_t c = 0; c < shapes.size(); ++c) {
      auto& column = columns.emplace_back(layout->cells_of(c));
      for (std::uint64_t& x : column) x = random() % zk::kPrime;
      zk::Point point(static_cast<std::size_t>(layout->point_bits(c)));
      for (zk::Ext& x : point) x = element();
      // A value is not looked at by the prover; the check is measured with one that does its work.
      evals.push_back({c, point, value_at(c, point)});
    }
    for (std::uint64_t i = 0; i < std::min<std::uint64_t>(cells_wanted / 100, 200'000); ++i) {
      const auto c = static_cast<std::uint32_t>(random() % columns.size());
      const std::uint64_t cell = random() % columns[c].size();
      cells.push_back({c, cell, zk::ext(zk::Felt{columns[c][cell]})});
    }
  }
  [[nodiscard]] zk::Ext value_at(std::uint32_t c, std::span<const zk::Ext> point) const {
    const std::uint64_t width = shapes[c].dims[0];
    const auto bits = static_cast<std::size_t>(zk::bits_of(width));
    const auto low = zk::eq_table(point.first(bits), width);
    const auto high = zk::eq_table(point.subspan(bits), columns[c].size() / width);
    zk::Ext sum = zk::kZero;
    for (std::size_t h = 0; h < high.size(); ++h) {
      zk::Ext line = zk::kZero;
      for (std::size_t i = 0; i < width; ++i) line += low[i] * zk::Felt{columns[c][h * width + i]};
      sum += line * high[h];
    }
    return sum;
  }
  [[nodiscard]] std::vector<const std::vector<std::uint64_t>*> pointers() const {
    std::vector<const std::vector<std::uint64_t>*> list;
    for (const auto& column : columns) list.push_back(&column);
    return list;
  }
};

const Job& job(int bits) {
  static std::unique_ptr<Job> kept[40];
  if (!kept[bits]) kept[bits] = std::make_unique<Job>(bits);
  return *kept[bits];
}

bool lacks(benchmark::State& state) {
  const bool missing = !supported(static_cast<Isa>(state.range(2)));
  if (missing) state.SkipWithError("this machine lacks the instruction set");
  return missing;
}

void report(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() << state.range(0));
}

void commit(benchmark::State& state) {
  if (lacks(state)) return;
  const Job& work = job(static_cast<int>(state.range(0)));
  engine::Pool pool(static_cast<unsigned>(state.range(1)));
  for (auto _ : state) {
    const Committed committed(*work.layout, work.pointers(), pool,
                              static_cast<Isa>(state.range(2)));
    benchmark::DoNotOptimize(committed.commitment());
  }
  report(state);
}

void open_claims(benchmark::State& state) {
  if (lacks(state)) return;
  const Job& work = job(static_cast<int>(state.range(0)));
  engine::Pool pool(static_cast<unsigned>(state.range(1)));
  const auto isa = static_cast<Isa>(state.range(2));
  const Committed committed(*work.layout, work.pointers(), pool, isa);
  for (auto _ : state) {
    zk::Transcript transcript(as_bytes("bench"));
    benchmark::DoNotOptimize(
        open(transcript, *work.layout, committed, work.evals, work.cells, pool, isa));
  }
  report(state);
}

void check(benchmark::State& state) {
  const Job& work = job(static_cast<int>(state.range(0)));
  engine::Pool pool(2);
  const Committed committed(*work.layout, work.pointers(), pool);
  zk::Transcript transcript(as_bytes("bench"));
  const auto proof = open(transcript, *work.layout, committed, work.evals, work.cells, pool);
  for (auto _ : state) {
    zk::Transcript again(as_bytes("bench"));
    const Status status = zk::check_opening(again, *work.layout, committed.commitment(), work.evals,
                                            work.cells, proof);
    OTR_CHECK(status.has_value());
  }
  report(state);
}

void sizes(benchmark::internal::Benchmark* to) {
  for (const int isa : {2, 1, 0}) {
    for (const int bits : {20, 22, 24}) {
      for (const int threads : {1, 2}) to->Args({bits, threads, isa});
    }
  }
  to->Unit(benchmark::kMillisecond)->UseRealTime()->MeasureProcessCPUTime();
}
BENCHMARK(commit)->Apply(sizes);
BENCHMARK(open_claims)->Apply(sizes);
BENCHMARK(check)->Arg(20)->Arg(22)->Arg(24)->Arg(25)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace otr::prover

BENCHMARK_MAIN();
