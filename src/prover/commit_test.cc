// The commitment against its definition (SPEC PC-3, PC-4), and the kernels of all widths.
#include "prover/commit.h"

#include <gmock/gmock.h>

#include "prover/open_test_fixture.h"
#include "zk/ntt.h"

namespace otr::prover {
namespace {

// Cells by address, and the two roots from tensors written out place by place.
zk::Commitment naive_commitment(const zk::Layout& layout, const Columns& columns) {
  std::vector<std::uint64_t> cells(layout.rows() * layout.places());
  for (std::size_t c = 0; c < columns.size(); ++c) {
    for (std::size_t i = 0; i < columns[c].size(); ++i) cells[layout.address(c, i)] = columns[c][i];
  }
  const zk::ParityCode code(layout.kappa());
  std::vector<std::uint64_t> data(cells.size()), parity(cells.size());
  for (std::size_t c = 0; c < layout.rows(); ++c) {
    const std::span<std::uint64_t> row =
        std::span(cells).subspan(c * layout.places(), layout.places());
    for (std::size_t i = 0; i < row.size(); ++i) data[i * layout.rows() + c] = row[i];
    code.extend(row);
    for (std::size_t i = 0; i < row.size(); ++i) parity[i * layout.rows() + c] = row[i];
  }
  const auto root = [&](merkle::Kind kind, std::span<const std::uint64_t> places) {
    return merkle::tensor_root(kind, merkle::Type::kU64, layout.rows(), as_bytes(places));
  };
  return {root(merkle::Kind::kProofData, data), root(merkle::Kind::kProofParity, parity)};
}

TEST(CommitTest, EveryInstructionSetAndThreadCountGivesTheRootsOfTheDefinition) {
  const std::vector<std::vector<zk::ColumnShape>> all = {
      {{{1}}}, {{{200}}}, mixed_shapes(), {{{300, 45}}, {{8, 1, 1000}}}, {{{1 << 15}}, {{77}}}};
  for (const auto& shapes : all) {
    const zk::Layout layout(shapes);
    const Columns columns = random_columns(shapes, 5);
    const zk::Commitment expected = naive_commitment(layout, columns);
    for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
      if (!supported(isa)) {
        std::puts("[  NOTE    ] this machine lacks an instruction set; its kernels were not run");
        continue;
      }
      for (const unsigned threads : {1U, 2U, 3U}) {
        engine::Pool pool(threads);
        const Committed committed(layout, pointers(columns), pool, isa);
        EXPECT_EQ(committed.commitment(), expected) << static_cast<int>(isa) << " " << threads;
      }
    }
  }
}

// Rows too long for the first-level cache take the transform's other path.
TEST(CommitTest, LongRowsAgreeBetweenInstructionSets) {
  const std::vector<zk::ColumnShape> shapes = {{{(1 << 19) - 5}}};
  const zk::Layout layout(shapes);
  const Columns columns = random_columns(shapes, 6);
  engine::Pool pool(2);
  const Committed portable(layout, pointers(columns), pool, Isa::kPortable);
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512}) {
    if (!supported(isa)) continue;
    EXPECT_EQ(Committed(layout, pointers(columns), pool, isa).commitment(), portable.commitment());
  }
}

TEST(CommitTest, EveryPlaceOpensUnderTheCommitment) {
  const auto shapes = mixed_shapes();
  const zk::Layout layout(shapes);
  const Columns columns = random_columns(shapes, 7);
  engine::Pool pool(1);
  const Committed committed(layout, pointers(columns), pool);
  for (std::uint64_t place = 0; place < 2 * layout.places(); ++place) {
    const zk::OpenedPlace opened = committed.open_place(place);
    EXPECT_TRUE(zk::check_place(layout, committed.commitment(), place, opened));
    EXPECT_FALSE(zk::check_place(layout, committed.commitment(), place ^ 1, opened));
    EXPECT_FALSE(zk::check_place(layout, committed.commitment(), place ^ layout.places(), opened));
  }
}

}  // namespace
}  // namespace otr::prover
