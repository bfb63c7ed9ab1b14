// A fisherman that reaches ledger and receipts only over HTTP, beside an operator that cheats or
// does not: what otr fisherman is made of, under virtual time, with servers that go away, withhold
// and lie.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>

#include "service/ledger_client.h"
#include "service/ledger_server.h"
#include "sim/cast.h"
#include "sim/world.h"

namespace otr::apps {
namespace {

using rollup::Fisherman;
using rollup::FishermanGauges;
using settlement::Row;

// The world's chain as somebody serves it, who may lie.
class ServedChain : public rollup::LedgerPort {
 public:
  explicit ServedChain(sim::World& world) : world_(world) {}
  Result<Bytes> genesis() override { return world_.chain().genesis(); }
  Result<std::vector<Row>> rows(std::uint64_t after) override {
    const std::vector<Row>& all = world_.chain().rows();
    std::vector<Row> above(all.begin() + static_cast<std::ptrdiff_t>(after), all.end());
    if (lies && !above.empty()) above.back().tip[0] ^= 1;
    return above;
  }
  Status submit(ByteView transaction) override {
    return world_.chain().submit(transaction, world_.weather().now);
  }

  bool lies = false;

 private:
  sim::World& world_;
};

class ServedReceipts : public rollup::DataPort {
 public:
  enum class Manner { kHonest, kWithholds, kGarbage };
  ServedReceipts(sim::OperatorNode& of, Manner manner) : of_(of), manner_(manner) {}
  Result<std::vector<std::string>> receipts(const Hash& root) override {
    if (manner_ == Manner::kWithholds) return fail(ErrorKind::kBadInput, "never heard of it");
    if (manner_ == Manner::kGarbage) return std::vector<std::string>{"{}\n"};
    return of_.role->receipts(root);
  }
  Result<Bytes> proof(const Hash& digest) override { return of_.role->proof(digest); }

 private:
  sim::OperatorNode& of_;
  const Manner manner_;
};

class OverHttpTest : public ::testing::Test {
 protected:
  // The process: client, mirror and role; and what it is served by.
  void start(sim::OperatorNode& of, ServedReceipts::Manner manner) {
    server_.reset();
    data_ = std::make_unique<ServedReceipts>(of, manner);
    start_server(0);
    at_.url = "http://127.0.0.1:" + std::to_string(server_->port());
    to_ledger_ = std::make_unique<service::LedgerClient>(*client_, at_);
    to_data_ = std::make_unique<service::DataClient>(*client_, at_);
    start_fisherman();
  }
  // `port` 0: any.
  void start_server(std::uint16_t port) {
    net::ServerOptions options;
    options.port = port;
    server_ = *service::LedgerServer::start(options, &chain_, data_.get());
  }
  // From nothing but its keys.
  void start_fisherman() {
    fisherman_.reset();
    mirror_.emplace(*rollup::Mirror::open(*to_ledger_, world_.state().id));
    fisherman_ = std::make_unique<Fisherman>(
        *mirror_,
        rollup::FishermanOptions{.key = key_,
                                 .sampling_key = {9},
                                 .weights = [this](const Hash&) { return &world_.weights(); },
                                 .data = [this](const crypto::Address&) -> rollup::DataPort* {
                                   return to_data_.get();
                                 }});
  }
  Status step() {
    world_.run_ms(200);
    return fisherman_->step(world_.weather().now);
  }
  bool step_until(const std::function<bool()>& done) {
    for (int i = 0; i < 300 && !done(); ++i) {
      const Status stepped = step();
      EXPECT_TRUE(stepped) << stepped.error().message;
    }
    return done();
  }
  // A receipt with one forged token, given to an operator that defends it.
  sim::OperatorNode& add_cheat() {
    defence_.emplace(world_.weights(), sim::token_at(4, 5), false);
    sim::OperatorNode& cheat = world_.add_operator(
        "cheat", 10'000'000, [this](auto& options) { options.respond = std::ref(*defence_); });
    world_.give(cheat, sim::forge_token(world_.weights(), world_.request(), world_.prompt(), 2, 5,
                                        cheat.signers));
    return cheat;
  }
  std::uint64_t balance() const { return world_.balance(key_.address()); }
  bool has_game() const { return fisherman_->gauges().games_open == 1; }

  sim::World world_{{}};
  const crypto::PrivateKey key_ = world_.funded_key(1'000'000);
  ServedChain chain_{world_};
  std::optional<sim::LiarsDefence> defence_;
  std::unique_ptr<ServedReceipts> data_;
  std::unique_ptr<service::LedgerServer> server_;
  std::unique_ptr<net::Client> client_ = *net::Client::create();
  service::LedgerServerAddress at_;
  std::unique_ptr<service::LedgerClient> to_ledger_;
  std::unique_ptr<service::DataClient> to_data_;
  std::optional<rollup::Mirror> mirror_;
  std::unique_ptr<Fisherman> fisherman_;
};

TEST_F(OverHttpTest, AgreesWithAnHonestOperator) {
  sim::OperatorNode& honest = world_.add_operator("operator");
  start(honest, ServedReceipts::Manner::kHonest);
  for (int i = 0; i < 3; ++i) world_.ask(honest);
  ASSERT_TRUE(step_until([&] { return fisherman_->gauges().agreed == 3; }));
  EXPECT_EQ(fisherman_->gauges().claims_seen, 3U);
  EXPECT_EQ(world_.state().games.size(), 0U);
}

TEST_F(OverHttpTest, CatchesALiarAndIsPaid) {
  sim::OperatorNode& cheat = add_cheat();
  start(cheat, ServedReceipts::Manner::kHonest);
  const std::uint64_t before = balance();
  ASSERT_TRUE(step_until([&] { return world_.stake(cheat) == 0; }));
  EXPECT_TRUE(step_until([&] { return fisherman_->gauges().games_won == 1; }));
  EXPECT_GT(balance(), before);
  EXPECT_EQ(world_.chain().broken(), "");
}

TEST_F(OverHttpTest, GoesOnWhereItsGameStandsAfterBothWereKilled) {
  sim::OperatorNode& cheat = add_cheat();
  start(cheat, ServedReceipts::Manner::kHonest);
  ASSERT_TRUE(step_until([&] { return has_game(); }));
  // First the fisherman, then the server under it.
  start_fisherman();
  ASSERT_TRUE(step());
  EXPECT_TRUE(has_game());
  const std::uint16_t port = server_->port();
  server_.reset();
  const Status alone = step();
  ASSERT_FALSE(alone);
  EXPECT_EQ(alone.error().kind, ErrorKind::kNetwork);
  start_server(port);
  ASSERT_TRUE(step_until([&] { return world_.stake(cheat) == 0; }));
  EXPECT_EQ(world_.state().games.size(), 1U);
}

TEST_F(OverHttpTest, DemandsOnTheLedgerWhatAServerDoesNotShow) {
  for (const auto manner : {ServedReceipts::Manner::kWithholds, ServedReceipts::Manner::kGarbage}) {
    sim::OperatorNode& cheat = add_cheat();
    start(cheat, manner);
    ASSERT_TRUE(step_until([&] { return world_.stake(cheat) == 0; }));
    EXPECT_GE(fisherman_->gauges().withheld, 1U);
  }
  EXPECT_EQ(world_.chain().broken(), "");
}

TEST_F(OverHttpTest, SeesThatALedgerServerLiesAndGoesOnWhenItDoesNot) {
  sim::OperatorNode& cheat = add_cheat();
  start(cheat, ServedReceipts::Manner::kHonest);
  ASSERT_TRUE(step_until([&] { return has_game(); }));
  chain_.lies = true;
  const std::uint64_t height = mirror_->state().height;
  Status lied;
  for (int i = 0; i < 50 && lied; ++i) lied = step();
  ASSERT_FALSE(lied);
  EXPECT_EQ(lied.error().kind, ErrorKind::kReject) << lied.error().message;
  EXPECT_GE(mirror_->state().height, height);
  chain_.lies = false;
  ASSERT_TRUE(step_until([&] { return world_.stake(cheat) == 0; }));
}

// A checker that reaches ledger, receipts and proofs only over HTTP.
TEST(CheckerOverHttpTest, SignsTheProofThatItFetches) {
  sim::WorldOptions options{.parameters = ledger::example_parameters(true), .checkers = 1};
  options.parameters->draw_ppm = ledger::kMillion;
  sim::World world(options);
  const sim::ProofFolder proofs;
  sim::OperatorNode& prover =
      world.add_operator("operator", 10'000'000, [&](auto& its) { its.prover = proofs.at_once(); });
  const crypto::PrivateKey key = world.checker(0);
  ASSERT_TRUE(world.send(world.funded_key(1000), ledger::Transfer{key.address(), 900}));
  ServedChain chain(world);
  const auto server = *service::LedgerServer::start({}, &chain, prover.role.get());
  const auto client = *net::Client::create();
  const service::LedgerServerAddress at{.url =
                                            "http://127.0.0.1:" + std::to_string(server->port())};
  service::LedgerClient to_ledger(*client, at);
  service::DataClient to_data(*client, at);
  auto mirror = *rollup::Mirror::open(to_ledger, world.state().id);
  rollup::Checker checker(mirror, {.key = key,
                                   .weights = [&](const Hash&) { return &world.weights(); },
                                   .data = [&](const crypto::Address&) { return &to_data; }});
  world.give(prover, sim::attested(sim::answer_honestly(world.weights(), world.request(),
                                                        world.prompt(), prover.signers),
                                   prover));
  for (int i = 0; i < 300 && checker.gauges().signed_count == 0; ++i) {
    world.run_ms(200);
    const Status stepped = checker.step(world.weather().now);
    ASSERT_TRUE(stepped) << stepped.error().message;
  }
  EXPECT_EQ(checker.gauges().proven, 1U);
  EXPECT_TRUE(world.state().claims.at({1, 0}).checked);
}

}  // namespace
}  // namespace otr::apps
