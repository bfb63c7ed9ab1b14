// One lie per constraint: a witness in which it alone is wrong has a proof that the verifier
// refuses, and a circuit without it takes that proof. So each constraint works, and none is there
// for nothing.
//
// By default the proofs are made for one constraint of each kind; OTR_EXHAUSTIVE=1 makes them for
// all (a few minutes).
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "prover/lies.h"

namespace otr::prover {
namespace {

bool exhaustive() { return std::getenv("OTR_EXHAUSTIVE") != nullptr; }

const std::set<std::string> kKinds = {
    "lookup q.y0.lo", "lookup x.xr", "lookup f.g", "lookup o.o", "lookup z.e",
    "lookup q.q1",    "zero x.norm", "zero z.e'",  "sum o.A",    "sum hsum",
};

// Lookups, zero constraints and sums of SPEC PT-2 and PT-5 that these passes reach, limb by limb:
// one that the circuit loses is not one that needs no lie.
constexpr std::size_t kConstraints = 109;

TEST(Lies, TheTruthIsAccepted) {
  const Scene scene(plays()[0]);
  EXPECT_EQ(scene.truth().wrong(scene), std::set<std::string>());
  auto proof = prove_pass(scene.statement(), scene.job(), scene.truth().witness, scene.pool(), {});
  ASSERT_TRUE(proof) << proof.error().message;
  const Status verified = zk::verify_pass(scene.statement(), scene.job(), proof->parts());
  EXPECT_TRUE(verified) << verified.error().message;
}

TEST(Lies, EveryConstraintIsNeeded) {
  std::set<std::string> all, broken, proven;
  for (const Play& play : plays()) {
    const Scene scene(play);
    EXPECT_EQ(scene.truth().wrong(scene), std::set<std::string>()) << play.name;
    all.merge(scene.constraints());
    for (const std::string& constraint : scene.constraints()) {
      if (broken.contains(constraint)) continue;
      std::optional<Lie> lie = find_lie(scene, constraint);
      if (!lie) continue;
      broken.insert(constraint);
      if (!exhaustive() && !kKinds.contains(constraint)) continue;
      proven.insert(constraint);
      const Status refused = try_lie(scene, *lie);
      ASSERT_FALSE(refused) << constraint;
      EXPECT_EQ(refused.error().code, "PROOF_INVALID") << constraint;
      lie->excuse(constraint);
      EXPECT_EQ(lie->wrong(scene), std::set<std::string>()) << constraint;
      const Status taken = try_lie(scene, *std::move(lie));
      EXPECT_TRUE(taken) << constraint << ": " << taken.error().message;
    }
  }
  for (const std::string& constraint : all) {
    EXPECT_TRUE(broken.contains(constraint)) << constraint << " has no lie that breaks it alone";
  }
  for (const std::string& constraint : kKinds) EXPECT_TRUE(proven.contains(constraint));
  EXPECT_EQ(all.size(), kConstraints);
}

}  // namespace
}  // namespace otr::prover
