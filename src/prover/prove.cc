#include "prover/prove.h"

#include <algorithm>
#include <map>

#include "base/check.h"
#include "prover/cells.h"
#include "prover/commit.h"
#include "prover/gkr.h"
#include "prover/open.h"
#include "prover/sumcheck.h"
#include "zk/lookup_tables.h"

namespace otr::prover {
namespace {

using zk::ColumnId;
using zk::ColumnKind;
using zk::Dim;
using zk::DimPoints;
using zk::Dims;
using zk::Ext;

struct KColumn {
  std::vector<std::uint64_t> c0, c1;
};
KColumn split(std::span<const Ext> list) {
  KColumn column;
  for (const Ext& e : list) {
    column.c0.push_back(e.c0.v);
    column.c1.push_back(e.c1.v);
  }
  return column;
}

class Prover {
 public:
  Prover(const zk::Job& job, const zk::PublicRows& rows, const Columns& witness,
         zk::Transcript& transcript, engine::Pool& pool, const OnStage& on_stage)
      : job_(job),
        rows_(rows),
        circuit_(rows.circuit),
        witness_(witness),
        columns_(views_of(witness, rows.columns)),
        transcript_(transcript),
        pool_(pool),
        on_stage_(on_stage),
        plan_(zk::plan_leaves(rows.circuit)),
        virtual_claims_(rows.circuit.columns.size()) {
    for (std::uint32_t i = 0; i < circuit_.committed.size(); ++i) {
      committed_index_[circuit_.committed[i]] = i;
    }
  }

  Result<zk::Argument> run(const zk::Layout& layout);

 private:
  struct VirtualClaim {
    DimPoints point;
    Ext value;
  };

  Status stage(std::string_view name, int permille) const {
    return on_stage_ ? on_stage_(name, permille) : Status();
  }
  LeafBlock lookup_block(std::size_t domain, std::size_t lookup) const;
  LeafBlock table_block(std::size_t table) const;
  Ext domain_sum(std::size_t index) const;
  zk::Reduction prove_domain(std::size_t index);
  KColumn combine(const zk::Domain& domain, std::span<const zk::KTerm> terms) const;
  zk::Reduction prove_contraction(std::size_t index);
  std::vector<Ext> folded_weights(const zk::Column& column, const DimPoints& points) const;
  void claim_committed(ColumnId id, const DimPoints& points, Ext value);
  std::vector<Ext> evaluate_all(std::span<const ColumnId> ids, const DimPoints& points) const;

  const zk::Job& job_;
  const zk::PublicRows& rows_;
  const zk::Circuit& circuit_;
  const Columns& witness_;
  const ColumnViews columns_;
  zk::Transcript& transcript_;
  engine::Pool& pool_;
  const OnStage& on_stage_;
  const zk::LeafPlan plan_;
  Ext alpha_, beta_;
  zk::Point r_;
  std::vector<Ext> sums_;
  std::map<ColumnId, std::uint32_t> committed_index_;
  std::vector<zk::EvalClaim> claims_;
  std::vector<VirtualClaim> virtual_claims_;
};

// α - fp of every cell of a lookup (SPEC PL-3).
LeafBlock Prover::lookup_block(std::size_t domain, std::size_t lookup) const {
  const zk::Domain& d = circuit_.domains[domain];
  const zk::Lookup& l = d.lookups[lookup];
  LeafBlock block;
  block.dims = circuit_.box(d.dims);
  block.base = plan_.lookups[domain][lookup].base;
  const std::uint64_t cells = circuit_.cells(d.dims);
  const std::size_t width = block.dims[0];
  block.q0.resize(cells);
  block.q1.resize(cells);
  if (d.masked) block.p.resize(cells);
  std::vector<RunEvaluator> tuple;
  for (const zk::Expression& e : l.tuple) tuple.emplace_back(circuit_, d.dims, e, columns_);
  const zk::Expression mask_expression = {{zk::Felt{1}, {d.mask}}};
  const RunEvaluator mask(circuit_, d.dims, d.masked ? mask_expression : zk::Expression{},
                          columns_);
  pool_.split(cells / width, [&](std::size_t begin, std::size_t end) {
    std::vector<std::uint64_t> values(width);
    for (std::size_t row = begin; row < end; ++row) {
      const auto q0 = std::span(block.q0).subspan(row * width, width);
      const auto q1 = std::span(block.q1).subspan(row * width, width);
      Ext start = alpha_ - zk::ext(static_cast<std::int64_t>(l.table));
      std::ranges::fill(q0, 0);
      std::ranges::fill(q1, 0);
      Ext power = zk::kOne;
      for (const RunEvaluator& element : tuple) {
        power *= beta_;
        element.run(row, values);
        if (element.constant()) {
          start -= power * zk::Felt{values[0]};
          continue;
        }
        for (std::size_t i = 0; i < width; ++i) {
          q0[i] = (zk::Felt{q0[i]} + power.c0 * zk::Felt{values[i]}).v;
          q1[i] = (zk::Felt{q1[i]} + power.c1 * zk::Felt{values[i]}).v;
        }
      }
      for (std::size_t i = 0; i < width; ++i) {
        q0[i] = (start.c0 - zk::Felt{q0[i]}).v;
        q1[i] = (start.c1 - zk::Felt{q1[i]}).v;
      }
      if (!d.masked) continue;
      const auto p = std::span(block.p).subspan(row * width, width);
      mask.run(row, p);
      for (std::size_t i = 0; i < width; ++i) {
        if (p[i] == 0) q0[i] = 1, q1[i] = 0;
      }
    }
  });
  return block;
}

LeafBlock Prover::table_block(std::size_t table) const {
  const zk::TableTag tag = circuit_.tables[table];
  const std::uint32_t rows = zk::table_rows(tag);
  const std::int64_t q_bound = machine::q_bound(job_.model.shape.head_dim);
  LeafBlock block;
  block.dims = {rows};
  block.base = plan_.tables[table].base;
  block.q0.resize(rows);
  block.q1.resize(rows);
  block.p.resize(rows);
  const std::span<const std::uint64_t> counts = columns_[circuit_.multiplicities[table]];
  pool_.split(rows, [&](std::size_t begin, std::size_t end) {
    for (std::size_t x = begin; x < end; ++x) {
      const zk::Tuple row = zk::table_row(tag, static_cast<std::uint32_t>(x), q_bound);
      Ext q = alpha_ - zk::ext(static_cast<std::int64_t>(tag));
      Ext power = zk::kOne;
      for (int i = 0; i < zk::tuple_size(tag); ++i) {
        power *= beta_;
        q -= power * zk::felt(row[static_cast<std::size_t>(i)]);
      }
      block.q0[x] = q.c0.v;
      block.q1[x] = q.c1.v;
      block.p[x] = (-zk::Felt{counts[x]}).v;
    }
  });
  return block;
}

void Prover::claim_committed(ColumnId id, const DimPoints& points, Ext value) {
  zk::Point point;
  for (const Dim dim : circuit_.columns[id].dims) {
    point.insert(point.end(), at(points, dim).begin(), at(points, dim).end());
  }
  claims_.push_back({committed_index_.at(id), std::move(point), value});
}

std::vector<Ext> Prover::evaluate_all(std::span<const ColumnId> ids,
                                      const DimPoints& points) const {
  std::vector<Ext> values(ids.size());
  pool_.split(ids.size(), [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const Dims& dims = circuit_.columns[ids[i]].dims;
      values[i] = zk::evaluate(circuit_, dims, columns_[ids[i]], points);
    }
  });
  return values;
}

// The polynomial's value at every index, as one column of K.
KColumn Prover::combine(const zk::Domain& domain, std::span<const zk::KTerm> terms) const {
  const std::uint64_t cells = circuit_.cells(domain.dims);
  const std::size_t width = circuit_.size(domain.dims[0]);
  std::vector<std::pair<Ext, RunEvaluator>> linear;
  for (const zk::KTerm& term : terms) {
    const zk::Expression one = {{zk::Felt{1}, term.factors}};
    linear.emplace_back(term.coefficient, RunEvaluator(circuit_, domain.dims, one, columns_));
  }
  KColumn sum{std::vector<std::uint64_t>(cells), std::vector<std::uint64_t>(cells)};
  pool_.split(cells / width, [&](std::size_t begin, std::size_t end) {
    std::vector<std::uint64_t> values(width);
    for (std::size_t row = begin; row < end; ++row) {
      Ext constant = zk::kZero;
      std::uint64_t* c0 = sum.c0.data() + row * width;
      std::uint64_t* c1 = sum.c1.data() + row * width;
      for (const auto& [coefficient, evaluator] : linear) {
        evaluator.run(row, values);
        if (evaluator.constant()) {
          constant += coefficient * zk::Felt{values[0]};
          continue;
        }
        for (std::size_t i = 0; i < width; ++i) {
          c0[i] = (zk::Felt{c0[i]} + coefficient.c0 * zk::Felt{values[i]}).v;
          c1[i] = (zk::Felt{c1[i]} + coefficient.c1 * zk::Felt{values[i]}).v;
        }
      }
      for (std::size_t i = 0; i < width; ++i) {
        c0[i] = (zk::Felt{c0[i]} + constant.c0).v;
        c1[i] = (zk::Felt{c1[i]} + constant.c1).v;
      }
    }
  });
  return sum;
}

// S_D of PR-1: the lookups' part of the summand, which θ = 0 leaves alone.
Ext Prover::domain_sum(std::size_t index) const {
  const zk::Domain& domain = circuit_.domains[index];
  std::vector<Ext> weights;
  for (const zk::LeafBlockPlace& block : plan_.lookups[index]) weights.push_back(block.weight(r_));
  std::vector<zk::KTerm> terms =
      zk::domain_summand(circuit_, index, weights, {alpha_, beta_, zk::kZero});
  std::erase_if(terms, [](const zk::KTerm& term) { return term.coefficient == zk::kZero; });
  if (domain.masked) {
    for (zk::KTerm& term : terms) term.factors.push_back(domain.mask);
  }
  const KColumn values = combine(domain, terms);
  const DimPoints start = zk::split_point(circuit_, domain.dims, r_);
  const Ext c0 = zk::evaluate(circuit_, domain.dims, values.c0, start);
  const Ext c1 = zk::evaluate(circuit_, domain.dims, values.c1, start);
  return c0 + c1 * Ext{{0}, {1}};
}

// SPEC PR-2.
zk::Reduction Prover::prove_domain(std::size_t index) {
  const zk::Domain& domain = circuit_.domains[index];
  const Ext theta = transcript_.challenge();
  std::vector<Ext> weights;
  for (const zk::LeafBlockPlace& block : plan_.lookups[index]) weights.push_back(block.weight(r_));
  std::vector<zk::KTerm> terms =
      zk::domain_summand(circuit_, index, weights, {alpha_, beta_, theta});

  SumcheckProblem problem;
  problem.sizes = circuit_.box(domain.dims);
  problem.degree = static_cast<std::size_t>(domain.degree);
  const DimPoints start = zk::split_point(circuit_, domain.dims, r_);
  for (const Dim dim : domain.dims) problem.eq.emplace_back(at(start, dim));
  std::map<ColumnId, std::uint32_t> place;
  const auto add = [&](ColumnId id) {
    const auto [entry, fresh] =
        place.try_emplace(id, static_cast<std::uint32_t>(problem.columns.size()));
    if (fresh) {
      SumcheckColumn column{{}, {columns_[id].begin(), columns_[id].end()}, {}};
      for (std::uint32_t d = 0; d < domain.dims.size(); ++d) {
        if (zk::has(circuit_.columns[id].dims, domain.dims[d])) column.dims.push_back(d);
      }
      problem.columns.push_back(std::move(column));
    }
    return entry->second;
  };
  std::vector<std::uint32_t> mask;
  if (domain.masked) mask.push_back(add(domain.mask));
  // What is linear in columns of all the domain's dimensions makes one column. (One of fewer
  // dimensions is constant along the others, beyond the box too, and so no part of it.)
  const auto curved = std::ranges::partition(terms, [&](const zk::KTerm& term) {
                        return term.factors.size() == 1 &&
                               circuit_.columns[term.factors[0]].dims.size() == domain.dims.size();
                      }).begin();
  KColumn linear = combine(domain, std::span(terms.begin(), curved));
  SumcheckColumn merged{{}, std::move(linear.c0), std::move(linear.c1)};
  for (std::uint32_t d = 0; d < domain.dims.size(); ++d) merged.dims.push_back(d);
  std::vector<std::uint32_t> factors = {static_cast<std::uint32_t>(problem.columns.size())};
  problem.columns.push_back(std::move(merged));
  factors.insert(factors.end(), mask.begin(), mask.end());
  problem.terms.push_back({zk::kOne, factors});
  for (const zk::KTerm& term : std::span(curved, terms.end())) {
    factors = mask;
    for (const ColumnId id : term.factors) factors.push_back(add(id));
    problem.terms.push_back({term.coefficient, factors});
  }
  SumcheckResult result = prove_sumcheck(transcript_, std::move(problem), pool_);

  const DimPoints points = zk::split_point(circuit_, domain.dims, result.point);
  std::vector<ColumnId> sent = domain.committed;
  sent.insert(sent.end(), domain.virtuals.begin(), domain.virtuals.end());
  zk::Reduction reduction{std::move(result.proof), evaluate_all(sent, points)};
  transcript_.absorb(zk::Label::kColumnValues, reduction.values);
  for (std::size_t i = 0; i < sent.size(); ++i) {
    if (i < domain.committed.size()) {
      claim_committed(sent[i], points, reduction.values[i]);
    } else {
      virtual_claims_[sent[i]] = {points, reduction.values[i]};
    }
  }
  return reduction;
}

// A kWeights column with its row dimensions set to the point: dense over the others.
std::vector<Ext> Prover::folded_weights(const zk::Column& column, const DimPoints& points) const {
  const std::vector<Ext> rows = zk::row_weights(circuit_, column, job_.model.shape, points);
  const bool head = column.matrix == machine::MatrixId::kHead;
  const std::uint32_t layers = head ? 1 : job_.model.shape.layers;
  const std::size_t cols = zk::matrix_of(job_.model, column.matrix, 0).cols;
  std::vector<Ext> folded(layers * cols);
  constexpr std::size_t kChunk = 512;
  const std::size_t chunks = (cols + kChunk - 1) / kChunk;
  pool_.split(layers * chunks, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::size_t l = i / chunks;
      const std::size_t first = i % chunks * kChunk;
      const std::vector<Ext> part =
          zk::fold_rows(zk::matrix_of(job_.model, column.matrix, static_cast<std::uint32_t>(l)),
                        rows, first, std::min(cols, first + kChunk));
      std::ranges::copy(part, folded.begin() + static_cast<std::ptrdiff_t>(l * cols + first));
    }
  });
  return folded;
}

// SPEC PE-1.
zk::Reduction Prover::prove_contraction(std::size_t index) {
  const zk::Contraction& contraction = circuit_.contractions[index];
  const zk::Column& output = circuit_.columns[contraction.output];
  VirtualClaim& start = virtual_claims_[contraction.output];
  if (contraction.scalars) {
    const std::size_t bits = zk::variables_of(circuit_, output.dims);
    start.point = zk::split_point(circuit_, output.dims, transcript_.challenges(bits));
  }
  SumcheckProblem problem;
  problem.sizes = circuit_.box(contraction.sum);
  problem.degree = zk::degree_of(circuit_, contraction);
  for (const Dim dim : contraction.sum) {
    if (zk::has(output.dims, dim)) {
      problem.eq.emplace_back(at(start.point, dim));
    } else {
      problem.eq.emplace_back(std::nullopt);
    }
  }
  std::map<ColumnId, std::uint32_t> place;
  const auto add = [&](ColumnId id) {
    const auto [entry, fresh] =
        place.try_emplace(id, static_cast<std::uint32_t>(problem.columns.size()));
    if (!fresh) return entry->second;
    const zk::Column& column = circuit_.columns[id];
    Dims kept;
    SumcheckColumn factor;
    for (const Dim dim : column.dims) {
      const auto found = std::ranges::find(contraction.sum, dim);
      if (found == contraction.sum.end()) continue;
      kept.push_back(dim);
      factor.dims.push_back(static_cast<std::uint32_t>(found - contraction.sum.begin()));
    }
    if (column.kind == ColumnKind::kWeights) {
      KColumn k = split(folded_weights(column, start.point));
      factor.c0 = std::move(k.c0), factor.c1 = std::move(k.c1);
    } else if (kept.size() == column.dims.size()) {
      factor.c0.assign(columns_[id].begin(), columns_[id].end());
    } else {
      KColumn k = split(fold_column(circuit_, column.dims, columns_[id], kept, start.point));
      factor.c0 = std::move(k.c0), factor.c1 = std::move(k.c1);
    }
    problem.columns.push_back(std::move(factor));
    return entry->second;
  };
  for (const auto& term : contraction.terms) {
    std::vector<std::uint32_t> factors;
    for (const ColumnId id : term) factors.push_back(add(id));
    problem.terms.push_back({zk::kOne, factors});
  }
  SumcheckResult result = prove_sumcheck(transcript_, std::move(problem), pool_);
  DimPoints points = start.point;
  const DimPoints summed = zk::split_point(circuit_, contraction.sum, result.point);
  for (const Dim dim : contraction.sum) at(points, dim) = at(summed, dim);
  zk::Reduction reduction{std::move(result.proof), {}};
  for (const ColumnId id : zk::committed_factors(circuit_, contraction)) {
    reduction.values.push_back(result.values[place.at(id)]);
    claim_committed(id, points, reduction.values.back());
  }
  transcript_.absorb(zk::Label::kFactorValues, reduction.values);
  return reduction;
}

Result<zk::Argument> Prover::run(const zk::Layout& layout) {
  zk::Argument argument;
  OTR_TRY(stage("committing", 200));
  std::vector<const std::vector<std::uint64_t>*> cells;
  for (const ColumnId id : circuit_.committed) cells.push_back(&witness_[id]);
  const Committed committed(layout, cells, pool_);
  argument.commitment = committed.commitment();
  transcript_.absorb(zk::Label::kCommitment, argument.commitment.hash());
  argument.nonce = transcript_.grind(zk::kLookupGrindBits);
  alpha_ = transcript_.challenge();
  beta_ = transcript_.challenge();

  OTR_TRY(stage("looking up", 300));
  std::vector<LeafBlock> blocks;
  for (std::size_t d = 0; d < circuit_.domains.size(); ++d) {
    for (std::size_t l = 0; l < circuit_.domains[d].lookups.size(); ++l) {
      blocks.push_back(lookup_block(d, l));
    }
  }
  for (std::size_t i = 0; i < circuit_.tables.size(); ++i) blocks.push_back(table_block(i));
  zk::GkrClaim leaves;
  argument.gkr = prove_gkr(transcript_, std::move(blocks), plan_.nu, pool_, &leaves);
  r_ = leaves.r;

  OTR_TRY(stage("checking rows", 600));
  for (std::size_t d = 0; d < circuit_.domains.size(); ++d) {
    argument.domain_sums.push_back(domain_sum(d));
  }
  for (std::size_t i = 0; i < circuit_.tables.size(); ++i) {
    const zk::LeafBlockPlace& block = plan_.tables[i];
    const zk::Point low(r_.begin(), r_.begin() + block.bits);
    const std::vector<Ext> table = zk::eq_table(low, std::size_t{1} << block.bits);
    const ColumnId id = circuit_.multiplicities[i];
    argument.multiplicities.push_back(zk::dot(columns_[id], table));
    claims_.push_back({committed_index_.at(id), low, argument.multiplicities.back()});
  }
  transcript_.absorb(zk::Label::kDomainSums, argument.domain_sums);
  transcript_.absorb(zk::Label::kColumnValues, argument.multiplicities);
  for (std::size_t d = 0; d < circuit_.domains.size(); ++d) {
    argument.domains.push_back(prove_domain(d));
  }
  OTR_TRY(stage("multiplying", 800));
  for (std::size_t c = 0; c < circuit_.contractions.size(); ++c) {
    argument.contractions.push_back(prove_contraction(c));
  }
  OTR_TRY(stage("opening", 900));
  argument.opening = open(transcript_, layout, committed, claims_, rows_.cells, pool_);
  return argument;
}

}  // namespace

Result<Bytes> prove_argument(zk::Transcript& transcript, const zk::Job& job,
                             const zk::PublicRows& publics, const Witness& witness,
                             engine::Pool& pool, const OnStage& on_stage) {
  const std::vector<zk::ColumnShape> shapes = zk::committed_shapes(publics.circuit);
  if (!zk::Layout::fits(shapes)) {
    return fail(ErrorKind::kUsage,
                "the answer is too long for one proof: it would have more than "
                "2^32 cells");
  }
  Prover prover(job, publics, witness.columns, transcript, pool, on_stage);
  OTR_TRY_ASSIGN(const zk::Argument argument, prover.run(zk::Layout(shapes)));
  return zk::encode_argument(argument);
}

Result<ProofBytes> prove_pass(const zk::Statement& statement, const zk::Job& job, Witness witness,
                              engine::Pool& pool, const ProveOptions& options) {
  OTR_TRY_ASSIGN(const zk::PublicRows publics,
                 zk::compute_rows(job, witness.rows, witness.scalars));
  OTR_CHECK(publics.options == witness.options);
  if (options.on_stage) OTR_TRY(options.on_stage("counting", 100));
  if (Status counted = count_multiplicities(job.model, publics.columns, witness, pool);
      !counted && !options.forge) {
    return std::unexpected(counted.error());
  }
  ProofBytes proof{zk::encode_rows(witness.rows), zk::encode_scalars(witness.scalars), {}};
  zk::Transcript transcript = zk::open_transcript(statement, proof.rows, proof.scalars);
  OTR_TRY_ASSIGN(proof.argument,
                 prove_argument(transcript, job, publics, witness, pool, options.on_stage));
  return proof;
}

}  // namespace otr::prover
