// The opening from commitment to check (SPEC PO): what is true is accepted, by every instruction
// set with the same bytes; every claim and every element of the proof matters.
#include "prover/open.h"

#include <gmock/gmock.h>

#include <functional>

#include "merkle/tree.h"
#include "prover/opening_fixture.h"

namespace otr::prover {
namespace {

using zk::Ext;
using zk::Felt;

const Opened& honest() {
  static const Opened all = [] {
    engine::Pool pool(2);
    return opened(mixed_shapes(), 2, pool);
  }();
  return all;
}

void expect_refused(const std::string& what, const std::function<void(Opened&)>& change) {
  Opened all = honest();
  change(all);
  const Status status = all.check();
  ASSERT_FALSE(status.has_value()) << what;
  EXPECT_EQ(status.error().code, "PROOF_INVALID") << what;
  EXPECT_EQ(status.error().kind, ErrorKind::kReject) << what;
}

bool same(const zk::OpeningProof& a, const zk::OpeningProof& b) {
  if (a.sumcheck.messages != b.sumcheck.messages || a.value != b.value || a.nonce != b.nonce ||
      a.combined != b.combined || a.queries.size() != b.queries.size()) {
    return false;
  }
  for (std::size_t i = 0; i < a.queries.size(); ++i) {
    if (a.queries[i].cells != b.queries[i].cells || a.queries[i].path != b.queries[i].path) {
      return false;
    }
  }
  return true;
}

TEST(OpenTest, AcceptsTrueClaimsOnManyShapes) {
  const std::vector<std::vector<zk::ColumnShape>> all = {
      {{{1}}},
      {{{}}, {{}}, {{3}}},
      {{{129}}},
      {{{45, 45}}},
      {{{1 << 10}}},
      {{{(1 << 12) + 1}}},
      {{{11, 11, 11}}, {{2, 2}}, {{7, 1, 9}}},
      {{{288, 45}}, {{288, 45}}, {{45, 288}}, {{1000}}}};
  engine::Pool pool(2);
  for (const auto& shapes : all) {
    for (const int claims : {0, 1, 3}) {
      const Status status = opened(shapes, claims, pool).check();
      EXPECT_TRUE(status) << status.error().message;
    }
  }
  const Status status = honest().check();
  EXPECT_TRUE(status) << status.error().message;
}

TEST(OpenTest, ThreadsAndInstructionSetsGiveTheSameBytes) {
  const std::vector<zk::ColumnShape> shapes = {{{288, 45}}, {{3, 7}}, {{1 << 13}}, {{1, 999}}};
  engine::Pool single(1);
  const Opened expected = opened(shapes, 2, single, Isa::kPortable);
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    if (!supported(isa)) {
      std::puts("[  NOTE    ] this machine lacks an instruction set; its kernels were not run");
      continue;
    }
    for (const unsigned threads : {1U, 2U, 3U}) {
      engine::Pool pool(threads);
      EXPECT_TRUE(same(opened(shapes, 2, pool, isa).proof, expected.proof))
          << static_cast<int>(isa) << " " << threads;
    }
  }
}

// The prover is run on the false claims, as one that lies would.
TEST(OpenTest, RefusesWhatIsFalseEvenWhenProvedForIt) {
  const auto expect_refused_anew = [](const std::function<void(Opened&)>& change) {
    Opened all = honest();
    change(all);
    engine::Pool pool(1);
    const Committed committed(all.layout, pointers(all.columns), pool);
    zk::Transcript t = all.transcript();
    all.proof = open(t, all.layout, committed, all.evals, all.cells, pool);
    EXPECT_FALSE(all.check());
  };
  for (std::size_t i = 0; i < honest().evals.size(); ++i) {
    expect_refused_anew([&](Opened& all) { all.evals[i].value += zk::kOne; });
    expect_refused_anew([&](Opened& all) { all.cells[i].value += zk::kOne; });
  }
  // Cells of other columns under the same commitment.
  expect_refused_anew([](Opened& all) { all.columns[3][5] ^= 1; });
}

TEST(OpenTest, RefusesEveryChangedClaim) {
  for (std::size_t i = 0; i < honest().evals.size(); ++i) {
    expect_refused("value", [&](Opened& all) { all.evals[i].value.c1 += Felt{1}; });
    expect_refused("cell value", [&](Opened& all) { all.cells[i].value.c0 += Felt{1}; });
    for (std::size_t j = 0; j < honest().evals[i].point.size(); ++j) {
      expect_refused("point", [&](Opened& all) { all.evals[i].point[j].c0 += Felt{1}; });
    }
    expect_refused("no such column", [&](Opened& all) { all.evals[i].column = 8; });
    expect_refused("no such column", [&](Opened& all) { all.cells[i].column = 8; });
    expect_refused("long point", [&](Opened& all) { all.evals[i].point.push_back(zk::kOne); });
    expect_refused("no such cell", [&](Opened& all) {
      all.cells[i].cell = all.columns[all.cells[i].column].size();
    });
    expect_refused("no such cell", [&](Opened& all) { all.cells[i].cell = ~std::uint64_t{0}; });
    if (honest().columns[honest().cells[i].column].size() > 1) {
      expect_refused("another cell", [&](Opened& all) {
        auto& cell = all.cells[i].cell;
        cell = cell == 0 ? 1 : cell - 1;
      });
      expect_refused("short point", [&](Opened& all) { all.evals[i].point.pop_back(); });
    }
    expect_refused("one claim less", [&](Opened& all) {
      all.evals.erase(all.evals.begin() + static_cast<std::ptrdiff_t>(i));
    });
  }
  // {45, 11} and {64, 16} have points of the same size.
  expect_refused("another column", [](Opened& all) { all.evals[0].column = 3; });
  expect_refused("another column", [](Opened& all) { all.cells[0].column = 3; });
  expect_refused("other order", [](Opened& all) { std::swap(all.evals[0], all.evals[1]); });
}

TEST(OpenTest, RefusesEveryChangedElementOfTheSumcheckAndTheRow) {
  for (std::size_t i = 0; i < honest().proof.sumcheck.messages.size(); ++i) {
    expect_refused("c0", [&](Opened& all) { all.proof.sumcheck.messages[i].c0 += Felt{1}; });
    expect_refused("c1", [&](Opened& all) { all.proof.sumcheck.messages[i].c1 += Felt{1}; });
  }
  expect_refused("value", [](Opened& all) { all.proof.value += zk::kOne; });
  expect_refused("value", [](Opened& all) { all.proof.value = zk::kZero; });
  for (std::size_t i = 0; i < honest().proof.combined.size(); ++i) {
    expect_refused("row", [&](Opened& all) { all.proof.combined[i].c0 += Felt{1}; });
    expect_refused("row", [&](Opened& all) { all.proof.combined[i].c1 += Felt{1}; });
  }
}

TEST(OpenTest, RefusesEveryChangedQueryAndTheNonce) {
  expect_refused("nonce", [](Opened& all) { ++all.proof.nonce; });
  expect_refused("nonce", [](Opened& all) { all.proof.nonce |= std::uint64_t{1} << 63; });
  for (std::size_t i = 0; i < zk::kQueries; ++i) {
    expect_refused("cell", [&](Opened& all) {
      auto& cells = all.proof.queries[i].cells;
      cells[i % cells.size()] += Felt{1};
    });
    expect_refused("path", [&](Opened& all) {
      auto& path = all.proof.queries[i].path;
      path[i % path.size()][i % 32] ^= 1;
    });
  }
  expect_refused("order",
                 [](Opened& all) { std::swap(all.proof.queries[0], all.proof.queries[1]); });
}

TEST(OpenTest, RefusesAnotherCommitment) {
  const auto with = [](const std::function<void(zk::Commitment&)>& change) {
    Opened all = honest();
    zk::Transcript t = all.transcript();  // as if the challenges had not changed
    change(all.commitment);
    EXPECT_FALSE(zk::check_opening(t, all.layout, all.commitment, all.evals, all.cells, all.proof));
    expect_refused("commitment", [&](Opened& changed) { change(changed.commitment); });
  };
  with([](zk::Commitment& c) { c.data_root[31] ^= 128; });
  with([](zk::Commitment& c) { c.parity_root[0] ^= 1; });
  with([](zk::Commitment& c) { std::swap(c.data_root, c.parity_root); });
}

TEST(OpenTest, RefusesEveryWrongSize) {
  const auto both = [](const std::string& what, const auto& list_of) {
    expect_refused(what + " cut", [&](Opened& all) { list_of(all.proof).pop_back(); });
    expect_refused(what + " empty", [&](Opened& all) { list_of(all.proof).clear(); });
    expect_refused(what + " extended",
                   [&](Opened& all) { list_of(all.proof).push_back(list_of(all.proof).back()); });
  };
  both("messages", [](zk::OpeningProof& p) -> auto& { return p.sumcheck.messages; });
  both("row", [](zk::OpeningProof& p) -> auto& { return p.combined; });
  both("queries", [](zk::OpeningProof& p) -> auto& { return p.queries; });
  for (const std::size_t i : {std::size_t{0}, zk::kQueries / 2, zk::kQueries - 1}) {
    both("cells", [&](zk::OpeningProof& p) -> auto& { return p.queries[i].cells; });
    both("path", [&](zk::OpeningProof& p) -> auto& { return p.queries[i].path; });
  }
  expect_refused("nothing", [](Opened& all) { all.proof = {}; });
}

// A commitment whose parity of one row is garbage, opened by a prover that answers the queries from
// it: everything else is right, so that only the comparison with the code can refuse it.
TEST(OpenTest, RefusesAWordThatIsNoCodeWord) {
  Opened all = honest();
  engine::Pool pool(1);
  const Committed committed(all.layout, pointers(all.columns), pool);
  std::vector<zk::OpenedPlace> places;
  merkle::Tree data, parity;
  for (std::uint64_t place = 0; place < 2 * all.layout.places(); ++place) {
    places.push_back(committed.open_place(place));
    std::vector<Felt>& cells = places.back().cells;
    const bool is_parity = place >= all.layout.places();
    if (is_parity) cells[1] = Felt{place * 0x9E3779B97F4A7C15 % zk::kPrime};
    (is_parity ? parity : data)
        .append(
            merkle::leaf({reinterpret_cast<const std::uint8_t*>(cells.data()), 8 * cells.size()}));
  }
  for (std::uint64_t i = 0; i < all.layout.places(); ++i) {
    places[all.layout.places() + i].path = parity.open_range(i, i + 1);
  }
  ASSERT_EQ(zk::place_root(all.layout, false, data.top()), all.commitment.data_root);
  all.commitment.parity_root = zk::place_root(all.layout, true, parity.top());
  zk::Transcript t = all.transcript();
  all.proof = open(t, all.layout, committed, all.evals, all.cells, pool);
  // The places once more, as the verifier draws them.
  zk::Transcript again = all.transcript();
  const auto weights = zk::powers(again.challenge(), all.evals.size() + all.cells.size());
  Ext claim = zk::weighted_values(weights, all.evals, all.cells);
  ASSERT_TRUE(zk::check_sumcheck(again, all.proof.sumcheck,
                                 static_cast<std::size_t>(all.layout.bits()), 2, claim));
  again.absorb(zk::Label::kOpened, std::span(&all.proof.value, 1));
  again.absorb(zk::Label::kCombined, all.proof.combined);
  ASSERT_TRUE(again.check_grind(all.proof.nonce, zk::kQueryGrindBits));
  const auto drawn = zk::draw_places(again, all.layout);
  for (std::size_t i = 0; i < drawn.size(); ++i) all.proof.queries[i] = places[drawn[i]];
  const Status status = all.check();
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, testing::HasSubstr("do not combine to the code word"));
}

}  // namespace
}  // namespace otr::prover
