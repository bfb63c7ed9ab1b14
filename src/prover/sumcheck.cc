#include "prover/sumcheck.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "prover/sumcheck_round.h"

namespace otr::prover {
namespace {

using zk::Ext;

LiveColumn eq_column(std::uint32_t dim, std::uint32_t size, const zk::Point& point) {
  OTR_CHECK(point.size() == static_cast<std::size_t>(zk::bits_of(size)));
  const std::vector<Ext> table = zk::eq_table(point, size);
  std::vector<std::uint64_t> c0(size), c1(size);
  for (std::size_t i = 0; i < size; ++i) {
    c0[i] = table[i].c0.v;
    c1[i] = table[i].c1.v;
  }
  return live_column({dim}, std::move(c0), std::move(c1));
}

class Prover {
 public:
  Prover(SumcheckProblem problem, engine::Pool& pool, Isa isa);
  SumcheckResult run(zk::Transcript& transcript);

 private:
  void bind_dimension(std::uint32_t d, zk::Transcript& transcript, SumcheckResult& result);
  void bind_variable(std::uint32_t d, const Ext& rho);
  SumcheckPlan plan(std::uint32_t d) const;
  std::vector<LiveColumn> new_forms(std::uint32_t d, const SumcheckPlan& plan) const;
  bool worth_keeping(const AffineForm& form, const SumcheckPlan& plan, std::size_t cells) const;

  const SumcheckKernels& kernels_;
  engine::Pool& pool_;
  Folder folder_;
  std::vector<std::uint32_t> sizes_;  // what is left
  std::vector<LiveColumn> columns_, eq_;
  std::vector<SumcheckTerm> terms_;
  std::size_t degree_;
  Ext scale_ = zk::kOne;  // Π E of the dimensions that are bound
};

Prover::Prover(SumcheckProblem problem, engine::Pool& pool, Isa isa)
    : kernels_(sumcheck_kernels(isa)),
      pool_(pool),
      folder_(kernels_, pool),
      sizes_(std::move(problem.sizes)),
      eq_(sizes_.size()),
      terms_(std::move(problem.terms)),
      degree_(problem.degree) {
  OTR_CHECK(degree_ >= 1 && problem.eq.size() == sizes_.size());
  OTR_CHECK(std::ranges::find(sizes_, 0U) == sizes_.end());
  for (SumcheckColumn& column : problem.columns) {
    OTR_CHECK(std::ranges::adjacent_find(column.dims, std::greater_equal{}) == column.dims.end());
    std::size_t cells = 1;
    for (const std::uint32_t d : column.dims) {
      OTR_CHECK(d < sizes_.size());
      cells *= sizes_[d];
    }
    OTR_CHECK(column.c0.size() == cells && (column.c1.empty() || column.c1.size() == cells));
    std::erase_if(column.dims, [&](std::uint32_t d) { return sizes_[d] == 1; });
    columns_.push_back(
        live_column(std::move(column.dims), std::move(column.c0), std::move(column.c1)));
  }
  for (const SumcheckTerm& term : terms_) {
    for (const std::uint32_t column : term.columns) OTR_CHECK(column < columns_.size());
  }
  for (std::uint32_t d = 0; d < sizes_.size(); ++d) {
    if (problem.eq[d]) eq_[d] = eq_column(d, sizes_[d], *problem.eq[d]);
  }
}

SumcheckResult Prover::run(zk::Transcript& transcript) {
  SumcheckResult result;
  for (std::uint32_t d = 0; d < sizes_.size(); ++d) bind_dimension(d, transcript, result);
  for (const LiveColumn& column : columns_) result.values.push_back(column.at(0));
  return result;
}

SumcheckPlan Prover::plan(std::uint32_t d) const {
  std::vector<ColumnRole> roles;
  for (const LiveColumn& column : columns_) {
    const auto kind = column.dims.empty()        ? ColumnRole::kScalar
                      : column.dims.front() == d ? ColumnRole::kVarying
                                                 : ColumnRole::kFixed;
    roles.push_back({kind, kind == ColumnRole::kScalar ? column.at(0) : zk::kZero});
  }
  return plan_sumcheck(terms_, roles);
}

// A form of several columns costs a product for each whenever it is computed, and one in all when
// it is folded as a column; as long as it is no larger than what it is made of.
bool Prover::worth_keeping(const AffineForm& form, const SumcheckPlan& plan,
                           std::size_t cells) const {
  const auto is_whole = [&](const AffineForm::Entry& entry) {
    return columns_[plan.varying[entry.varying]].count == cells;
  };
  return form.entries.size() >= 2 && std::ranges::any_of(form.entries, is_whole);
}

std::vector<LiveColumn> Prover::new_forms(std::uint32_t d, const SumcheckPlan& plan) const {
  if (sizes_[d] <= 4) return {};  // too few rounds are to come
  std::vector<std::uint32_t> dims;
  std::size_t cells = 1;
  for (std::uint32_t i = d; i < sizes_.size(); ++i) {
    if (sizes_[i] > 1) dims.push_back(i);
    cells *= sizes_[i];
  }
  std::vector<LiveColumn> forms(plan.groups.size() + 1);
  for (std::size_t k = 0; k < forms.size(); ++k) {
    forms[k].dims = dims;
    if (!worth_keeping(k == 0 ? plan.affine : plan.groups[k - 1].factor, plan, cells)) continue;
    forms[k].words.resize(2 * cells);
    forms[k].c0 = forms[k].words.data();
    forms[k].c1 = forms[k].c0 + cells;
    forms[k].count = cells;
  }
  return forms;
}

void Prover::bind_dimension(std::uint32_t d, zk::Transcript& transcript, SumcheckResult& result) {
  if (sizes_[d] > 1) {
    const SumcheckPlan plan_of_d = plan(d);
    const bool has_eq = eq_[d].c0 != nullptr;
    OTR_CHECK(plan_of_d.degree + (has_eq ? 1 : 0) <= degree_);
    std::vector<LiveColumn> forms = new_forms(d, plan_of_d);
    for (bool first = true; sizes_[d] > 1; first = false) {
      std::vector<Ext> message =
          sum_round({kernels_, plan_of_d, columns_, eq_, sizes_, d, degree_, forms, first}, pool_);
      for (Ext& g : message) g *= scale_;
      transcript.absorb(zk::Label::kSumcheck, message);  // P -> V
      result.proof.messages.insert(result.proof.messages.end(), message.begin(), message.end());
      result.point.push_back(transcript.challenge());  // V -> P
      const Ext& rho = result.point.back();
      for (LiveColumn& form : forms) {
        if (form.count != 0) folder_.fold(form, sizes_[d], rho);
      }
      bind_variable(d, rho);
    }
  }
  for (LiveColumn& column : columns_) std::erase(column.dims, d);
  if (eq_[d].c0 != nullptr) scale_ *= eq_[d].at(0);
}

void Prover::bind_variable(std::uint32_t d, const Ext& rho) {
  for (LiveColumn& column : columns_) {
    if (!column.dims.empty() && column.dims.front() == d) folder_.fold(column, sizes_[d], rho);
  }
  if (eq_[d].c0 != nullptr) folder_.fold(eq_[d], sizes_[d], rho);
  sizes_[d] = (sizes_[d] + 1) / 2;
}

}  // namespace

SumcheckResult prove_sumcheck(zk::Transcript& transcript, SumcheckProblem problem,
                              engine::Pool& pool, Isa isa) {
  return Prover(std::move(problem), pool, isa).run(transcript);
}

}  // namespace otr::prover
