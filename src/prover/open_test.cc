// The opening from commitment to check (SPEC PO): what is true is accepted, by every instruction
// set with the same bytes; every claim and every element of the proof matters.
#include "prover/open.h"

#include <gmock/gmock.h>

#include <functional>

#include "merkle/tree.h"
#include "prover/open_test_fixture.h"

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

// --- Provers that go on honestly after a lie, so that one check alone is left to refuse it -------

// What a prover knows when the sumcheck of all.proof is over.
struct Replay {
  zk::Transcript transcript;
  std::vector<Ext> weights;
  zk::Point rho;
  Ext claim;
};
Replay after_sumcheck(const Opened& all) {
  Replay replay{all.transcript(), {}, {}, {}};
  replay.weights = zk::powers(replay.transcript.challenge(), all.evals.size() + all.cells.size());
  replay.claim = zk::weighted_values(replay.weights, all.evals, all.cells);
  replay.rho = zk::check_sumcheck(replay.transcript, all.proof.sumcheck,
                                  static_cast<std::size_t>(all.layout.bits()), 2, replay.claim)
                   .value();
  return replay;
}

// Answers the queries that follow from the value and the row in all.proof. Without `work` the nonce
// is one that fails.
void answer(Opened& all, zk::Transcript t, const std::function<zk::OpenedPlace(std::uint64_t)>& at,
            bool work = true) {
  t.absorb(zk::Label::kOpened, std::span(&all.proof.value, 1));
  t.absorb(zk::Label::kCombined, all.proof.combined);
  if (work) {
    all.proof.nonce = t.grind(zk::kQueryGrindBits);
  } else {
    all.proof.nonce = 0;
    for (zk::Transcript probe = t; probe.check_grind(all.proof.nonce, zk::kQueryGrindBits);) {
      probe = t;
      ++all.proof.nonce;
    }
    ASSERT_FALSE(t.check_grind(all.proof.nonce, zk::kQueryGrindBits));
  }
  all.proof.queries.clear();
  for (const std::uint64_t place : zk::draw_places(t, all.layout)) {
    all.proof.queries.push_back(at(place));
  }
}

// W(ρ) by its definition, cell by cell (SPEC PO-1).
Ext weight_by_cells(const Opened& all, const Replay& replay) {
  Ext sum = zk::kZero;
  std::size_t n = 0;
  for (const zk::EvalClaim& claim : all.evals) {
    // The extension at the claim's point of the function eq(ρ, address).
    const zk::ColumnShape& shape = all.shapes[claim.column];
    Ext inner = zk::kZero;
    for (std::size_t cell = 0; cell < all.columns[claim.column].size(); ++cell) {
      std::vector<std::uint64_t> only(all.columns[claim.column].size());
      only[cell] = 1;
      inner += extension_at(shape, only, claim.point) *
               zk::eq_at(replay.rho, all.layout.address(claim.column, cell));
    }
    sum += replay.weights[n++] * inner;
  }
  for (const zk::CellClaim& claim : all.cells) {
    sum +=
        replay.weights[n++] * zk::eq_at(replay.rho, all.layout.address(claim.column, claim.cell));
  }
  return sum;
}

void expect_message(const Opened& all, const std::string& part) {
  const Status status = all.check();
  ASSERT_FALSE(status) << part;
  EXPECT_THAT(status.error().message, testing::HasSubstr(part));
}

TEST(OpenTest, RefusesAFalseClaimWhoseValueAndRowAreMadeToFit) {
  engine::Pool pool(1);
  Opened all = opened({{{11, 3}}, {{45}}, {{3, 40}}}, 1, pool);
  const Committed committed(all.layout, pointers(all.columns), pool);
  const auto at = [&](std::uint64_t place) { return committed.open_place(place); };
  all.evals[1].value += zk::kOne;
  zk::Transcript t = all.transcript();
  all.proof = open(t, all.layout, committed, all.evals, all.cells, pool);
  const Ext truth = all.proof.value;
  const Replay replay = after_sumcheck(all);
  expect_message(all, "the last claim of the sumcheck");
  all.proof.value = replay.claim * inverse(weight_by_cells(all, replay));
  answer(all, replay.transcript, at);
  expect_message(all, "the combined row does not have the value");
  const auto kappa = static_cast<std::size_t>(all.layout.kappa());
  all.proof.combined[5] +=
      (all.proof.value - truth) * inverse(zk::eq_at(std::span(replay.rho).first(kappa), 5));
  answer(all, replay.transcript, at);
  expect_message(all, "do not combine to the code word");
}

TEST(OpenTest, RefusesAProverThatDoesNotWork) {
  Opened all = honest();
  engine::Pool pool(1);
  const Committed committed(all.layout, pointers(all.columns), pool);
  const auto at = [&](std::uint64_t place) { return committed.open_place(place); };
  const Replay replay = after_sumcheck(all);
  answer(all, replay.transcript, at, false);
  expect_message(all, "does not do the work");
  all.proof.combined.push_back(zk::kOne);
  answer(all, replay.transcript, at);
  expect_message(all, "the elements of the combined row");
}

// A commitment whose parity of one row is garbage.
TEST(OpenTest, RefusesAWordThatIsNoCodeWord) {
  Opened all = honest();
  engine::Pool pool(1);
  const Committed committed(all.layout, pointers(all.columns), pool);
  std::vector<zk::OpenedPlace> places;
  merkle::Tree parity;
  for (std::uint64_t place = 0; place < 2 * all.layout.places(); ++place) {
    places.push_back(committed.open_place(place));
    if (place < all.layout.places()) continue;
    std::vector<Felt>& cells = places.back().cells;
    cells[1] = Felt{place * 0x9E3779B97F4A7C15 % zk::kPrime};
    std::vector<std::uint64_t> leaf;
    for (const Felt cell : cells) leaf.push_back(cell.v);
    parity.append(zk::place_leaf(leaf));
  }
  for (std::uint64_t i = 0; i < all.layout.places(); ++i) {
    places[all.layout.places() + i].path = parity.open_range(i, i + 1);
  }
  all.commitment.parity_root = zk::place_root(all.layout, true, parity.top());
  zk::Transcript t = all.transcript();
  all.proof = open(t, all.layout, committed, all.evals, all.cells, pool);
  answer(all, after_sumcheck(all).transcript, [&](std::uint64_t place) { return places[place]; });
  expect_message(all, "do not combine to the code word");
}

}  // namespace
}  // namespace otr::prover
