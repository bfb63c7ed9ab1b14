// Attacks on the sum of fractions (SPEC PL-3, PL-4): multiplicities that are not the counts, tuples
// of no table that some multiplicity should pay for, denominators that are 0.
#include <gtest/gtest.h>

#include "prover/gkr.h"
#include "prover/lies.h"

namespace otr::prover {
namespace {

const Scene& scene() {
  static const Scene made(plays()[0]);
  return made;
}

void expect_refused(const std::string& what, Lie lie, const std::function<void(Lie&)>& change) {
  const Status status = try_lie(scene(), std::move(lie), change);
  ASSERT_FALSE(status) << what;
  EXPECT_EQ(status.error().code, "PROOF_INVALID") << what;
}

TEST(Multiplicities, OthersThanTheCounts) {
  const std::vector<std::string> columns = {"multiplicity.1", "multiplicity.3", "multiplicity.4"};
  for (const std::string& column : columns) {
    for (const std::int64_t delta : {1, -1}) {
      for (const bool used : {false, true}) {
        if (column != "multiplicity.1" && delta > 0) continue;
        expect_refused(column, scene().truth(), [&](Lie& lie) {
          auto& counts = lie.column(column);
          for (std::size_t row = counts.size(); row-- > 0;) {
            if ((counts[row] != 0) == used) return lie.add(column, row, zk::felt(delta));
          }
        });
      }
    }
  }
}

// Two rows that hold the same tuple are one: counts may move between them and nothing is said.
TEST(Multiplicities, EqualRowsShareTheirCount) {
  const Status status = try_lie(scene(), scene().truth(), [](Lie& lie) {
    lie.add("multiplicity.1", 0, zk::felt(5));  // both rows hold (0, 0)
    lie.add("multiplicity.1", 1, zk::felt(-5));
  });
  EXPECT_TRUE(status) << status.error().message;
}

TEST(Multiplicities, DoNotPayForATupleOfNoTable) {
  const auto lie = find_lie(scene(), "lookup q.y0.lo");
  ASSERT_TRUE(lie);
  for (const std::int64_t delta : {1, -1}) {
    expect_refused("tuple of no table", *lie,
                   [&](Lie& l) { l.add("multiplicity.1", 77, zk::felt(delta)); });
  }
}

// α that meets a fingerprint makes a denominator 0, and with it Q of the root.
TEST(Denominators, ZeroIsRefused) {
  engine::Pool pool(1);
  for (const std::vector<std::uint64_t>& numerators :
       {std::vector<std::uint64_t>{}, std::vector<std::uint64_t>{0, 1, 1, 1}}) {
    LeafBlock block{{4}, 0, {0, 9, 3, 8}, {0, 4, 2, 6}, numerators};
    zk::Transcript mine(as_bytes("zero"));
    zk::GkrClaim claim;
    zk::GkrProof proof = prove_gkr(mine, {block}, 2, pool, &claim);
    EXPECT_EQ(proof.root[1], zk::kZero);
    for (const bool clear : {false, true}) {
      if (clear) proof.root[0] = zk::kZero;
      zk::Transcript theirs(as_bytes("zero"));
      EXPECT_FALSE(zk::check_gkr(theirs, proof, 2));
    }
  }
}

}  // namespace
}  // namespace otr::prover
