#include "prover/forgery.h"

#include <algorithm>
#include <random>

#include "base/check.h"
#include "engine/generate.h"
#include "prover/check.h"
#include "prover/contraction_check.h"
#include "prover/fill.h"
#include "trace/noise.h"
#include "trace/trace.h"
#include "zk/row_lines.h"

namespace otr::prover {
namespace {

model::Artifact make_artifact(const Play& play) {
  model::ArtifactContents contents = model::random_artifact(play.artifact);
  play.tweak(contents.config);
  auto bytes = model::encode_artifact(std::move(contents));
  OTR_CHECK(bytes.has_value());
  auto artifact = model::parse_artifact(*std::move(bytes));
  OTR_CHECK(artifact.has_value());
  return *std::move(artifact);
}

// A named value of A is A's own, whatever A is now.
void name_again(Lie& lie, const machine::Shape& shape) {
  const auto& a = lie.column("o.A");
  const std::size_t positions = lie.witness.circuit.size(zk::Dim::kT);
  for (std::size_t l = 0; l < shape.layers; ++l) {
    for (std::size_t t = 0; t < positions; ++t) {
      for (std::size_t h = 0; h < shape.heads; ++h) {
        zk::Record& record = lie.witness.scalars.rows[l][t].heads[h].shift;
        if (record.exponent == 0) continue;
        const std::size_t head = ((l * positions + t) * shape.heads + h) * shape.head_dim;
        record.value = integer_of(a[head + record.named]);
      }
    }
  }
}

// S and Σ x'² are what the columns make of them.
void sum_again(Lie& lie, const machine::Shape& shape) {
  const auto& heads = lie.column("hsum");
  const auto& squares = lie.column("ssq");
  const std::size_t positions = lie.witness.circuit.size(zk::Dim::kT);
  for (std::size_t row = 0; row < squares.size(); ++row) {
    zk::RowScalars& scalars = lie.witness.scalars.rows[row / positions][row % positions];
    scalars.norm_sumsq = squares[row];
    for (std::size_t h = 0; h < shape.heads; ++h) {
      scalars.heads[h].sum = heads[row * shape.heads + h];
    }
  }
}

}  // namespace

void set_exponent(model::Config& config, std::string_view end, int exponent) {
  for (auto& [name, value] : config.exponents) {
    if (name.ends_with(end)) value = exponent;
  }
}

std::vector<std::uint64_t>& Lie::column(std::string_view name) {
  return witness.columns[witness.circuit.find(name)];
}

void Lie::add(std::string_view name, std::uint64_t cell, zk::Felt delta) {
  std::uint64_t& value = column(name).at(cell);
  value = (zk::Felt{value} + delta).v;
}

bool Lie::recompute(const Scene& scene) {
  auto computed = zk::compute_rows(scene.job(), witness.rows, witness.scalars);
  if (!computed || !(computed->options == witness.options)) return false;
  publics = *std::move(computed);
  return true;
}

bool Lie::settle(const Scene& scene) {
  if (!recompute(scene)) return false;
  solve_contractions(scene.model(), publics, witness);
  sum_again(*this, scene.model().shape);
  name_again(*this, scene.model().shape);
  if (!recompute(scene)) return false;
  fill(scene);
  return true;
}

void Lie::fill(const Scene& scene) {
  const auto lines = zk::derive_lines(scene.job(), witness.rows, witness.scalars);
  OTR_CHECK(lines.has_value());
  fill_rows(scene.job(), *lines, witness, scene.pool());
  fill_outputs(scene.job(), *lines, witness, scene.pool());
}

std::set<std::string> Lie::wrong(const Scene& scene) const {
  std::set<std::string> names = violations(scene.model(), publics, witness);
  note_wrong_contractions(scene.model(), publics, witness, names);
  return names;
}

void Lie::excuse(std::string_view constraint) {
  const auto erase = [&](zk::Circuit& circuit) {
    const auto named = [&](std::string_view kind) {
      return [=](const auto& c) { return std::string(kind) + " " + c.name == constraint; };
    };
    for (zk::Domain& domain : circuit.domains) {
      std::erase_if(domain.lookups, named("lookup"));
      std::erase_if(domain.zeros, named("zero"));
    }
    std::erase_if(circuit.contractions, [&](const zk::Contraction& c) {
      return "sum " + circuit.columns[c.output].name == constraint;
    });
  };
  erase(witness.circuit);
  erase(publics.circuit);
  std::erase_if(publics.cells, [&](const zk::CellClaim& claim) {
    const zk::Circuit& circuit = publics.circuit;
    return "cell " + circuit.columns[circuit.committed[claim.column]].name == constraint;
  });
}

Scene::Scene(const Play& play)
    : name_(play.name), artifact_(make_artifact(play)), sampling_(play.sampling) {
  std::mt19937 random(7);
  for (std::uint32_t t = 0; t < play.prompt; ++t) prompt_.push_back(random() % 17);
  engine::Forward forward(model(), 1);
  trace::TraceBuilder trace(model().shape, trace::TraceBuilder::Keep::kTops);
  const auto out = engine::generate(
      forward, model(), {prompt_, sampling_, trace::noise_block}, trace,
      [n = std::uint32_t{0}, &play](std::uint32_t) mutable { return ++n == play.output; },
      [] { return false; });
  OTR_CHECK(out.has_value());
  output_ = *out;
  auto made = make_witness(model(), sampling_, trace::noise_block, prompt_, output_, pool_);
  OTR_CHECK(made.has_value());
  truth_.witness = *std::move(made);
  OTR_CHECK(truth_.recompute(*this));
}

zk::Job Scene::job() const { return {model(), sampling_, trace::noise_block, prompt_, output_}; }

zk::Statement Scene::statement() const {
  zk::Statement statement;
  std::uint8_t n = 1;
  for (Hash* hash : {&statement.spec_hash, &statement.model_root, &statement.request_digest,
                     &statement.claim_digest, &statement.trace_root, &statement.beacon}) {
    hash->fill(n++);
  }
  statement.signer.fill(n);
  statement.n_prompt = static_cast<std::uint32_t>(prompt_.size());
  statement.n_out = static_cast<std::uint32_t>(output_.size());
  return statement;
}

std::set<std::string> Scene::constraints() const {
  std::set<std::string> names;
  const zk::Circuit& circuit = truth_.witness.circuit;
  for (const zk::Domain& domain : circuit.domains) {
    for (const zk::Lookup& lookup : domain.lookups) names.insert("lookup " + lookup.name);
    for (const zk::Zero& zero : domain.zeros) names.insert("zero " + zero.name);
  }
  for (const zk::Contraction& c : circuit.contractions) {
    names.insert("sum " + circuit.columns[c.output].name);
  }
  return names;
}

Status try_lie(const Scene& scene, Lie lie, const std::function<void(Lie&)>& after_count) {
  const zk::Job job = scene.job();
  // What is in no table is not counted; the rest is.
  static_cast<void>(
      count_multiplicities(job.model, lie.publics.columns, lie.witness, scene.pool()));
  if (after_count) after_count(lie);
  const Bytes rows = zk::encode_rows(lie.witness.rows);
  const Bytes scalars = zk::encode_scalars(lie.witness.scalars);
  zk::Transcript mine = zk::open_transcript(scene.statement(), rows, scalars);
  zk::Transcript theirs = mine;
  OTR_TRY_ASSIGN(const Bytes argument,
                 prove_argument(mine, job, lie.publics, lie.witness, scene.pool()));
  return zk::verify_argument(theirs, job, lie.publics, argument);
}

}  // namespace otr::prover
