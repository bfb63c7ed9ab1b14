// Proofs of models with q/k norms (SPEC PT-2, "head norms"): a true one is accepted; for each
// constraint that the norms add a lie that breaks it alone is refused with it and taken without it;
// and so are sums of squares that are not the heads'.
//
// By default the proofs are made for one half of q; OTR_EXHAUSTIVE=1 makes them for all.
#include <gtest/gtest.h>

#include <cstdlib>

#include "prover/lies.h"

namespace otr::prover {
namespace {

// Shifts of two limbs for q, of three for k.
const Scene& scene() {
  static const Scene made({.name = "head norms",
                           .artifact = {.seed = 3, .biases = true, .qk_norm = true, .layers = 2},
                           .sampling = {.inv_t = 94548},
                           .tweak = [](model::Config& config) {
                             config.shape.qk_frac_bits = 9;
                             set_exponent(config, "k_norm", 22);
                             set_exponent(config, ".wk", 26);
                           }});
  return made;
}

bool of_norms(const std::string& constraint) {
  const std::string name = constraint.substr(constraint.find(' ') + 1);
  return name == "qsq" || name == "ksq" ||
         ((name.starts_with("q.") || name.starts_with("k.")) && (name[2] == 'n' || name[2] == 'g'));
}

// One more than the sum of some head, where R stays what it is.
std::optional<Lie> miscount(const std::string& constraint) {
  for (std::uint32_t t = 0; t < scene().job().positions(); ++t) {
    Lie lie = scene().truth();
    zk::RowScalars& row = lie.witness.scalars.rows[1][t];
    ++(constraint == "sum qsq" ? row.q_sumsq : row.k_sumsq).back();
    if (lie.recompute(scene()) && lie.wrong(scene()) == std::set{constraint}) return lie;
  }
  return {};
}

TEST(HeadNorms, TheTruthIsAcceptedAndIsReadFromItsBytes) {
  const Lie& truth = scene().truth();
  ASSERT_TRUE(truth.witness.circuit.has("q.g0.1") && truth.witness.circuit.has("k.g0.2"));
  EXPECT_EQ(truth.wrong(scene()), std::set<std::string>());
  const auto proof =
      prove_pass(scene().statement(), scene().job(), truth.witness, scene().pool(), {});
  ASSERT_TRUE(proof) << proof.error().message;
  const Status verified = zk::verify_pass(scene().statement(), scene().job(), proof->parts());
  EXPECT_TRUE(verified) << verified.error().message;

  // The sums stand behind the records of q and behind those of k (SPEC PS-4).
  const std::size_t q_sum = 2 + 2 * 13;
  const std::size_t k_sum = q_sum + 2 * 8 + 13;
  EXPECT_EQ(load_le<std::uint64_t>(proof->scalars.data() + q_sum),
            truth.witness.scalars.rows[0][0].q_sumsq[0]);
  EXPECT_EQ(load_le<std::uint64_t>(proof->scalars.data() + k_sum),
            truth.witness.scalars.rows[0][0].k_sumsq[0]);
  for (const std::size_t at : {q_sum, q_sum + 1, q_sum + 7, q_sum + 8, k_sum, k_sum + 7}) {
    prover::ProofBytes lie = *proof;
    lie.scalars[at] ^= 1;
    const Status refused = zk::verify_pass(scene().statement(), scene().job(), lie.parts());
    ASSERT_FALSE(refused) << at;
    EXPECT_TRUE(refused.error().code == "PROOF_INVALID" || refused.error().code == "MALFORMED");
  }
}

TEST(HeadNorms, EveryConstraintIsNeeded) {
  std::size_t count = 0;
  for (const std::string& constraint : scene().constraints()) {
    if (!of_norms(constraint)) continue;
    ++count;
    const bool sum = constraint.starts_with("sum");
    std::optional<Lie> lie = sum ? miscount(constraint) : find_lie(scene(), constraint);
    ASSERT_TRUE(lie) << constraint;
    EXPECT_EQ(lie->wrong(scene()), std::set{constraint});
    const bool first_half = constraint.contains("q.n0") || constraint.contains("q.g0");
    if (std::getenv("OTR_EXHAUSTIVE") == nullptr && !sum && !first_half) continue;
    const Status refused = try_lie(scene(), *lie);
    ASSERT_FALSE(refused) << constraint;
    EXPECT_EQ(refused.error().code, "PROOF_INVALID") << constraint;
    lie->excuse(constraint);
    const Status taken = try_lie(scene(), *std::move(lie));
    EXPECT_TRUE(taken) << constraint << ": " << taken.error().message;
  }
  // Both halves: two range checks, the limbs and the equation; and the sums.
  EXPECT_EQ(count, 2U * (2 + 2 + 1) + 2 * (2 + 3 + 1) + 2);
}

TEST(HeadNorms, SumsBeyondTheRangeAreRefusedAtOnce) {
  for (const std::uint64_t sum :
       {(std::uint64_t{4} << 46) + 1, UINT64_MAX, std::uint64_t{1} << 63}) {
    for (const bool q : {false, true}) {
      zk::Scalars scalars = scene().truth().witness.scalars;
      (q ? scalars.rows[1][2].q_sumsq : scalars.rows[1][2].k_sumsq).back() = sum;
      const auto rows = zk::compute_rows(scene().job(), scene().truth().witness.rows, scalars);
      ASSERT_FALSE(rows);
      EXPECT_EQ(rows.error().code, "PROOF_INVALID");
    }
  }
}

// Another sum makes another root, and with it another y' than the one that is proven.
TEST(HeadNorms, AnotherRootIsRefused) {
  Lie lie = scene().truth();
  zk::RowScalars& row = lie.witness.scalars.rows[1][2];
  row.q_sumsq[0] += row.q_sumsq[0] / 2;
  ASSERT_TRUE(lie.recompute(scene()));
  EXPECT_TRUE(lie.wrong(scene()).contains("zero q.n0"));
  EXPECT_TRUE(lie.wrong(scene()).contains("sum qsq"));
  EXPECT_FALSE(try_lie(scene(), std::move(lie)));
}

}  // namespace
}  // namespace otr::prover
