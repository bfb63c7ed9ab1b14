#include "apps/bench_runs.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <string>
#include <utility>

#include "apps/bench_ceilings.h"
#include "engine/forward.h"
#include "engine/generate.h"
#include "env/clock.h"
#include "env/signal.h"
#include "trace/noise.h"
#include "trace/trace.h"

namespace otr::apps {
namespace {

using engine::Forward;
using engine::KvCache;
using trace::TraceBuilder;

constexpr std::uint32_t kShortPrompt = 8;
constexpr std::uint32_t kBlock = 8;  // tokens decoded with or without a trace before the other
constexpr std::uint64_t kPairs = 8;  // of such blocks in a repetition
// Weights that the greatest caches of today may hold.
constexpr double kCachedBytes = 512e6;
// A side's turn takes at least so long: a small model runs several times in it.
constexpr double kTurnSeconds = 0.2;

// --- One run -------------------------------------------------------------------------------------

std::vector<std::uint32_t> random_ids(const machine::Shape& shape, std::size_t count,
                                      std::uint64_t seed) {
  std::vector<std::uint32_t> ids(count);
  std::uint64_t state = seed;
  for (std::uint32_t& id : ids) {
    state = state * 6364136223846793005 + 1442695040888963407;
    id = static_cast<std::uint32_t>((state >> 33) % shape.vocabulary);
  }
  return ids;
}

Status check_interrupted() {
  if (env::interrupted()) return fail(ErrorKind::kCancelled, "stopped: nothing was measured");
  return {};
}

Status check_context(const machine::Shape& shape, std::uint64_t positions) {
  if (positions <= shape.context) return {};
  return fail(ErrorKind::kUsage,
              "this takes " + std::to_string(positions) + " positions, and the model has " +
                  std::to_string(shape.context) + ": choose fewer --tokens or --repetitions");
}

class Stopwatch {
 public:
  double seconds() const { return static_cast<double>(env::monotonic_ns() - begin_ns_) / 1e9; }

 private:
  std::int64_t begin_ns_ = env::monotonic_ns();
};

std::uint32_t argmax(std::span<const std::int32_t> logits) {
  return static_cast<std::uint32_t>(std::ranges::max_element(logits) - logits.begin());
}

// Runs tokens in chunks; `after(begin, size)` sees each.
template <class After>
Status run_chunks(Forward& forward, KvCache& cache, std::span<const std::uint32_t> tokens,
                  TraceBuilder* trace, const After& after) {
  for (std::size_t at = 0; at < tokens.size(); at += Forward::kChunk) {
    OTR_TRY(check_interrupted());
    const std::size_t size = std::min<std::size_t>(Forward::kChunk, tokens.size() - at);
    OTR_TRY(forward.run(cache, tokens.subspan(at, size), trace));
    OTR_TRY(after(at, size));
  }
  return {};
}

// The likeliest token after a prompt.
Result<std::uint32_t> prefill(Forward& forward, KvCache& cache,
                              std::span<const std::uint32_t> prompt, TraceBuilder* trace) {
  if (trace != nullptr) {
    for (const std::uint32_t id : prompt) trace->append_token(id);
  }
  std::size_t last = 0;
  OTR_TRY(run_chunks(forward, cache, prompt, trace, [&](std::size_t, std::size_t size) -> Status {
    last = size - 1;
    return {};
  }));
  OTR_TRY_ASSIGN(const auto logits, forward.logits(last));
  return argmax(logits);
}

// A sequence that goes on greedily.
struct Sequence {
  KvCache cache;
  std::optional<TraceBuilder> trace;
  std::uint32_t next = 0;  // the token chosen last

  Sequence(const machine::Shape& shape, bool traced) : cache(shape) {
    if (traced) trace.emplace(shape, TraceBuilder::Keep::kTops);
  }
  TraceBuilder* builder() { return trace ? &*trace : nullptr; }

  Status begin(Forward& forward, std::span<const std::uint32_t> prompt) {
    OTR_TRY_ASSIGN(next, prefill(forward, cache, prompt, builder()));
    return {};
  }
  // The seconds that `count` more tokens take.
  Result<double> go_on(Forward& forward, std::uint32_t count) {
    const Stopwatch watch;
    for (std::uint32_t i = 0; i < count; ++i) {
      OTR_TRY(check_interrupted());
      if (trace) trace->append_token(next);
      OTR_TRY(forward.run(cache, std::span(&next, 1), builder()));
      OTR_TRY_ASSIGN(const auto logits, forward.logits(0));
      next = argmax(logits);
    }
    return watch.seconds();
  }
};

// The seconds of `steps` steps of several sequences together, after short prompts.
Result<double> batch_seconds(Forward& forward, std::size_t count, std::uint32_t steps) {
  std::vector<KvCache> caches;
  std::vector<std::uint32_t> next(count);
  std::vector<std::size_t> rows(count);
  std::iota(rows.begin(), rows.end(), 0);
  for (std::size_t s = 0; s < count; ++s) {
    KvCache& cache = caches.emplace_back(forward.model().shape);
    const auto prompt = random_ids(forward.model().shape, kShortPrompt, s + 1);
    OTR_TRY_ASSIGN(next[s], prefill(forward, cache, prompt, nullptr));
  }
  const Stopwatch watch;
  for (std::uint32_t step = 0; step < steps; ++step) {
    OTR_TRY(check_interrupted());
    std::vector<engine::Segment> segments;
    for (std::size_t s = 0; s < count; ++s) segments.push_back({&caches[s], {&next[s], 1}});
    for (Status& status : forward.run(segments)) OTR_TRY(std::move(status));
    const auto logits = forward.logits(rows);
    for (std::size_t s = 0; s < count; ++s) {
      if (!logits[s]) return std::unexpected(logits[s].error());
      next[s] = argmax(*logits[s]);
    }
  }
  return watch.seconds();
}

// The seconds of a prompt followed by a claimed output, checked as a checker does it.
Result<double> recompute_seconds(Forward& forward, std::span<const std::uint32_t> tokens,
                                 std::size_t prompt) {
  const machine::Model& model = forward.model();
  const Stopwatch watch;
  TraceBuilder trace(model.shape, TraceBuilder::Keep::kTops);
  const engine::Job job{tokens.first(prompt), {}, trace::noise_block};
  OTR_TRY(engine::recompute(forward, model, job, tokens.subspan(prompt), trace, env::interrupted));
  return watch.seconds();
}

// The same rows and the same logits without any checker: a prefill and the head.
Result<double> prefill_and_head_seconds(Forward& forward, std::span<const std::uint32_t> tokens,
                                        std::size_t prompt, bool traced) {
  const Stopwatch watch;
  Sequence sequence(forward.model().shape, traced);
  if (traced) {
    for (const std::uint32_t id : tokens) sequence.trace->append_token(id);
  }
  const auto head = [&](std::size_t begin, std::size_t size) -> Status {
    for (std::size_t at = std::max(begin, prompt - 1); at < begin + size;) {
      std::vector<std::size_t> rows(
          std::min<std::size_t>(Forward::kMaxLogitRows, begin + size - at));
      std::iota(rows.begin(), rows.end(), at - begin);
      for (const auto& logits : forward.logits(rows)) {
        if (!logits) return std::unexpected(logits.error());
        sequence.next = argmax(*logits);
      }
      at += rows.size();
    }
    return {};
  };
  OTR_TRY(run_chunks(forward, sequence.cache, tokens.first(tokens.size() - 1), sequence.builder(),
                     head));
  return watch.seconds();
}

// --- What a run costs at least -------------------------------------------------------------------

// Packed bytes of the layers and the head, which a pass reads once.
double weight_bytes(const engine::PackedModel& packed) {
  std::size_t bytes = packed.head().size_bytes();
  for (std::size_t l = 0; l < packed.model().layers.size(); ++l) {
    const engine::PackedModel::Layer& layer = packed.layer(l);
    for (const auto* m :
         {&layer.wq, &layer.wk, &layer.wv, &layer.wo, &layer.w_gate, &layer.w_up, &layer.w_down}) {
      bytes += m->size_bytes();
    }
  }
  return static_cast<double>(bytes);
}

double kv_bytes(const machine::Shape& shape, std::uint64_t positions) {
  const std::uint64_t pages = (positions + engine::kTilePositions - 1) / engine::kTilePositions;
  return static_cast<double>(pages * engine::KvPage::size_bytes(shape));
}

// Multiplications with additions, by the bits of the input.
struct Work {
  double bits8 = 0, bits16 = 0;

  void add(const machine::Matrix& matrix, std::int32_t bound, double rows) {
    (bound <= 127 ? bits8 : bits16) += rows * matrix.rows * matrix.cols;
  }
  double products() const { return bits8 + bits16; }
  double byte_products() const { return bits8 + 2 * bits16; }
};

// Of the positions [first, first + count) of one sequence; `head_rows` of them give logits.
Work work_of(const machine::Model& model, std::uint32_t first, std::uint32_t count,
             double head_rows) {
  Work work;
  double attended = 0;
  for (std::uint32_t t = first; t < first + count; ++t) {
    attended += t + 1 - machine::first_attended(t, model.shape.window);
  }
  for (const machine::Layer& l : model.layers) {
    for (const machine::Matrix* m : {&l.wq, &l.wk, &l.wv}) work.add(*m, l.bounds.attn, count);
    work.add(l.wo, l.bounds.o, count);
    for (const machine::Matrix* m : {&l.w_gate, &l.w_up}) work.add(*m, l.bounds.mlp, count);
    work.add(l.w_down, l.bounds.down, count);
    work.bits16 += 2 * attended * model.shape.q_width();  // scores and values
  }
  work.add(model.head, model.head_bound, head_rows);
  return work;
}

// --- Sides in turn -------------------------------------------------------------------------------

using Measure = std::function<Result<double>()>;

// Runs `seconds_of_run` for a turn and measures `tokens` of each run a second.
Measure rate_of(double tokens, Measure seconds_of_run) {
  return [=]() -> Result<double> {
    double runs = 0, seconds = 0;
    do {
      OTR_TRY_ASSIGN(const double more, seconds_of_run());
      seconds += more;
      ++runs;
    } while (seconds < kTurnSeconds);
    return tokens * runs / seconds;
  };
}

// What each side measured in each round: [side][round].
Result<std::vector<std::vector<double>>> in_turn(const std::vector<Measure>& sides,
                                                 std::uint64_t rounds) {
  std::vector<std::vector<double>> values(sides.size());
  for (std::uint64_t round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < sides.size(); ++i) {
      OTR_TRY(check_interrupted());
      const std::size_t side = round % 2 == 0 ? i : sides.size() - 1 - i;
      OTR_TRY_ASSIGN(const double value, sides[side]());
      values[side].push_back(value);
    }
  }
  return values;
}

// A side that ours is held against: what it measures, and what one of ours is in its unit.
struct Other {
  std::string name, unit;
  double factor = 1;
  Measure measure;
};

Status compare(Figure& figure, const Measure& ours, const std::vector<Other>& others,
               unsigned rounds) {
  std::vector<Measure> sides = {ours};
  for (const Other& other : others) sides.push_back(other.measure);
  OTR_TRY_ASSIGN(const auto values, in_turn(sides, rounds));
  figure.value = spread(values[0]);
  for (std::size_t i = 0; i < others.size(); ++i) {
    Spread ratio = quotients(values[0], values[i + 1]);
    for (double* part : {&ratio.median, &ratio.low, &ratio.high}) *part *= others[i].factor;
    figure.rivals.push_back({others[i].name, others[i].unit, spread(values[i + 1]), ratio});
  }
  return {};
}

// The first run is not counted; while nothing else is in memory, it shows how much a run needs.
Status warm_up(const BenchSubject& subject, double kv, const Measure& ours, Figure& figure) {
  reset_peak_memory();
  OTR_TRY(ours());
  if (const auto peak = peak_memory()) figure.memory = {*peak, subject.file_bytes + kv};
  return {};
}

Other peer_side(const Peer& peer, unsigned threads, std::uint32_t prompt, std::uint32_t output) {
  return {"the peer", "tokens/s", 1,
          [=, &peer] { return run_peer(peer, threads, prompt, output); }};
}

// The cost in percent of the time of `with` over that of `without`, both in tokens a second.
Result<Figure> cost(std::string name, unsigned threads, const Measure& with, const Measure& without,
                    std::uint64_t rounds) {
  OTR_TRY_ASSIGN(const auto rates, in_turn({with, without}, rounds));
  Figure figure{std::move(name), threads, "% of time", quotients(rates[1], rates[0])};
  figure.rivals.push_back(
      {"the run without", "tokens/s", spread(rates[1]), quotients(rates[0], rates[1])});
  for (double* part : {&figure.value.median, &figure.value.low, &figure.value.high}) {
    *part = 100 * (*part - 1);
  }
  figure.parameters = {{"pairs", rounds}};
  return figure;
}

}  // namespace

Result<std::vector<Figure>> bench_decode(const BenchSubject& subject, unsigned threads,
                                         const BenchOptions& options) {
  const machine::Shape& shape = subject.packed.model().shape;
  const std::uint64_t positions = std::uint64_t{kShortPrompt} + options.tokens;
  OTR_TRY(check_context(shape, positions));
  Forward forward(subject.packed, threads);
  const auto prompt = random_ids(shape, kShortPrompt, 1);
  const Measure ours = [&]() -> Result<double> {
    Sequence sequence(shape, false);
    OTR_TRY(sequence.begin(forward, prompt));
    return sequence.go_on(forward, options.tokens);
  };
  const double bytes = weight_bytes(subject.packed);
  Figure figure{"decode", threads, "tokens/s"};
  figure.parameters = {{"tokens", options.tokens}, {"weight_bytes_per_token", bytes}};
  figure.notes = {"a token reads " + std::to_string(static_cast<std::uint64_t>(bytes / 1e6)) +
                  " MB of weights (K and V not counted)"};
  if (bytes < kCachedBytes) {
    figure.notes.push_back("which may lie in a cache, so that memory is no bound");
  }
  OTR_TRY(warm_up(subject, kv_bytes(shape, positions), ours, figure));
  std::vector<Other> others;
  if (options.peer) others.push_back(peer_side(*options.peer, threads, 0, options.tokens));
  std::optional<ReadCeiling> read;  // made when its first turn comes
  others.push_back({"reading memory", "GB/s", bytes / 1e9, [&] {
                      if (!read) read.emplace(threads);
                      return read->measure(kTurnSeconds) / 1e9;
                    }});
  OTR_TRY(compare(figure, rate_of(options.tokens, ours), others, options.repetitions));
  return std::vector{figure};
}

Result<std::vector<Figure>> bench_prefill(const BenchSubject& subject, unsigned threads,
                                          const BenchOptions& options) {
  const machine::Model& model = subject.packed.model();
  OTR_TRY(check_context(model.shape, options.tokens));
  Forward forward(subject.packed, threads);
  const auto prompt = random_ids(model.shape, options.tokens, 1);
  const Measure ours = [&]() -> Result<double> {
    const Stopwatch watch;
    KvCache cache(model.shape);
    OTR_TRY(prefill(forward, cache, prompt, nullptr));
    return watch.seconds();
  };
  const Work work = work_of(model, 0, options.tokens, 1);
  Figure figure{"prefill", threads, "tokens/s"};
  figure.parameters = {{"tokens", options.tokens},
                       {"products", work.products()},
                       {"byte_products", work.byte_products()}};
  OTR_TRY(warm_up(subject, kv_bytes(model.shape, options.tokens), ours, figure));
  ProductCeiling products(threads);
  std::vector<Other> others;
  if (options.peer) others.push_back(peer_side(*options.peer, threads, options.tokens, 0));
  if (has_byte_products()) {
    const double share = work.products() / work.byte_products();
    others.push_back(
        {"what byte planes allow", "GOPS", 2 * work.products() / options.tokens / 1e9,
         [&products, share] { return share * 2 * products.measure(kTurnSeconds) / 1e9; }});
  } else {
    figure.notes.emplace_back("no ceiling is known for this processor's kernel");
  }
  OTR_TRY(compare(figure, rate_of(options.tokens, ours), others, options.repetitions));
  return std::vector{figure};
}

Result<std::vector<Figure>> bench_batch(const BenchSubject& subject, unsigned threads,
                                        const BenchOptions& options) {
  const machine::Model& model = subject.packed.model();
  const std::uint64_t positions = std::uint64_t{kShortPrompt} + options.tokens;
  OTR_TRY(check_context(model.shape, positions));
  Forward forward(subject.packed, threads);
  const double bytes = weight_bytes(subject.packed);
  const Work work = work_of(model, kShortPrompt, options.tokens, options.tokens);
  const double byte_products = work.byte_products() / options.tokens;  // of a token
  std::vector<Figure> figures;
  for (const std::size_t count : {1, 8, 32}) {
    const auto sequences = static_cast<double>(count);
    const Measure ours = [&] { return batch_seconds(forward, count, options.tokens); };
    Figure figure{"batch of " + std::to_string(count), threads, "tokens/s"};
    figure.parameters = {{"sequences", count}, {"steps", options.tokens}};
    OTR_TRY(warm_up(subject, sequences * kv_bytes(model.shape, positions), ours, figure));
    ReadCeiling read(threads);
    ProductCeiling products(threads);
    // A step reads the weights once and multiplies for each sequence; the slower bounds it.
    const Measure by_memory = [&] { return sequences * read.measure(kTurnSeconds) / bytes; };
    const Measure by_products = [&] { return products.measure(kTurnSeconds) / byte_products; };
    const bool memory_bounds = !has_byte_products() || *by_memory() < *by_products();
    const Other ceiling{memory_bounds ? "what memory allows" : "what byte planes allow", "tokens/s",
                        1, memory_bounds ? by_memory : by_products};
    OTR_TRY(
        compare(figure, rate_of(sequences * options.tokens, ours), {ceiling}, options.repetitions));
    figures.push_back(std::move(figure));
  }
  return figures;
}

Result<std::vector<Figure>> bench_trace(const BenchSubject& subject, unsigned threads,
                                        const BenchOptions& options) {
  const machine::Shape& shape = subject.packed.model().shape;
  const std::uint64_t pairs = options.repetitions * kPairs;
  const std::uint64_t decoded = kShortPrompt + (pairs + 1) * kBlock;
  OTR_TRY(check_context(shape, std::max<std::uint64_t>(options.tokens, decoded)));
  Forward forward(subject.packed, threads);
  const auto prompt = random_ids(shape, options.tokens, 1);
  const auto prefill_of = [&](bool traced) {
    return rate_of(options.tokens, [&, traced]() -> Result<double> {
      const Stopwatch watch;
      Sequence sequence(shape, traced);
      OTR_TRY(sequence.begin(forward, prompt));
      return watch.seconds();
    });
  };
  OTR_TRY(prefill_of(true)());
  OTR_TRY_ASSIGN(Figure long_prompt, cost("trace of prefill", threads, prefill_of(true),
                                          prefill_of(false), options.repetitions));
  Sequence with(shape, true), without(shape, false);
  for (Sequence* sequence : {&with, &without}) {
    OTR_TRY(sequence->begin(forward, random_ids(shape, kShortPrompt, 1)));
    OTR_TRY(sequence->go_on(forward, kBlock));
  }
  const auto decode_of = [&](Sequence& sequence) -> Measure {
    return [&]() -> Result<double> {
      OTR_TRY_ASSIGN(const double seconds, sequence.go_on(forward, kBlock));
      return kBlock / seconds;
    };
  };
  OTR_TRY_ASSIGN(Figure decode,
                 cost("trace of decode", threads, decode_of(with), decode_of(without), pairs));
  return std::vector{std::move(long_prompt), std::move(decode)};
}

Result<std::vector<Figure>> bench_recompute(const BenchSubject& subject, unsigned threads,
                                            const BenchOptions& options) {
  const machine::Shape& shape = subject.packed.model().shape;
  OTR_TRY(check_context(shape, std::uint64_t{options.tokens} + 1));
  Forward forward(subject.packed, threads);
  // The last token has no rows, so there is one more of them.
  const auto tokens = random_ids(shape, std::size_t{options.tokens} + 1, 1);
  const std::size_t prompt = (options.tokens + 1) / 2;
  const Measure ours = [&] { return recompute_seconds(forward, tokens, prompt); };
  const auto plain = [&](bool traced) {
    return rate_of(options.tokens, [&, traced] {
      return prefill_and_head_seconds(forward, tokens, prompt, traced);
    });
  };
  Figure figure{"recompute", threads, "tokens/s"};
  figure.parameters = {{"tokens", options.tokens}, {"logits", tokens.size() - prompt}};
  OTR_TRY(warm_up(subject, kv_bytes(shape, options.tokens), ours, figure));
  OTR_TRY(compare(figure, rate_of(options.tokens, ours),
                  {{"a prefill with head and trace", "tokens/s", 1, plain(true)},
                   {"one without trace", "tokens/s", 1, plain(false)}},
                  options.repetitions));
  return std::vector{figure};
}

}  // namespace otr::apps
