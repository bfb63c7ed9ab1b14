// The witness against its circuit: every lookup, zero constraint, claimed cell and contraction, by
// the direct formulas; its rows against the engine's; and that no cell of it may change.
#include "prover/witness.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <set>

#include "engine/generate.h"
#include "model/artifact.h"
#include "model/layout.h"
#include "model/random_artifact.h"
#include "prover/check.h"
#include "prover/contraction_check.h"
#include "prover/pass.h"
#include "trace/noise.h"
#include "trace/trace.h"
#include "zk/rows.h"

namespace otr::prover {
namespace {

// Sets the exponent of every tensor whose name ends so.
void set_exponent(model::Config& config, std::string_view end, int exponent) {
  for (auto& [name, value] : config.exponents) {
    if (name.ends_with(end)) value = exponent;
  }
}
void set_bits(model::Config& config, int bits) {
  for (auto* list :
       {&config.act_bits.attn, &config.act_bits.o, &config.act_bits.mlp, &config.act_bits.down}) {
    std::ranges::fill(*list, bits);
  }
  config.act_bits.head = bits;
}

// Repeats the values over the whole of every tensor whose name ends so.
template <class T>
void set_values(model::ArtifactContents& contents, std::string_view end, std::vector<T> values) {
  const auto layout = model::tensor_layout(contents.config, contents.token_bytes);
  for (const model::TensorSpec& spec : layout) {
    if (!spec.name.ends_with(end)) continue;
    std::uint8_t* data = contents.data.data() + (spec.offset - layout[0].size_bytes);  // `numbers`
    for (std::size_t i = 0; i < spec.size_bytes / sizeof(T); ++i) {
      std::memcpy(data + i * sizeof(T), &values[i % values.size()], sizeof(T));
    }
  }
}

struct Case {
  std::string name;
  model::RandomArtifactOptions artifact;
  machine::Sampling sampling;
  std::uint32_t prompt = 5, output = 4;
  void (*tweak)(model::Config&) = [](model::Config&) {};
  void (*edit)(model::ArtifactContents&) = [](model::ArtifactContents&) {};
};

std::vector<Case> cases_without_head_norms() {
  return {
      {.name = "greedy", .artifact = {.seed = 1}, .sampling = {}},
      {.name = "one position", .artifact = {.seed = 2}, .sampling = {}, .prompt = 1, .output = 1},
      {.name = "biases, sampled",
       .artifact = {.seed = 3, .tied = false, .biases = true, .layers = 3},
       .sampling = {.inv_t = 94548}},
      {.name = "min_p and penalties, eight bits",
       .artifact = {.seed = 4, .biases = true, .hidden = 24},
       .sampling = {.inv_t = 94548,
                    .min_p = 3000,
                    .presence = 70000,
                    .frequency = -30000,
                    .logit_bias = {{0, -100 << 16}, {5, 90000}, {9, 100 << 16}}},
       .output = 9,
       .tweak = [](model::Config& config) { set_bits(config, 8); }},
      {.name = "the greatest inv_t", .artifact = {.seed = 5}, .sampling = {.inv_t = 1 << 24}},
      {.name = "greedy with penalties",
       .artifact = {.seed = 6},
       .sampling = {.presence = 1 << 20, .frequency = 1 << 20},
       .output = 20},
      {.name = "greedy with a logit bias alone",
       .artifact = {.seed = 6},
       .sampling = {.logit_bias = {{3, 40000}, {4, -1}}},
       .output = 5},
      {.name = "three tiles", .artifact = {.seed = 7}, .sampling = {}, .prompt = 257},
      {.name = "window",
       .artifact = {.seed = 8},
       .sampling = {.inv_t = 20000},
       .prompt = 200,
       .tweak = [](model::Config& config) { config.shape.window = 60; }},
      // Scores far apart, and rows whose exponents some value demands.
      {.name = "great numbers",
       .artifact = {.seed = 9, .biases = true},
       .sampling = {.inv_t = 94548, .min_p = 100},
       .prompt = 15,
       .tweak =
           [](model::Config& config) {
             set_exponent(config, ".wq", 12);
             set_exponent(config, ".wk", 12);
             set_exponent(config, ".wv", 18);
             config.shape.residual_frac_bits = 20;
             set_exponent(config, ".wo", 13);
             set_exponent(config, ".w_gate", 14);
             set_exponent(config, ".w_down", 12);
           }},
      // Long shifts: three limbs.
      {.name = "small numbers",
       .artifact = {.seed = 10},
       .sampling = {},
       .tweak =
           [](model::Config& config) {
             set_exponent(config, "mlp_norm", 22);
             set_exponent(config, ".wo", 33);
             set_exponent(config, ".w_down", 33);
             std::ranges::fill(config.act_bits.down, 8);
           }},
  };
}

std::vector<Case> cases_with_head_norms() {
  return {
      {.name = "head norms", .artifact = {.seed = 11, .qk_norm = true}, .sampling = {}},
      {.name = "head norms and biases, sampled",
       .artifact = {.seed = 12, .biases = true, .qk_norm = true, .layers = 3},
       .sampling = {.inv_t = 94548},
       .tweak = [](model::Config& config) { set_exponent(config, "q_norm", 9); }},
      // All y of k are 0, and there is no ε.
      {.name = "head norms of nothing",
       .artifact = {.seed = 13, .qk_norm = true},
       .sampling = {},
       .tweak =
           [](model::Config& config) {
             config.shape.qk_frac_bits = 8;
             config.shape.eps_qk = 0;
             set_exponent(config, "k_norm", 22);
           },
       .edit =
           [](model::ArtifactContents& contents) {
             set_values<std::int8_t>(contents, "wk.weight", {0});
           }},
      // R is 2^16 and y·gain·R all but 2^62, where its shift leaves y' the fewest bits.
      {.name = "the greatest head norm",
       .artifact = {.seed = 14, .biases = true, .qk_norm = true},
       .sampling = {},
       .tweak =
           [](model::Config& config) {
             config.shape.qk_frac_bits = 8;
             config.shape.eps_qk = 1 << 24;
             set_exponent(config, "q_norm", 22);
             set_exponent(config, "k_norm", 22);
           },
       .edit =
           [](model::ArtifactContents& contents) {
             for (const char* name : {"wq.weight", "wk.weight"}) {
               set_values<std::int8_t>(contents, name, {0});
             }
             set_values<std::int32_t>(contents, "wq.bias", {1 - (1 << 23), 0, 0, 0});
             set_values<std::int32_t>(contents, "wk.bias", {0});
             set_values<std::int32_t>(contents, "q_norm.gain", {1 - (1 << 23), 1});
           }},
  };
}

std::vector<Case> cases() {
  std::vector<Case> list = cases_without_head_norms();
  for (const Case& c : cases_with_head_norms()) list.push_back(c);
  return list;
}

model::Artifact make_artifact(const Case& c) {
  model::ArtifactContents contents = model::random_artifact(c.artifact);
  c.tweak(contents.config);
  c.edit(contents);
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

// Otherwise the tests below would say less than they seem to.
TEST(Witness, CasesReachEveryRecordAndOptionalColumn) {
  std::set<std::string> seen;
  for (const Case& c : cases()) {
    const Made made(c);
    for (const zk::Column& column : made.witness.circuit.columns) {
      if (column.kind == zk::ColumnKind::kCommitted) seen.insert(column.name);
    }
    const auto note = [&](const char* name, const zk::Record& record) {
      if (record.value != 0) seen.insert(name);
    };
    for (const auto& layer : made.witness.scalars.rows) {
      for (const zk::RowScalars& row : layer) {
        for (const auto& r : row.q) note("record of q", r);
        for (const auto& r : row.k) note("record of k", r);
        for (const auto& r : row.v) note("record of v", r);
        for (const auto& head : row.heads) note("record of A", head.shift);
        note("record of o", row.o);
        note("record of norm", row.norm_shift);
        note("record of m", row.m);
        note("record of g", row.g);
        note("record of h", row.h);
      }
    }
  }
  for (const char* name :
       {"record of q", "record of k", "record of v", "record of A", "record of o", "record of norm",
        "record of m", "record of g", "record of h", "q.r0.1",      "q.c0.1",      "z.eo",
        "x.r.2",       "x.c.2",       "x.yh",        "x.zh",        "o.r.1",       "o.c.1",
        "f.c.1",       "s.e3",        "s.k",         "q.g1.1",      "q.g0.2",      "k.g1.2"}) {
    EXPECT_TRUE(seen.contains(name)) << name;
  }
}

TEST_P(WitnessOf, SatisfiesItsCircuit) {
  ASSERT_EQ(made.publics.options, made.witness.options);
  const Status status = check_witness(made.model(), made.publics, made.witness, made.pool);
  EXPECT_TRUE(status) << status.error().message;
  const Status contracted = check_contractions(made.model(), made.publics, made.witness);
  EXPECT_TRUE(contracted) << contracted.error().message;
  for (const char* name : {"q.acc1", "z.acc", "o.A", "x.dacc", "s.acc"}) {
    Cells& cells = made.witness.columns[made.witness.circuit.find(name)];
    const std::uint64_t truth = std::exchange(cells.front(), cells.front() + 1);
    EXPECT_FALSE(check_contractions(made.model(), made.publics, made.witness)) << name;
    cells.front() = truth;
  }
  for (const char* name : {"hsum", "ssq", "qsq", "ksq"}) {
    if (!made.witness.circuit.has(name)) continue;
    const zk::ColumnId id = made.witness.circuit.find(name);
    EXPECT_EQ(made.witness.columns[id], made.publics.columns[id]) << name;
    const std::uint64_t truth = std::exchange(made.publics.columns[id].back(), 1);
    EXPECT_FALSE(check_contractions(made.model(), made.publics, made.witness)) << name;
    made.publics.columns[id].back() = truth;
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

// One cell of each committed column in turn, the last, which is attended.
TEST_P(WitnessOf, NoCellMayChange) {
  if (made.prompt.size() > 20) GTEST_SKIP() << "the smaller cases do this";
  for (const zk::Domain& domain : made.witness.circuit.domains) {
    for (const zk::ColumnId id : domain.committed) {
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
