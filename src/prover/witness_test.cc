// The witness against its circuit: every lookup, zero constraint, claimed cell and contraction, by
// the direct formulas; its rows against the engine's; and that no cell of it may change.
#include "prover/witness.h"

#include <gtest/gtest.h>

#include <random>

#include "engine/generate.h"
#include "model/artifact.h"
#include "model/random_artifact.h"
#include "prover/check.h"
#include "prover/contraction_check.h"
#include "trace/noise.h"
#include "trace/trace.h"
#include "zk/rows.h"

namespace otr::prover {
namespace {

struct Case {
  std::string name;
  model::RandomArtifactOptions artifact;
  machine::Sampling sampling;
  std::uint32_t prompt = 5, output = 4, window = 0;
  int act_bits = 16;
};

std::vector<Case> cases() {
  return {
      {.name = "greedy", .artifact = {.seed = 1}, .sampling = {}},
      {.name = "one position", .artifact = {.seed = 2}, .sampling = {}, .prompt = 1, .output = 1},
      {.name = "biases, sampled",
       .artifact = {.seed = 3, .tied = false, .biases = true, .layers = 3},
       .sampling = {.inv_t = 94548}},
      {.name = "min_p and penalties, eight bits",
       .artifact = {.seed = 4, .biases = true, .hidden = 24},
       .sampling = {.inv_t = 94548, .min_p = 3000, .presence = 70000, .frequency = -30000},
       .output = 9,
       .act_bits = 8},
      {.name = "the greatest inv_t", .artifact = {.seed = 5}, .sampling = {.inv_t = 1 << 24}},
      {.name = "greedy with penalties",
       .artifact = {.seed = 6},
       .sampling = {.presence = 1 << 20, .frequency = 1 << 20},
       .output = 20},
      {.name = "three tiles", .artifact = {.seed = 7}, .sampling = {}, .prompt = 257},
      {.name = "window",
       .artifact = {.seed = 8},
       .sampling = {.inv_t = 20000},
       .prompt = 200,
       .window = 60}};
}

model::Artifact make_artifact(const Case& c) {
  model::ArtifactContents contents = model::random_artifact(c.artifact);
  contents.config.shape.window = c.window;
  const std::vector<int> bits(c.artifact.layers, c.act_bits);
  contents.config.act_bits = {
      .attn = bits, .o = bits, .mlp = bits, .down = bits, .head = c.act_bits};
  auto bytes = model::encode_artifact(std::move(contents));
  EXPECT_TRUE(bytes) << bytes.error().message;
  auto artifact = model::parse_artifact(*std::move(bytes));
  EXPECT_TRUE(artifact) << artifact.error().message;
  return *std::move(artifact);
}

// An answer of the engine and the witness of it.
struct Made {
  explicit Made(const Case& c)
      : artifact(make_artifact(c)),
        sampling(c.sampling),
        trace(model().shape, trace::TraceBuilder::Keep::kRows) {
    std::mt19937 random(7);
    for (std::uint32_t t = 0; t < c.prompt; ++t) prompt.push_back(random() % 17);
    engine::Forward forward(model(), 1);
    const auto out = engine::generate(
        forward, model(), {prompt, sampling, trace::noise_block}, trace,
        [n = std::uint32_t{0}, &c](std::uint32_t) mutable { return ++n == c.output; },
        [] { return false; });
    EXPECT_TRUE(out) << out.error().message;
    output = out.value_or(std::vector<std::uint32_t>{});
    auto made = make_witness(model(), sampling, trace::noise_block, prompt, output, pool);
    EXPECT_TRUE(made) << made.error().message;
    if (made) witness = *std::move(made);
    auto computed = zk::compute_rows(job(), witness.rows, witness.scalars);
    EXPECT_TRUE(computed) << computed.error().message;
    if (computed) publics = *std::move(computed);
  }

  const machine::Model& model() const { return artifact.view(); }
  zk::Job job() const { return {model(), sampling, trace::noise_block, prompt, output}; }

  model::Artifact artifact;
  machine::Sampling sampling;
  std::vector<std::uint32_t> prompt, output;
  trace::TraceBuilder trace;
  engine::Pool pool{2};
  Witness witness;
  zk::PublicRows publics;
};

class WitnessOf : public testing::TestWithParam<std::size_t> {
 protected:
  const Case which = cases()[GetParam()];
  Made made{which};
};

TEST_P(WitnessOf, RowsAreThoseOfTheEngine) {
  const machine::Shape& shape = made.model().shape;
  const auto same = [&](merkle::Kind kind, std::uint32_t l, std::uint32_t g, const auto& rows) {
    return std::ranges::equal(made.trace.rows({kind, l, g}), as_bytes(std::span(rows)));
  };
  for (std::uint32_t l = 0; l < shape.layers; ++l) {
    EXPECT_TRUE(same(merkle::Kind::kResidual, l, 0, made.witness.rows.x[l]));
    for (std::uint32_t g = 0; g < shape.kv_heads; ++g) {
      EXPECT_TRUE(same(merkle::Kind::kKey, l, g, made.witness.rows.k[l * shape.kv_heads + g]));
      EXPECT_TRUE(same(merkle::Kind::kValue, l, g, made.witness.rows.v[l * shape.kv_heads + g]));
    }
  }
}

TEST_P(WitnessOf, SatisfiesItsCircuit) {
  ASSERT_EQ(made.publics.options, made.witness.options);
  const Status status = check_witness(made.model(), made.publics, made.witness, made.pool);
  EXPECT_TRUE(status) << status.error().message;
  const Status contracted = check_contractions(made.model(), made.publics, made.witness);
  EXPECT_TRUE(contracted) << contracted.error().message;
  for (const char* name : {"hsum", "ssq"}) {
    const zk::ColumnId id = made.witness.circuit.find(name);
    EXPECT_EQ(made.witness.columns[id], made.publics.columns[id]) << name;
  }
  // All committed and virtual columns are there, and no other.
  for (zk::ColumnId id = 0; id < made.witness.columns.size(); ++id) {
    const zk::Column& column = made.witness.circuit.columns[id];
    const bool ours =
        column.kind == zk::ColumnKind::kVirtual ||
        (column.kind == zk::ColumnKind::kCommitted && !column.name.starts_with("multiplicity"));
    EXPECT_EQ(made.witness.columns[id].size(), ours ? made.witness.circuit.cells(column.dims) : 0)
        << column.name;
  }
}

TEST_P(WitnessOf, MultiplicitiesCountEveryLookup) {
  const Status status =
      count_multiplicities(made.model(), made.publics.columns, made.witness, made.pool);
  ASSERT_TRUE(status) << status.error().message;
  const zk::Circuit& circuit = made.witness.circuit;
  std::uint64_t counted = 0;
  for (std::size_t i = 0; i < circuit.tables.size(); ++i) {
    const auto& column = made.witness.columns[circuit.multiplicities[i]];
    ASSERT_EQ(column.size(), zk::table_rows(circuit.tables[i]));
    for (const std::uint64_t m : column) counted += m;
  }
  std::uint64_t expected = 0;
  for (const zk::Domain& domain : circuit.domains) {
    std::uint64_t inside = circuit.cells(domain.dims);
    if (domain.masked) {
      inside = 0;
      for (const std::uint64_t cell : made.publics.columns[domain.mask]) inside += cell;
      inside *= circuit.size(zk::Dim::kH) * circuit.size(zk::Dim::kL);
    }
    expected += inside * domain.lookups.size();
  }
  EXPECT_EQ(counted, expected);
}

// One cell of each committed or virtual column in turn, the last inside the box that is attended.
TEST_P(WitnessOf, NoCellMayChange) {
  if (made.prompt.size() > 20) GTEST_SKIP() << "the smaller cases do this";
  for (const zk::Domain& domain : made.witness.circuit.domains) {
    std::vector<zk::ColumnId> ids = domain.committed;
    ids.insert(ids.end(), domain.virtuals.begin(), domain.virtuals.end());
    for (const zk::ColumnId id : ids) {
      auto& cells = made.witness.columns[id];
      for (const std::uint64_t lie : {cells.back() + 1, cells.back() ^ 0x80000}) {
        const std::uint64_t truth = std::exchange(cells.back(), lie);
        const Status status = check_witness(made.model(), made.publics, made.witness, made.pool);
        EXPECT_FALSE(status) << made.witness.circuit.columns[id].name;
        if (!status) EXPECT_EQ(status.error().kind, ErrorKind::kReject);
        cells.back() = truth;
      }
    }
  }
}

// With another token the claim is false, and the witness of it fails, by name, without a crash.
TEST_P(WitnessOf, FalseTokenHasNoWitness) {
  std::vector<std::uint32_t> lie = made.output;
  lie.back() = (lie.back() + 1) % 17;
  const auto witness =
      make_witness(made.model(), made.sampling, trace::noise_block, made.prompt, lie, made.pool);
  if (!witness) {
    EXPECT_EQ(witness.error().code, "PROOF_INVALID") << witness.error().message;
    return;
  }
  const zk::Job job{made.model(), made.sampling, trace::noise_block, made.prompt, lie};
  const auto publics = zk::compute_rows(job, witness->rows, witness->scalars);
  ASSERT_TRUE(publics);
  EXPECT_FALSE(check_witness(made.model(), *publics, *witness, made.pool));
}

std::string name_of(const testing::TestParamInfo<std::size_t>& info) {
  std::string name = cases()[info.param].name;
  std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
  return name;
}
INSTANTIATE_TEST_SUITE_P(Cases, WitnessOf, testing::Range(std::size_t{0}, cases().size()), name_of);

}  // namespace
}  // namespace otr::prover
