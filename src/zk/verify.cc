#include "zk/verify.h"

#include <algorithm>
#include <map>

#include "zk/lookup_tables.h"
#include "zk/soundness.h"

namespace otr::zk {
namespace {

std::unexpected<Error> differs(const std::string& what) {
  return reject_proof(what + ": the last claim of a sumcheck does not hold");
}

class Verifier {
 public:
  Verifier(const Job& job, const PublicRows& rows, const Argument& argument, Transcript& transcript)
      : job_(job),
        rows_(rows),
        circuit_(rows.circuit),
        argument_(argument),
        transcript_(transcript),
        plan_(plan_leaves(rows.circuit)),
        virtual_claims_(rows.circuit.columns.size()) {
    for (std::uint32_t i = 0; i < circuit_.committed.size(); ++i) {
      committed_index_[circuit_.committed[i]] = i;
    }
  }

  Status run(const Layout& layout);

 private:
  struct VirtualClaim {
    DimPoints point;
    Ext value;
  };

  Status check_leaves();
  Ext box_sum(const Domain& domain, const DimPoints& r) const;
  Status check_domain(std::size_t index);
  Status check_contraction(std::size_t index);
  Ext value_of_public(ColumnId id, const DimPoints& points);
  void claim_committed(ColumnId id, const DimPoints& points, Ext value);

  const Job& job_;
  const PublicRows& rows_;
  const Circuit& circuit_;
  const Argument& argument_;
  Transcript& transcript_;
  const LeafPlan plan_;
  Ext alpha_, beta_;
  Point r_;
  std::map<ColumnId, std::uint32_t> committed_index_;
  std::vector<EvalClaim> claims_;
  std::vector<VirtualClaim> virtual_claims_;
};

Ext Verifier::value_of_public(ColumnId id, const DimPoints& points) {
  const Column& column = circuit_.columns[id];
  if (column.kind == ColumnKind::kWeights) {
    return evaluate_weights(circuit_, job_.model, column, points);
  }
  return evaluate(circuit_, column.dims, rows_.columns[id], points);
}

void Verifier::claim_committed(ColumnId id, const DimPoints& points, Ext value) {
  Point point;
  for (const Dim dim : circuit_.columns[id].dims) {
    point.insert(point.end(), at(points, dim).begin(), at(points, dim).end());
  }
  claims_.push_back({committed_index_.at(id), std::move(point), value});
}

// Σ of eq(r, x) over box and mask.
Ext Verifier::box_sum(const Domain& domain, const DimPoints& r) const {
  const Dims masked = domain.masked ? circuit_.columns[domain.mask].dims : Dims{};
  Ext product = domain.masked ? evaluate(circuit_, masked, rows_.columns[domain.mask], r) : kOne;
  for (const Dim dim : domain.dims) {
    if (has(masked, dim)) continue;
    Ext sum = kZero;
    for (const Ext& e : eq_table(at(r, dim), circuit_.size(dim))) sum += e;
    product *= sum;
  }
  return product;
}

// SPEC PL-4 and PR-1.
Status Verifier::check_leaves() {
  OTR_TRY_ASSIGN(const GkrClaim leaves, check_gkr(transcript_, argument_.gkr, plan_.nu));
  r_ = leaves.r;
  transcript_.absorb(Label::kDomainSums, argument_.domain_sums);
  transcript_.absorb(Label::kColumnValues, argument_.multiplicities);
  Ext p = kZero;
  Ext q = kOne;
  for (std::size_t d = 0; d < circuit_.domains.size(); ++d) {
    const Domain& domain = circuit_.domains[d];
    const Ext box = box_sum(domain, split_point(circuit_, domain.dims, r_));
    for (const LeafBlockPlace& block : plan_.lookups[d]) p += block.weight(r_) * box;
    q += argument_.domain_sums[d];
  }
  for (std::size_t i = 0; i < circuit_.tables.size(); ++i) {
    const LeafBlockPlace& block = plan_.tables[i];
    const auto low = std::span(r_).first(static_cast<std::size_t>(block.bits));
    const Ext weight = block.weight(r_);
    const Ext fp = table_fingerprint(circuit_.tables[i],
                                     machine::q_bound(job_.model.shape.head_dim), low, beta_);
    p -= weight * argument_.multiplicities[i];
    q += weight * (alpha_ - kOne - fp);
    claims_.push_back({committed_index_.at(circuit_.multiplicities[i]),
                       Point(low.begin(), low.end()), argument_.multiplicities[i]});
  }
  if (p != leaves.p || q != leaves.q)
    return reject_proof("the leaves are not those of the columns");
  return {};
}

// SPEC PR-2.
Status Verifier::check_domain(std::size_t index) {
  const Domain& domain = circuit_.domains[index];
  const Reduction& proof = argument_.domains[index];
  const Ext theta = transcript_.challenge();
  Ext claim = argument_.domain_sums[index];
  OTR_TRY_ASSIGN(const Point rho,
                 check_sumcheck(transcript_, proof.sumcheck, variables_of(circuit_, domain.dims),
                                static_cast<std::size_t>(domain.degree), claim));
  transcript_.absorb(Label::kColumnValues, proof.values);
  const DimPoints points = split_point(circuit_, domain.dims, rho);
  const DimPoints start = split_point(circuit_, domain.dims, r_);

  std::vector<ColumnId> sent = domain.committed;
  sent.insert(sent.end(), domain.virtuals.begin(), domain.virtuals.end());
  std::map<ColumnId, Ext> values;
  for (std::size_t i = 0; i < sent.size(); ++i) values[sent[i]] = proof.values[i];
  for (const ColumnId id : domain.committed) claim_committed(id, points, values.at(id));
  for (const ColumnId id : domain.virtuals) virtual_claims_[id] = {points, values.at(id)};

  std::vector<Ext> weights;
  for (const LeafBlockPlace& block : plan_.lookups[index]) weights.push_back(block.weight(r_));
  Ext expected = kZero;
  for (const KTerm& term : domain_summand(circuit_, index, weights, {alpha_, beta_, theta})) {
    Ext product = term.coefficient;
    for (const ColumnId id : term.factors) {
      const auto [known, fresh] = values.try_emplace(id);
      if (fresh) known->second = value_of_public(id, points);
      product *= known->second;
    }
    expected += product;
  }
  if (domain.masked) expected *= value_of_public(domain.mask, points);
  for (const Dim dim : domain.dims) {
    expected *= eq_prefix(at(start, dim), at(points, dim), circuit_.size(dim));
  }
  if (expected != claim) return differs("domain " + domain.name);
  return {};
}

// SPEC PE-1.
Status Verifier::check_contraction(std::size_t index) {
  const Contraction& contraction = circuit_.contractions[index];
  const Reduction& proof = argument_.contractions[index];
  const Column& output = circuit_.columns[contraction.output];
  VirtualClaim& start = virtual_claims_[contraction.output];
  if (contraction.scalars) {
    const std::size_t bits = variables_of(circuit_, output.dims);
    start.point = split_point(circuit_, output.dims, transcript_.challenges(bits));
    start.value = evaluate(circuit_, output.dims, rows_.columns[contraction.output], start.point);
  }
  Ext claim = start.value;
  OTR_TRY_ASSIGN(const Point rho, check_sumcheck(transcript_, proof.sumcheck,
                                                 variables_of(circuit_, contraction.sum),
                                                 degree_of(circuit_, contraction), claim));
  transcript_.absorb(Label::kFactorValues, proof.values);
  DimPoints points = start.point;
  const DimPoints summed = split_point(circuit_, contraction.sum, rho);
  Ext expected = kZero;
  std::map<ColumnId, Ext> values;
  for (const Dim dim : contraction.sum) at(points, dim) = at(summed, dim);
  const std::vector<ColumnId> sent = committed_factors(circuit_, contraction);
  for (std::size_t i = 0; i < sent.size(); ++i) {
    values[sent[i]] = proof.values[i];
    claim_committed(sent[i], points, proof.values[i]);
  }
  for (const auto& term : contraction.terms) {
    Ext product = kOne;
    for (const ColumnId id : term) {
      const auto [known, fresh] = values.try_emplace(id);
      if (fresh) known->second = value_of_public(id, points);
      product *= known->second;
    }
    expected += product;
  }
  for (const Dim dim : contraction.sum) {
    if (!has(output.dims, dim)) continue;
    expected *= eq_prefix(at(start.point, dim), at(summed, dim), circuit_.size(dim));
  }
  if (expected != claim) return differs("contraction of " + output.name);
  return {};
}

Status Verifier::run(const Layout& layout) {
  if (!transcript_.check_grind(argument_.nonce, kLookupGrindBits)) {
    return reject_proof("the first nonce is not ground");
  }
  alpha_ = transcript_.challenge();
  beta_ = transcript_.challenge();
  OTR_TRY(check_leaves());
  for (std::size_t d = 0; d < circuit_.domains.size(); ++d) OTR_TRY(check_domain(d));
  for (std::size_t c = 0; c < circuit_.contractions.size(); ++c) OTR_TRY(check_contraction(c));
  return check_opening(transcript_, layout, argument_.commitment, claims_, rows_.cells,
                       argument_.opening);
}

}  // namespace

Bytes Statement::bytes() const {
  Bytes out;
  for (const Hash& h : {spec_hash, model_root, request_digest, claim_digest, trace_root}) {
    append(out, h);
  }
  append(out, signer);
  append(out, beacon);
  append_le(out, n_prompt);
  append_le(out, n_out);
  return out;
}

Transcript open_transcript(const Statement& statement, ByteView rows, ByteView scalars) {
  Transcript transcript(as_bytes("OTR.proof/1"));
  transcript.absorb(Label::kStatement, statement.bytes());
  transcript.absorb(Label::kStatement, rows);
  transcript.absorb(Label::kScalars, scalars);
  return transcript;
}

DimPoints split_point(const Circuit& circuit, const Dims& dims, std::span<const Ext> point) {
  DimPoints points;
  for (const Dim dim : dims) {
    const auto bits = static_cast<std::size_t>(bits_of(circuit.size(dim)));
    at(points, dim).assign(point.begin(), point.begin() + static_cast<std::ptrdiff_t>(bits));
    point = point.subspan(bits);
  }
  return points;
}

std::vector<KTerm> domain_summand(const Circuit& circuit, std::size_t domain,
                                  std::span<const Ext> weights,
                                  const DomainChallenges& challenges) {
  const Domain& d = circuit.domains[domain];
  std::map<std::vector<ColumnId>, Ext> sum;
  const auto add = [&](const Expression& expression, Ext factor) {
    for (const Term& term : expression) {
      std::vector<ColumnId> factors = term.factors;
      std::ranges::sort(factors);
      sum[std::move(factors)] += factor * term.coefficient;
    }
  };
  for (std::size_t i = 0; i < d.lookups.size(); ++i) {
    const Lookup& lookup = d.lookups[i];
    sum[{}] +=
        weights[i] * (challenges.alpha - kOne - ext(static_cast<std::int64_t>(lookup.table)));
    Ext power = -weights[i];
    for (const Expression& e : lookup.tuple) add(e, power *= challenges.beta);
  }
  Ext power = kOne;
  for (const Zero& zero : d.zeros) add(zero.value, power *= challenges.theta);
  std::vector<KTerm> terms;
  for (auto& [factors, coefficient] : sum) terms.push_back({coefficient, factors});
  return terms;
}

Status verify_argument(Transcript& transcript, const Job& job, const PublicRows& publics,
                       ByteView bytes) {
  const std::vector<ColumnShape> shapes = committed_shapes(publics.circuit);
  if (!Layout::fits(shapes)) return reject_proof("the pass has too many cells for one proof");
  const Layout layout(shapes);
  OTR_TRY(check_soundness(publics.circuit, layout, publics.cells.size()));
  OTR_TRY_ASSIGN(const Argument argument,
                 decode_argument(bytes, shape_of(publics.circuit, layout)));
  transcript.absorb(Label::kCommitment, argument.commitment.hash());
  return Verifier(job, publics, argument, transcript).run(layout);
}

Status verify_pass(const Statement& statement, const Job& job, const ProofParts& parts) {
  const auto n_prompt = static_cast<std::uint32_t>(job.prompt.size());
  const auto n_out = static_cast<std::uint32_t>(job.output.size());
  OTR_TRY_ASSIGN(const TraceRows rows, decode_rows(parts.rows, job.model.shape, n_prompt, n_out));
  OTR_TRY_ASSIGN(const Scalars scalars,
                 decode_scalars(parts.scalars, job.model.shape, n_prompt, n_out));
  OTR_TRY_ASSIGN(const PublicRows publics, compute_rows(job, rows, scalars, parts.argument.size()));
  Transcript transcript = open_transcript(statement, parts.rows, parts.scalars);
  return verify_argument(transcript, job, publics, parts.argument);
}

}  // namespace otr::zk
