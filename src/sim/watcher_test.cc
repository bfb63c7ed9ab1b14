// A client's watcher that was away: started again, with nothing but its receipts, when the ledger
// has gone on without it.
#include "rollup/watcher.h"

#include <gtest/gtest.h>

#include <map>

#include "sim/world.h"

namespace otr::sim {
namespace {

constexpr std::uint64_t kPatienceMs = 2'000;

// Somebody who keeps what an operator served while it had to.
class Archive : public rollup::DataPort {
 public:
  explicit Archive(rollup::DataPort& there) : there_(there) {}
  Result<std::vector<std::string>> receipts(const Hash& root) override {
    const auto kept = kept_.find(root);
    if (kept != kept_.end()) return kept->second;
    OTR_TRY_ASSIGN(auto shown, there_.receipts(root));
    return kept_[root] = std::move(shown);
  }
  Result<Bytes> proof(const Hash& digest) override { return there_.proof(digest); }

 private:
  rollup::DataPort& there_;
  std::map<Hash, std::vector<std::string>> kept_;
};

class WatcherTest : public ::testing::Test {
 protected:
  // Lets what the operator holds be posted, which `archive` sees.
  void post() {
    ASSERT_TRUE(world.run_until([&] { return !world.state().batches.empty(); }, 10'000));
    ASSERT_TRUE(archive.receipts(world.state().batches.at(1).root));
  }
  bool is_final() const {
    return world.state().batches.at(1).status == ledger::BatchStatus::kFinal;
  }
  // Steps until long after patience has ended, and to where the claim then stands.
  rollup::Whereabouts watch(const protocol::Receipt& receipt, rollup::DataPort* data) {
    Link port(world.weather(), world.chain());
    auto mirror = *rollup::Mirror::open(port, world.state().id);
    rollup::Watcher watcher(mirror, world.client(), kPatienceMs);
    watcher.add(receipt, world.weather().now);
    for (int i = 0; i < 10; ++i) {
      EXPECT_TRUE(watcher.step(world.weather().now, data));
      world.run_ms(kPatienceMs);
    }
    return watcher.whereabouts(protocol::digest_of(receipt.claim, receipt.ledger));
  }
  void TearDown() override {
    EXPECT_EQ(world.state().forces.size(), 0u) << "what was posted costs whoever forces it a bond";
    EXPECT_EQ(world.chain().broken(), "");
  }

  World world{{}};
  OperatorNode& of = world.add_operator("operator");
  Archive archive{*of.data};
};

TEST_F(WatcherTest, WhatIsPaidIsNotForcedThoughNobodyShowsIt) {
  const auto receipt = world.ask(of);
  post();
  ASSERT_TRUE(world.run_until([&] { return !world.state().settled_requests.empty(); }, 60'000));
  world.run_ms(5'000);
  ASSERT_FALSE(of.role->receipts(world.state().batches.at(1).root));
  for (rollup::DataPort* data :
       {static_cast<rollup::DataPort*>(of.data.get()), static_cast<rollup::DataPort*>(nullptr)}) {
    EXPECT_EQ(watch(receipt, data).batch, 0u);
  }
}

// Final, and not paid: whoever still shows the batch spares a bond.
TEST_F(WatcherTest, WhatIsFinalIsFoundBeforeItIsForced) {
  const crypto::PrivateKey poor = world.funded_key(100'000);
  ASSERT_TRUE(world.send(poor, ledger::Deposit{of.signers.operator_key.address(), 1}));
  const auto receipt = answer_honestly(
      world.weights(), make_request(world.weights(), poor, 1, world.prompt(), 6, world.state().id),
      world.prompt(), of.signers);
  world.give(of, receipt);
  post();
  ASSERT_TRUE(world.run_until([&] { return is_final(); }, 60'000));
  world.run_ms(5'000);
  ASSERT_FALSE(of.role->receipts(world.state().batches.at(1).root));
  ASSERT_TRUE(world.state().settled_requests.empty());
  const auto where = watch(receipt, &archive);
  EXPECT_EQ(where.standing, rollup::Standing::kFinal);
  EXPECT_EQ(where.batch, 1u);
}

}  // namespace
}  // namespace otr::sim
