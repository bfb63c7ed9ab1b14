// What an operator remembers of earlier processes, and what it lets go of.
#include "rollup/holdings.h"

#include <gtest/gtest.h>

#include "ledger/state.h"
#include "sim/world.h"

namespace otr::sim {
namespace {

using rollup::Holdings;

class MemoryJournal : public rollup::Journal {
 public:
  Status append(std::string_view record) override {
    records_.emplace_back(record);
    return {};
  }
  Status read(const std::function<Status(std::string_view)>& visit) override {
    for (const std::string& record : records_) OTR_TRY(visit(record));
    return {};
  }

 private:
  std::vector<std::string> records_;
};

class HoldingsTest : public testing::Test {
 protected:
  // The claim of a new answer, which waits in `holdings`.
  Hash add(Holdings& holdings) {
    const protocol::Receipt receipt =
        answer_honestly(world_.weights(), world_.request(), world_.prompt(), operator_.signers);
    EXPECT_TRUE(holdings.add(*protocol::encode_receipt(receipt), receipt, 0));
    EXPECT_TRUE(holdings.empty_inbox());
    return protocol::digest_of(receipt.claim, receipt.ledger);
  }
  static bool is_served(const Holdings& holdings, const Hash& root) {
    return holdings.receipts(root).has_value();
  }

  World world_{{}};
  OperatorNode& operator_ = world_.add_operator("operator");
  MemoryJournal journal_;
};

constexpr auto kNoOthers = [](std::string_view) { return false; };

TEST_F(HoldingsTest, OfWhatIsOverOnlyWhatIsUnpaidIsReadAgain) {
  Holdings before(journal_);
  const Hash paid = add(before), unpaid = add(before), open = add(before), waits = add(before);
  const Hash over = *before.compose({paid, unpaid}), all_paid = *before.compose({add(before)});
  const Hash under_way = *before.compose({open});
  Holdings after(journal_);
  ASSERT_TRUE(after.read(
      kNoOthers, {.is_over = [&](const Hash& root) { return root == over || root == all_paid; },
                  .is_paid =
                      [&](const protocol::Receipt& receipt) {
                        return protocol::digest_of(receipt.claim, receipt.ledger) != unpaid;
                      }}));
  EXPECT_FALSE(after.holds(paid));
  EXPECT_TRUE(after.holds(unpaid));
  EXPECT_TRUE(after.holds(open));
  EXPECT_EQ(after.batches().size(), 3u);
  EXPECT_EQ(after.live(), (std::set<Hash>{over, under_way}));
  EXPECT_FALSE(is_served(after, over));
  EXPECT_FALSE(is_served(after, all_paid));
  EXPECT_TRUE(is_served(after, under_way));
  after.mark_posted({over, under_way});
  EXPECT_EQ(after.waiting(), std::vector<Hash>{waits});
}

TEST_F(HoldingsTest, WhatWasComposedAndNotPostedIsDroppedWithItsClaims) {
  Holdings before(journal_);
  const Hash one = add(before), two = add(before), three = add(before);
  const Hash lost = *before.compose({one, two}), posted = *before.compose({one});
  const Hash later = *before.compose({three});
  before.mark_posted({posted});
  EXPECT_FALSE(before.batches().contains(lost));
  EXPECT_FALSE(is_served(before, lost));
  EXPECT_TRUE(is_served(before, posted));
  EXPECT_TRUE(is_served(before, later));
  EXPECT_EQ(before.waiting(), (std::vector<Hash>{two, three}));
  // A later process, when the batch is over and paid.
  Holdings after(journal_);
  ASSERT_TRUE(after.read(kNoOthers, {.is_over = [&](const Hash& root) { return root == posted; },
                                     .is_paid = [](const auto&) { return true; }}));
  EXPECT_FALSE(after.batches().contains(lost));
  EXPECT_EQ(after.waiting(), (std::vector<Hash>{two, three}));
}

TEST_F(HoldingsTest, ADamagedJournalIsRefused) {
  const Hash claim = [&] {
    Holdings before(journal_);
    return add(before);
  }();
  const std::string known(as_text(claim)), unknown(32, 'x');
  for (const std::string& batch : {std::string(), known.substr(1), unknown, known + unknown,
                                   known + known.substr(1), std::string(4097 * 32, 'x')}) {
    MemoryJournal damaged = journal_;
    ASSERT_TRUE(damaged.append("batch\n" + batch));
    Holdings holdings(damaged);
    const Status read = holdings.read(kNoOthers, {.is_over = [](const Hash&) { return true; },
                                                  .is_paid = [](const auto&) { return true; }});
    ASSERT_FALSE(read) << batch.size();
    EXPECT_EQ(read.error().kind, ErrorKind::kBadInput);
  }
}

}  // namespace
}  // namespace otr::sim
