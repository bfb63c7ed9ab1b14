#include "prover/honest.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "engine/generate.h"
#include "engine/pool.h"
#include "prover/check.h"
#include "prover/contraction_check.h"
#include "prover/pass.h"
#include "prover/prove.h"
#include "trace/noise.h"
#include "trace/trace.h"
#include "zk/verify.h"

namespace otr::prover {
namespace {

using trace::TraceBuilder;

bool never() { return false; }

// Most models are so small that threads would wait for each other most of the time.
engine::Pool& one_thread() {
  static engine::Pool pool(1);
  return pool;
}

// Whether a trace holds the rows of the witness and nothing else.
bool same_rows(const TraceBuilder& trace, const zk::TraceRows& rows) {
  const machine::Shape& shape = trace.shape();
  const auto same = [&](merkle::Kind kind, std::uint32_t l, std::uint32_t g, const auto& values) {
    return std::ranges::equal(trace.rows({kind, l, g}), as_bytes(std::span(values)));
  };
  bool all = true;
  for (std::uint32_t l = 0; l < shape.layers; ++l) {
    all &= same(merkle::Kind::kResidual, l, 0, rows.x[l]);
    for (std::uint32_t g = 0; g < shape.kv_heads; ++g) {
      all &= same(merkle::Kind::kKey, l, g, rows.k[l * shape.kv_heads + g]);
      all &= same(merkle::Kind::kValue, l, g, rows.v[l * shape.kv_heads + g]);
    }
  }
  return all;
}

// The output, nothing for OUT_OF_RANGE. Both ways to it must agree.
std::optional<std::vector<std::uint32_t>> run_engine(const machine::Model& model,
                                                     const engine::Job& job, std::uint32_t outputs,
                                                     TraceBuilder& again) {
  TraceBuilder trace(model.shape, TraceBuilder::Keep::kTops);
  engine::Forward forward(model, 1);
  const auto output = engine::generate(
      forward, model, job, trace,
      [&, n = std::uint32_t{0}](std::uint32_t id) mutable {
        return ++n == outputs || std::ranges::binary_search(model.eos_ids, id);
      },
      never);
  if (!output) {
    EXPECT_EQ(output.error().kind, ErrorKind::kOutOfRange) << output.error().message;
    return std::nullopt;
  }
  const auto recomputed = engine::recompute(forward, model, job, *output, again, never);
  EXPECT_TRUE(recomputed);
  if (recomputed) EXPECT_EQ(recomputed->chosen, *output);
  EXPECT_EQ(trace.token_root(), again.token_root());
  return *output;
}

}  // namespace

std::optional<Honest> Honest::answer(const HandModel& model, std::vector<std::uint32_t> prompt,
                                     std::uint32_t outputs, const machine::Sampling& sampling) {
  Honest it(model.artifact());
  it.prompt = std::move(prompt);
  it.sampling = sampling;
  it.noise = trace::noise_block;
  TraceBuilder trace(it.model().shape, TraceBuilder::Keep::kRows);
  auto output = run_engine(it.model(), {it.prompt, sampling, it.noise}, outputs, trace);
  if (!output) return std::nullopt;
  it.output = *std::move(output);
  auto witness = make_witness(it.model(), sampling, it.noise, it.prompt, it.output, one_thread());
  EXPECT_TRUE(witness) << witness.error().message;
  if (!witness) return std::nullopt;
  it.witness = *std::move(witness);
  EXPECT_TRUE(same_rows(trace, it.witness.rows));
  // The bytes of the scalars hold all that the scalars hold.
  auto scalars = zk::decode_scalars(zk::encode_scalars(it.witness.scalars), it.model().shape,
                                    static_cast<std::uint32_t>(it.prompt.size()),
                                    static_cast<std::uint32_t>(it.output.size()));
  EXPECT_TRUE(scalars) << scalars.error().message;
  if (!scalars) return std::nullopt;
  auto publics = zk::compute_rows(it.job(), it.witness.rows, *scalars);
  EXPECT_TRUE(publics) << publics.error().message;
  auto lines = zk::derive_lines(it.job(), it.witness.rows, *scalars);
  EXPECT_TRUE(lines);
  if (!publics || !lines) return std::nullopt;
  it.publics = *std::move(publics);
  it.lines = *std::move(lines);
  return it;
}

std::vector<std::int64_t> Honest::cells(std::string_view column) const {
  std::vector<std::int64_t> integers;
  for (const std::uint64_t cell : witness.columns[witness.circuit.find(column)]) {
    integers.push_back(integer_of(cell));
  }
  return integers;
}

std::string Honest::wrong(bool contractions) const {
  Status status = check_witness(model(), publics, witness, one_thread());
  if (status && contractions) status = check_contractions(model(), publics, witness);
  return status ? "" : status.error().message;
}

std::string Honest::prove() {
  const zk::Statement statement{.n_prompt = static_cast<std::uint32_t>(prompt.size()),
                                .n_out = static_cast<std::uint32_t>(output.size())};
  engine::Pool pool(2);
  const auto proof = prove_pass(statement, job(), std::move(witness), pool, {});
  if (!proof) return "no proof: " + proof.error().message;
  const Status verified = zk::verify_pass(statement, job(), proof->parts());
  return verified ? "" : "not verified: " + verified.error().message;
}

std::optional<Honest> complete(const HandModel& model, const std::vector<std::uint32_t>& prompt,
                               std::uint32_t outputs, const machine::Sampling& sampling) {
  auto honest = Honest::answer(model, prompt, outputs, sampling);
  EXPECT_TRUE(honest) << "there is no answer or no witness of it";
  if (honest) EXPECT_EQ(honest->wrong(), "");
  return honest;
}

void prove(Honest& honest, Proof when) {
  if (when == Proof::kAlways || exhaustive()) EXPECT_EQ(honest.prove(), "");
}

bool exhaustive() { return std::getenv("OTR_EXHAUSTIVE") != nullptr; }

}  // namespace otr::prover
