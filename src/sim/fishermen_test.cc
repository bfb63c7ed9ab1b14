// What keeps a fisherman or a checker from what it is there for: servers that answer slowly or in
// part, more claims than money, more traces than memory.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "sim/cast.h"
#include "sim/world.h"

namespace otr::sim {
namespace {

constexpr std::uint64_t kMinute = 60'000;
constexpr std::uint64_t kFetchMs = 19'900;  // just below the limit of a call

WorldOptions with_window(std::uint64_t window_ms) {
  ledger::Parameters parameters = ledger::example_parameters(true);
  parameters.window = window_ms;
  ledger::set_least_waits(parameters);
  return {.parameters = parameters};
}

// Serves what another serves, late, and some receipts without prompt.
class SlowData : public rollup::DataPort {
 public:
  SlowData(World& world, rollup::DataPort& there) : world_(world), there_(there) {}
  Result<std::vector<std::string>> receipts(const Hash& root) override {
    ++calls;
    world_.weather().now += takes_ms;
    OTR_TRY_ASSIGN(std::vector<std::string> texts, there_.receipts(root));
    for (std::size_t i = 0; i < std::min(bare, texts.size()); ++i) {
      OTR_TRY_ASSIGN(protocol::Receipt receipt, protocol::decode_receipt(texts[i]));
      receipt.prompt_ids[0] ^= 1;  // not those of the request, so none
      OTR_TRY_ASSIGN(texts[i], protocol::encode_receipt(receipt));
    }
    return texts;
  }
  Result<Bytes> proof(const Hash& digest) override { return there_.proof(digest); }

  std::uint64_t takes_ms = 0;
  std::size_t bare = 0;  // how many receipts, from the first
  int calls = 0;

 private:
  World& world_;
  rollup::DataPort& there_;
};

struct Stage {
  explicit Stage(std::uint64_t window_ms)
      : world(with_window(window_ms)), random(1), liar(world.weights(), Defence::kFights) {}
  OperatorNode& add_cheat() {
    return world.add_operator("cheat", 10'000'000, [this](rollup::OperatorOptions& options) {
      options.respond = std::ref(liar);
      options.batch_every_ms = 1'000;
    });
  }
  protocol::Receipt lie(OperatorNode& cheat) {
    while (true) {
      auto forged = liar.forge(Lie::kToken, world.request(), world.prompt(), cheat.signers, random);
      if (!is_true(world.weights(), forged, world.prompt(), cheat.signers)) return forged;
    }
  }
  // Served by `data` where it is of `of`, and else as always.
  FishermanNode& add_fisherman(OperatorNode& of, rollup::DataPort& data,
                               std::uint64_t balance = 1'000'000) {
    const crypto::Address address = of.signers.operator_key.address();
    return world.add_fisherman("fisherman", balance, [&, address](auto& options) {
      options.data = [&, address, usual = options.data](const crypto::Address& who) {
        return who == address ? &data : usual(who);
      };
      options.trace_bytes = trace_bytes;
    });
  }
  std::uint32_t games_of(const FishermanNode& fisherman) {
    return static_cast<std::uint32_t>(std::ranges::count_if(
        world.state().games,
        [&](const auto& game) { return game.second.challenger == fisherman.key.address(); }));
  }
  World world;
  Random random;
  Liar liar;
  std::uint64_t trace_bytes = std::uint64_t{1} << 30;
};

// An accomplice serves many true batches, each as late as it may: a lie elsewhere is found in its
// window, and its game is played in time.
TEST(SlowServers, HideNoLieElsewhere) {
  Stage stage(10 * kMinute);
  World& world = stage.world;
  OperatorNode& slow =
      world.add_operator("slow", 10'000'000, [](auto& options) { options.max_batch = 1; });
  OperatorNode& cheat = stage.add_cheat();
  SlowData data(world, *slow.data);
  data.takes_ms = kFetchMs;
  constexpr std::size_t kBatches = 40;
  for (std::size_t i = 0; i < kBatches; ++i) (void)world.ask(slow);
  ASSERT_TRUE(
      world.run_until([&] { return world.state().batches.size() == kBatches; }, 2 * kMinute));
  const auto wrong = stage.lie(cheat);
  world.give(cheat, wrong);
  ASSERT_TRUE(world.run_until([&] { return world.claim_of(cheat, wrong).has_value(); }, kMinute));
  const std::uint64_t posted_at = world.weather().now;
  FishermanNode& fisherman = stage.add_fisherman(slow, data);
  ASSERT_TRUE(world.run_until([&] { return stage.games_of(fisherman) != 0; }, kMinute));
  EXPECT_LT(world.weather().now, posted_at + kMinute);
  EXPECT_TRUE(world.run_until([&] { return world.stake(cheat) == 0; }, 10 * kMinute))
      << fisherman.role->gauges().last_refusal;
  EXPECT_EQ(fisherman.role->gauges().games_lost, 0u);
  EXPECT_EQ(world.stake(slow), 10'000'000u);
}

// It is left alone between two slow answers, however good they are; others are asked meanwhile.
TEST(SlowServers, AreAskedSeldom) {
  Stage stage(10 * kMinute);
  World& world = stage.world;
  OperatorNode& slow =
      world.add_operator("slow", 10'000'000, [](auto& options) { options.max_batch = 1; });
  OperatorNode& quick =
      world.add_operator("quick", 10'000'000, [](auto& options) { options.max_batch = 1; });
  SlowData data(world, *slow.data);
  data.takes_ms = kFetchMs;
  constexpr std::size_t kBatches = 5;  // few enough for half of the window
  for (std::size_t i = 0; i < kBatches; ++i) (void)world.ask(slow);
  for (std::size_t i = 0; i < kBatches; ++i) (void)world.ask(quick);
  ASSERT_TRUE(
      world.run_until([&] { return world.state().batches.size() == 2 * kBatches; }, kMinute));
  const std::uint64_t began = world.weather().now;
  FishermanNode& fisherman = stage.add_fisherman(slow, data);
  const auto agreed = [&] { return fisherman.role ? fisherman.role->gauges().agreed : 0; };
  ASSERT_TRUE(world.run_until([&] { return agreed() >= kBatches + 1; }, 10 * kMinute));
  EXPECT_EQ(data.calls, 1);
  EXPECT_LT(world.weather().now, began + 2 * kFetchMs);
  EXPECT_TRUE(world.run_until([&] { return agreed() == 2 * kBatches; }, 10 * kMinute));
  EXPECT_EQ(stage.games_of(fisherman), 0u);
}

// What a checker waits for at one server does not add up over its claims.
TEST(SlowServers, KeepACheckerOncePerLook) {
  WorldOptions options = with_window(10 * kMinute);
  options.parameters->draw_ppm = ledger::kMillion;
  options.checkers = 1;
  World world(options);
  OperatorNode& slow = world.add_operator("slow", 10'000'000, [](auto& of) { of.max_batch = 1; });
  constexpr std::size_t kBatches = 5;
  for (std::size_t i = 0; i < kBatches; ++i) (void)world.ask(slow);
  const auto are_answered = [&] {
    return world.state().claims.size() == kBatches &&
           std::ranges::all_of(world.state().claims,
                               [](const auto& claim) { return claim.second.lane != 0; });
  };
  ASSERT_TRUE(world.run_until(are_answered, kMinute));
  SlowData data(world, *slow.data);
  data.takes_ms = kFetchMs;
  const auto checker = add_checker(world, 0, data);
  const auto signed_count = [&] {
    return checker->role ? checker->role->gauges().signed_count : 0;
  };
  ASSERT_TRUE(world.run_until([&] { return signed_count() != 0; }, kMinute));
  EXPECT_EQ(data.calls, 1);
  EXPECT_TRUE(world.run_until([&] { return signed_count() == kBatches; }, 10 * kMinute));
}

// --- Data in part

TEST(BareReceipts, HoldUpNoOtherClaimAndAreAskedForSeldom) {
  Stage stage(10 * kMinute);
  World& world = stage.world;
  OperatorNode& honest = world.add_operator("operator", 10'000'000,
                                            [](auto& options) { options.batch_every_ms = 1'000; });
  SlowData data(world, *honest.data);
  data.bare = 1;
  FishermanNode& fisherman = stage.add_fisherman(honest, data);
  for (int i = 0; i < 3; ++i) (void)world.ask(honest);
  world.run_ms(10'000);
  ASSERT_EQ(world.state().batches.size(), 1u);
  EXPECT_EQ(fisherman.role->gauges().agreed, 2u);
  EXPECT_EQ(data.calls, 1);
  data.bare = 0;
  world.run_ms(30'000);
  EXPECT_EQ(fisherman.role->gauges().agreed, 3u);
  EXPECT_EQ(data.calls, 2);
  EXPECT_EQ(stage.games_of(fisherman), 0u);
}

TEST(BareReceipts, HideNoLieInTheSameBatch) {
  Stage stage(10 * kMinute);
  World& world = stage.world;
  OperatorNode& cheat = stage.add_cheat();
  SlowData data(world, *cheat.data);
  data.bare = 1;
  FishermanNode& fisherman = stage.add_fisherman(cheat, data);
  (void)world.ask(cheat);
  world.give(cheat, stage.lie(cheat));
  ASSERT_TRUE(world.run_until([&] { return stage.games_of(fisherman) == 1; }, 10'000));
  EXPECT_EQ(world.state().games.at(1).claim_key.index, 1u);
  EXPECT_TRUE(world.run_until([&] { return world.stake(cheat) == 0; }, 5 * kMinute));
}

// --- More than there is money or memory for

// Nobody can tell which claims come last: the indices are public, the order is not.
TEST(ManyClaims, AreTakenInAnOrderThatNobodyKnows) {
  World world(with_window(kMinute));
  OperatorNode& silent = world.add_operator("silent", 10'000'000,
                                            [](auto& options) { options.batch_every_ms = 1'000; });
  FishermanNode& fisherman = world.add_fisherman(
      "fisherman", 1'000'000, [](rollup::FishermanOptions& options) { options.data = nullptr; });
  constexpr std::size_t kClaims = 12;
  for (std::size_t i = 0; i < kClaims; ++i) (void)world.ask(silent);
  ASSERT_TRUE(world.run_until([&] { return world.state().games.size() == kClaims; }, kMinute))
      << fisherman.role->gauges().last_refusal;
  std::vector<std::uint32_t> order;
  for (const auto& [number, game] : world.state().games) order.push_back(game.claim_key.index);
  EXPECT_FALSE(std::ranges::is_sorted(order));
  std::ranges::sort(order);
  EXPECT_EQ(std::ranges::unique(order).begin(), order.end());
}

// A trace is let go of when another takes its room, and computed again when its turn comes.
TEST(ManyClaims, KeepNoMoreTracesThanThereIsRoom) {
  Stage stage(kMinute);
  stage.trace_bytes = 0;
  World& world = stage.world;
  OperatorNode& cheat = stage.add_cheat();
  FishermanNode& fisherman = stage.add_fisherman(cheat, *cheat.data);
  for (int i = 0; i < 4; ++i) world.give(cheat, stage.lie(cheat));
  std::uint64_t most = 0;
  ASSERT_TRUE(world.run_until(
      [&] {
        if (fisherman.role) most = std::max(most, fisherman.role->gauges().traces_kept);
        return world.stake(cheat) == 0;
      },
      10 * kMinute))
      << fisherman.role->gauges().last_refusal;
  EXPECT_EQ(stage.games_of(fisherman), 4u);
  EXPECT_EQ(fisherman.role->gauges().false_claims, 4u);
  EXPECT_EQ(most, 1u);
  EXPECT_EQ(fisherman.role->gauges().games_lost, 0u);
}

// Who cannot pay a bond needs no trace, and does not compute again what it knows to be false.
TEST(ManyClaims, ThatCannotBeChallengedKeepNoTrace) {
  Stage stage(kMinute);
  World& world = stage.world;
  OperatorNode& cheat = stage.add_cheat();
  FishermanNode& fisherman = stage.add_fisherman(cheat, *cheat.data, 100);
  for (int i = 0; i < 4; ++i) world.give(cheat, stage.lie(cheat));
  const auto refused = [&] { return fisherman.role ? fisherman.role->gauges().refused : 0; };
  ASSERT_TRUE(world.run_until([&] { return refused() >= 8; }, kMinute));
  EXPECT_EQ(fisherman.role->gauges().false_claims, 4u);
  EXPECT_EQ(fisherman.role->gauges().sampled, 4u);
  EXPECT_EQ(fisherman.role->gauges().traces_kept, 0u);
  // With money it goes on from there.
  ASSERT_TRUE(world.send(world.client(), ledger::Transfer{fisherman.key.address(), 500'000}));
  EXPECT_TRUE(world.run_until([&] { return world.stake(cheat) == 0; }, 5 * kMinute));
  EXPECT_EQ(fisherman.role->gauges().sampled, 4u);
}

}  // namespace
}  // namespace otr::sim
