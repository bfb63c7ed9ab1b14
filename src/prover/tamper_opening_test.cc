// The combined row of an opening, for a prover that knows the places before it sends the row: a
// verifier that freezes them takes a false row, ours does not (SPEC PO-2, PO-3).
#include <gtest/gtest.h>

#include <set>

#include "prover/lies.h"
#include "prover/open_test_fixture.h"
#include "zk/ntt.h"

namespace otr::prover {
namespace {

using zk::Ext;

std::vector<std::uint64_t> code_word(const zk::ParityCode& code, std::vector<std::uint64_t> row) {
  std::vector<std::uint64_t> word = row;
  code.extend(row);
  word.insert(word.end(), row.begin(), row.end());
  return word;
}

// A code word that is 0 at all these places.
std::vector<std::uint64_t> zero_at(const zk::ParityCode& code,
                                   const std::set<std::uint64_t>& places) {
  const std::size_t n = code.places();
  std::vector<std::size_t> free;
  std::vector<std::vector<zk::Felt>> matrix;  // of what is free, at the places of the parity
  for (std::size_t i = 0; i < n && matrix.size() <= places.size(); ++i) {
    if (places.contains(i)) continue;
    std::vector<std::uint64_t> unit(n);
    unit[i] = 1;
    const std::vector<std::uint64_t> word = code_word(code, unit);
    free.push_back(i);
    matrix.emplace_back();
    for (const std::uint64_t place : places) {
      if (place >= n) matrix.back().push_back({word[place]});
    }
  }
  const std::vector<zk::Felt> weights = null_vector(matrix);
  std::vector<std::uint64_t> row(n);
  for (std::size_t i = 0; i < weights.size(); ++i) row[free[i]] = weights[i].v;
  return row;
}

TEST(Frozen, CombinedRow) {
  engine::Pool pool(1);
  Opened all = opened({{{63, 63}}}, 1, pool);
  ASSERT_TRUE(all.check());
  const auto bits = static_cast<std::size_t>(all.layout.bits());
  const auto kappa = static_cast<std::size_t>(all.layout.kappa());
  // The challenges of the honest proof.
  zk::Transcript t = all.transcript();
  const auto weights = zk::powers(t.challenge(), all.evals.size() + all.cells.size());
  Ext claim = zk::weighted_values(weights, all.evals, all.cells);
  const auto rho = zk::check_sumcheck(t, all.proof.sumcheck, bits, 2, claim);
  ASSERT_TRUE(rho);
  const Ext weight = claim * inverse(all.proof.value);  // W(ρ)
  t.absorb(zk::Label::kOpened, std::span(&all.proof.value, 1));
  t.absorb(zk::Label::kCombined, all.proof.combined);
  ASSERT_TRUE(t.check_grind(all.proof.nonce, zk::kQueryGrindBits));
  const std::vector<std::uint64_t> drawn = zk::draw_places(t, all.layout);

  // Another row, the same at all places that will be asked for.
  const zk::ParityCode code(static_cast<int>(kappa));
  const std::vector<std::uint64_t> change = zero_at(code, {drawn.begin(), drawn.end()});
  const std::vector<std::uint64_t> word = code_word(code, change);
  for (const std::uint64_t place : drawn) ASSERT_EQ(word[place], 0U);
  const std::vector<Ext> eq = zk::eq_table(std::span(*rho).first(kappa), all.layout.places());
  Ext value = zk::kZero;
  for (std::size_t i = 0; i < eq.size(); ++i) {
    all.proof.combined[i] += zk::ext(zk::Felt{change[i]});
    value += eq[i] * all.proof.combined[i];
  }
  ASSERT_NE(value, all.proof.value);
  // And a last message of the sumcheck that leads to its value.
  Ext& last = all.proof.sumcheck.messages.back();
  const std::array<Ext, 3> at_two = {zk::kZero, zk::kZero, zk::kOne};
  last += (value * weight - claim) * inverse(zk::interpolate(at_two, rho->back()));
  all.proof.value = value;

  // Frozen, all is well.
  claim = zk::weighted_values(weights, all.evals, all.cells);
  for (std::size_t i = 0; i < bits; ++i) {
    const Ext g0 = all.proof.sumcheck.messages[2 * i];
    const Ext g2 = all.proof.sumcheck.messages[2 * i + 1];
    claim = zk::interpolate(std::array{g0, claim - g0, g2}, (*rho)[i]);
  }
  EXPECT_EQ(claim, value * weight);
  // Ours.
  const Status status = all.check();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, "PROOF_INVALID");
}

}  // namespace
}  // namespace otr::prover
