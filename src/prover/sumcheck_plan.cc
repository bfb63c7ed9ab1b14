#include "prover/sumcheck_plan.h"

#include <algorithm>
#include <iterator>
#include <map>

namespace otr::prover {
namespace {

using Monomial = std::vector<std::uint32_t>;          // places in varying, increasing
using Monomials = std::map<Monomial, std::uint32_t>;  // to their coefficient

// The place of `column` in `list`, at whose end it is put if it is new.
std::uint32_t place_of(std::vector<std::uint32_t>& list, std::uint32_t column) {
  const auto found = std::ranges::find(list, column);
  const auto place = static_cast<std::uint32_t>(found - list.begin());
  if (found == list.end()) list.push_back(column);
  return place;
}

Monomials collect(const std::vector<SumcheckTerm>& terms, const std::vector<ColumnRole>& roles,
                  SumcheckPlan& plan) {
  Monomials monomials;
  for (const SumcheckTerm& term : terms) {
    RunCoefficient::Part part{term.coefficient, {}};
    Monomial monomial;
    for (const std::uint32_t column : term.columns) {
      switch (roles[column].kind) {
        case ColumnRole::kVarying:
          monomial.push_back(place_of(plan.varying, column));
          break;
        case ColumnRole::kFixed:
          part.fixed.push_back(place_of(plan.fixed, column));
          break;
        case ColumnRole::kScalar:
          part.constant *= roles[column].value;
          break;
      }
    }
    std::ranges::sort(monomial);
    std::ranges::sort(part.fixed);
    plan.degree = std::max(plan.degree, monomial.size());
    const auto [entry, is_new] =
        monomials.emplace(monomial, static_cast<std::uint32_t>(plan.coefficients.size()));
    if (is_new) plan.coefficients.emplace_back();
    RunCoefficient& coefficient = plan.coefficients[entry->second];
    coefficient.constant = coefficient.constant && part.fixed.empty();
    coefficient.value += part.constant;
    const auto alike =
        std::ranges::find(coefficient.parts, part.fixed, &RunCoefficient::Part::fixed);
    if (alike == coefficient.parts.end()) {
      coefficient.parts.push_back(std::move(part));
    } else {
      alike->constant += part.constant;
    }
  }
  return monomials;
}

Monomial without(const Monomial& from, const Monomial& what) {
  Monomial rest;
  std::ranges::set_difference(from, what, std::back_inserter(rest));
  return rest;
}

// Takes out of all monomials what they have in common; a single one stays whole.
Monomial take_common(Monomials& monomials) {
  if (monomials.size() < 2) return {};
  Monomial common = monomials.begin()->first;
  for (const auto& [monomial, coefficient] : monomials) {
    Monomial both;
    std::ranges::set_intersection(common, monomial, std::back_inserter(both));
    common = std::move(both);
  }
  Monomials rest;
  for (const auto& [monomial, coefficient] : monomials) {
    rest.emplace(without(monomial, common), coefficient);
  }
  monomials = std::move(rest);
  return common;
}

// The prefix that most monomials have, of one column less than themselves.
Monomial best_prefix(const Monomials& monomials) {
  std::map<Monomial, std::size_t> counts;
  for (const auto& [monomial, coefficient] : monomials) {
    for (std::size_t i = 0; i < monomial.size(); ++i) {
      if (i > 0 && monomial[i] == monomial[i - 1]) continue;
      Monomial prefix = monomial;
      prefix.erase(prefix.begin() + static_cast<std::ptrdiff_t>(i));
      ++counts[prefix];
    }
  }
  return std::ranges::max_element(counts, {}, [](const auto& x) { return x.second; })->first;
}

SumcheckPlan::Group take_group(Monomials& monomials) {
  SumcheckPlan::Group group{best_prefix(monomials), {}};
  std::erase_if(monomials, [&](const auto& entry) {
    const auto& [monomial, coefficient] = entry;
    if (monomial.size() != group.prefix.size() + 1) return false;
    const Monomial rest = without(monomial, group.prefix);
    if (rest.size() != 1) return false;
    group.factor.entries.push_back({rest[0], coefficient});
    return true;
  });
  return group;
}

}  // namespace

SumcheckPlan plan_sumcheck(const std::vector<SumcheckTerm>& terms,
                           const std::vector<ColumnRole>& roles) {
  SumcheckPlan plan;
  Monomials monomials = collect(terms, roles, plan);
  plan.common = take_common(monomials);
  std::erase_if(monomials, [&](const auto& entry) {
    const auto& [monomial, coefficient] = entry;
    if (monomial.size() > 1) return false;
    if (monomial.empty()) {
      plan.affine.constant = coefficient;
    } else {
      plan.affine.entries.push_back({monomial[0], coefficient});
    }
    return true;
  });
  while (!monomials.empty()) plan.groups.push_back(take_group(monomials));
  for (const std::uint32_t place : plan.common) place_of(plan.stepped, place);
  for (const auto& group : plan.groups) {
    for (const std::uint32_t place : group.prefix) place_of(plan.stepped, place);
  }
  return plan;
}

}  // namespace otr::prover
