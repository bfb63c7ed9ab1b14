// The proof of a real receipt, and the same file with every kind of damage (SPEC PS-8): bytes
// flipped, ends cut and added, lengths that lie. audit_proof refuses each and never crashes.
//
// By default a part of the bytes is tried; OTR_EXHAUSTIVE=1 tries every one.
#include "node/proof.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "node/toy_proof.h"

namespace otr::node {
namespace {

bool exhaustive() { return std::getenv("OTR_EXHAUSTIVE") != nullptr; }

const ToyProof& toy() {
  static const ToyProof made = toy_proof();
  return made;
}

// Where the parts of the file begin: receipt, beacon, rows, scalars, argument.
struct Parts {
  std::size_t receipt = 0, beacon = 0, rows = 0, scalars = 0, argument = 0;
};
Parts parts_of(const Bytes& file) {
  const auto length = [&](std::size_t at) { return load_le<std::uint32_t>(file.data() + at - 4); };
  Parts parts;
  parts.receipt = 8 + 4 + 4;
  parts.beacon = parts.receipt + length(parts.receipt);
  parts.rows = parts.beacon + 32 + 4;
  parts.scalars = parts.rows + length(parts.rows) + 4;
  parts.argument = parts.scalars + length(parts.scalars) + 4;
  return parts;
}

::testing::AssertionResult refused(const Bytes& file) {
  const ProofAudit result = audit_proof(file, toy().artifact);
  if (result.audit.proven) return ::testing::AssertionFailure() << "is taken for a proof";
  if (!result.audit.failed()) return ::testing::AssertionFailure() << "no check failed";
  if (!result.audit.report.reject()) return ::testing::AssertionFailure() << "no code";
  return ::testing::AssertionSuccess();
}

TEST(Proof, TheReceiptIsProven) {
  const ProofAudit result = audit_proof(toy().file, toy().artifact);
  ASSERT_TRUE(result.audit.proven) << result.audit.report.failure()->detail;
  EXPECT_EQ(result.audit.receipt->output_ids.size(), toy().outputs);
}

TEST(Proof, AnotherModel) {
  const ProofAudit result = audit_proof(toy().file, toy_artifact(2));
  EXPECT_FALSE(result.audit.proven);
  EXPECT_EQ(result.audit.report.reject(), Reject::kModelRootMismatch);
}

TEST(Proof, EveryByteFlipped) {
  Bytes file = toy().file;
  const Parts parts = parts_of(file);
  std::vector<std::size_t> places;
  const auto all = [&](std::size_t from, std::size_t to, std::size_t step) {
    for (std::size_t at = from; at < to; at += exhaustive() ? 1 : step) places.push_back(at);
  };
  all(0, parts.receipt, 1);
  all(parts.receipt, parts.beacon, 97);  // the receipt's own test flips each
  all(parts.beacon, parts.rows, 1);
  all(parts.rows, parts.scalars, 41);
  all(parts.scalars, parts.argument, 13);
  // Roots, nonce, and then every element in turn or some of them.
  all(parts.argument, parts.argument + 72, 1);
  if (exhaustive()) {
    all(parts.argument + 72, file.size(), 1);
  } else {
    std::mt19937 random(5);
    for (int i = 0; i < 150; ++i) {
      places.push_back(parts.argument + 72 + random() % (file.size() - parts.argument - 72));
    }
    all(parts.argument + 72, parts.argument + 30000, 601);  // layers, row checks, contractions
    all(file.size() - 2000, file.size(), 53);               // cells and paths
  }
  for (const std::size_t at : places) {
    const std::uint8_t truth = file[at];
    file[at] ^= static_cast<std::uint8_t>(1 << at % 8);
    ASSERT_TRUE(refused(file)) << "byte " << at;
    file[at] = truth;
  }
}

TEST(Proof, TruncatedAndExtended) {
  const Bytes& file = toy().file;
  const Parts parts = parts_of(file);
  std::vector<std::size_t> sizes = {0, 1, 7, 8, 11, 12, 15, 16, 17, file.size() - 1};
  for (const std::size_t at :
       {parts.receipt, parts.beacon, parts.rows, parts.scalars, parts.argument}) {
    for (std::size_t d = 0; d < 6; ++d) sizes.push_back(at + d - 5);
  }
  for (std::size_t i = 1; i < 20; ++i) sizes.push_back(file.size() * i / 20);
  for (const std::size_t size : sizes) {
    EXPECT_TRUE(refused(Bytes(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size))))
        << size;
  }
  Bytes longer = file;
  longer.push_back(0);
  EXPECT_TRUE(refused(longer));
  longer.resize(file.size() + 100000, 7);
  EXPECT_TRUE(refused(longer));
}

TEST(Proof, LengthsThatLie) {
  const Parts parts = parts_of(toy().file);
  for (const std::size_t at : {parts.receipt, parts.rows, parts.scalars, parts.argument}) {
    const auto truth = load_le<std::uint32_t>(toy().file.data() + at - 4);
    for (const std::uint32_t lie : {0U, truth - 1, truth + 1, truth + 16, truth - 16, truth * 2,
                                    0x7fffffffU, 0x80000000U, 0xffffffffU}) {
      Bytes file = toy().file;
      store_le(file.data() + at - 4, lie);
      EXPECT_TRUE(refused(file)) << at << ": " << lie;
    }
  }
  // Bytes moved over a boundary, so that the lengths add up.
  Bytes file = toy().file;
  const auto rows = load_le<std::uint32_t>(file.data() + parts.rows - 4);
  store_le(file.data() + parts.rows - 4, rows - 4);
  EXPECT_TRUE(refused(file));
}

// Elements that are not below p stand for others: one spelling each.
TEST(Proof, ElementsBeyondThePrime) {
  const Parts parts = parts_of(toy().file);
  int spelled = 0;
  for (std::size_t at = parts.argument + 72; at + 8 <= toy().file.size() && spelled < 3; at += 8) {
    const auto value = load_le<std::uint64_t>(toy().file.data() + at);
    if (value > 0xfffffffe) continue;
    Bytes file = toy().file;
    store_le(file.data() + at, value + 0xffffffff00000001);
    ++spelled;
    EXPECT_TRUE(refused(file)) << at;
  }
  EXPECT_GT(spelled, 0);
}

TEST(Proof, PartsOfAnother) {
  const ToyProof other = toy_proof({.counter = 2});
  ASSERT_EQ(other.file.size(), toy().file.size());
  const Parts parts = parts_of(toy().file);
  // Each part of one file in the other, whose tokens are the same.
  const std::vector<std::size_t> ends = {parts.receipt,     parts.beacon,       parts.rows - 4,
                                         parts.scalars - 4, parts.argument - 4, toy().file.size()};
  for (std::size_t i = 0; i + 1 < ends.size(); ++i) {
    Bytes file = toy().file;
    std::copy(other.file.begin() + static_cast<std::ptrdiff_t>(ends[i]),
              other.file.begin() + static_cast<std::ptrdiff_t>(ends[i + 1]),
              file.begin() + static_cast<std::ptrdiff_t>(ends[i]));
    if (file == toy().file) continue;
    EXPECT_TRUE(refused(file)) << i;
  }
  // The beacon is part of the statement.
  const ToyProof later = toy_proof({.beacon = 9});
  Bytes file = toy().file;
  std::copy(later.file.begin() + static_cast<std::ptrdiff_t>(parts.beacon),
            later.file.begin() + static_cast<std::ptrdiff_t>(parts.beacon + 32),
            file.begin() + static_cast<std::ptrdiff_t>(parts.beacon));
  EXPECT_TRUE(refused(file));
}

}  // namespace
}  // namespace otr::node
