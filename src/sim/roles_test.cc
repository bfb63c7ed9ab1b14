// The roles one by one against what a seed may take long to come to: ports that lie, kills after
// every move, servers that bend what they serve, accomplices.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "sim/cast.h"
#include "sim/world.h"

namespace otr::sim {
namespace {

using ledger::ClaimKey;

bool is_final(World& world, OperatorNode& of, const protocol::Receipt& receipt) {
  const auto key = world.claim_of(of, receipt);
  return key && ledger::is_final(world.state(), *key);
}

std::uint64_t games_lost_by(World& world, const crypto::Address& challenger) {
  std::uint64_t lost = 0;
  for (const auto& [number, game] : world.state().games) {
    lost += game.challenger == challenger && game.game.phase == dispute::Phase::kUpheld &&
            game.game.ending != dispute::Ending::kWithdrawn;
  }
  return lost;
}

// --- Mirror

// Shows the rows of a chain, one of them changed.
class LyingPort : public rollup::LedgerPort {
 public:
  LyingPort(Bytes genesis, std::vector<settlement::Row> rows)
      : genesis_(std::move(genesis)), shown(std::move(rows)) {}
  Result<Bytes> genesis() override { return genesis_; }
  Result<std::vector<settlement::Row>> rows(std::uint64_t after) override {
    if (after >= shown.size()) return std::vector<settlement::Row>{};
    return std::vector(shown.begin() + static_cast<std::ptrdiff_t>(after), shown.end());
  }
  Status submit(ByteView) override { return {}; }

 private:
  const Bytes genesis_;

 public:
  std::vector<settlement::Row> shown;
};

class Mirrors : public ::testing::Test {
 protected:
  Mirrors() {
    OperatorNode& honest = world_.add_operator("operator");
    (void)world_.ask(honest);
    world_.run_ms(3000);
  }
  // What the mirror says of a port that changes row `at`.
  void expect_refused(std::size_t at, const std::function<void(settlement::Row&)>& change) {
    LyingPort port(world_.chain().genesis(), world_.chain().rows());
    change(port.shown[at]);
    auto mirror = rollup::Mirror::open(port, world_.state().id);
    ASSERT_TRUE(mirror);
    const Status done = mirror->catch_up();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, ErrorKind::kReject);
    EXPECT_EQ(mirror->state().height, at);
    port.shown = world_.chain().rows();
    EXPECT_TRUE(mirror->catch_up());
    EXPECT_EQ(mirror->state().tip, world_.state().tip);
  }
  World world_{{}};
};

TEST_F(Mirrors, NoRowIsTakenThatWasChanged) {
  for (std::size_t at = 0; at < world_.chain().rows().size(); ++at) {
    SCOPED_TRACE(at);
    expect_refused(at, [](settlement::Row& row) { row.transaction.back() ^= 1; });
    expect_refused(at, [](settlement::Row& row) { row.tip[0] ^= 1; });
    expect_refused(at, [](settlement::Row& row) { ++row.time; });
    expect_refused(at, [](settlement::Row& row) { row.transaction.clear(); });
  }
}

TEST_F(Mirrors, NoRowIsMissingOrThereTwice) {
  LyingPort port(world_.chain().genesis(), world_.chain().rows());
  port.shown.erase(port.shown.begin() + 2);
  auto mirror = rollup::Mirror::open(port, world_.state().id);
  EXPECT_FALSE(mirror->catch_up());
  EXPECT_EQ(mirror->state().height, 2u);
  port.shown = world_.chain().rows();
  port.shown.insert(port.shown.begin() + 2, port.shown[1]);
  EXPECT_FALSE(mirror->catch_up());
  EXPECT_EQ(mirror->state().height, 2u);
}

TEST_F(Mirrors, AnotherLedgerOrAnotherHistoryIsRefused) {
  World other({.seed = 2});
  LyingPort port(other.chain().genesis(), other.chain().rows());
  const auto wrong = rollup::Mirror::open(port, world_.state().id);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, "LEDGER_MISMATCH");
  // The same ledger, forked: what it shows now does not follow from what it has shown.
  World fork({});
  (void)fork.funded_key(1);
  LyingPort two(world_.chain().genesis(), fork.chain().rows());
  auto mirror = rollup::Mirror::open(two, world_.state().id);
  ASSERT_TRUE(mirror->catch_up());
  two.shown = world_.chain().rows();
  ASSERT_GT(two.shown.size(), mirror->state().height);
  EXPECT_EQ(mirror->catch_up().error().kind, ErrorKind::kReject);
  EXPECT_EQ(mirror->state().tip, fork.state().tip);
}

// --- Fisherman

// A false claim whose game needs demands, so that there are many moves to be killed after.
struct Duel {
  explicit Duel(Defence defence, std::uint64_t seed = 1)
      : world({.seed = seed}),
        random(seed),
        liar(world.weights(), defence),
        cheat(world.add_operator("cheat", 10'000'000, [&](rollup::OperatorOptions& options) {
          options.respond = std::ref(liar);
        })) {}
  protocol::Receipt lie(Lie kind) {
    while (true) {
      auto forged = liar.forge(kind, world.request(), world.prompt(), cheat.signers, random);
      if (!is_true(world.weights(), forged, world.prompt(), cheat.signers)) return forged;
    }
  }
  bool is_caught() {
    return world.run_until([&] { return world.stake(cheat) == 0; }, 200'000);
  }

  World world;
  Random random;
  Liar liar;
  OperatorNode& cheat;
};

TEST(Fishermen, AKillAfterEveryMoveLosesNoGame) {
  for (const Lie kind : {Lie::kToken, Lie::kTensor, Lie::kLeaf, Lie::kRoot, Lie::kFinish}) {
    SCOPED_TRACE(static_cast<int>(kind));
    Duel duel(Defence::kFights, 3);
    FishermanNode& fisherman = duel.world.add_fisherman("fisherman");
    duel.world.give(duel.cheat, duel.lie(kind));
    std::uint64_t seen = 0;
    ASSERT_TRUE(duel.world.run_until(
        [&] {
          const std::uint64_t height =
              duel.world.state().games.size() +
              (duel.world.state().games.contains(1) ? duel.world.state().games.at(1).game.move_count
                                                    : 0);
          if (height != seen) fisherman.node->link.has_crashed = true;
          seen = height;
          return duel.world.stake(duel.cheat) == 0;
        },
        200'000));
    EXPECT_GT(fisherman.node->kills, 0u);
    EXPECT_EQ(duel.world.state().games.size(), 1u);
    EXPECT_EQ(games_lost_by(duel.world, fisherman.key.address()), 0u);
    EXPECT_EQ(duel.world.chain().broken(), "");
  }
}

TEST(Fishermen, NoServerHidesALieOrBurnsABond) {
  for (std::uint64_t number = 0; number < kServices; ++number) {
    const auto service = static_cast<Service>(number);
    SCOPED_TRACE(number);
    Duel duel(Defence::kFights);
    OperatorNode& honest = duel.world.add_operator("honest");
    BentData bent(*duel.cheat.data, service, duel.random);
    BentData bent_honest(*honest.data, service, duel.random);
    FishermanNode& fisherman =
        duel.world.add_fisherman("fisherman", 1'000'000, [&](rollup::FishermanOptions& options) {
          options.data = [&](const crypto::Address& address) -> rollup::DataPort* {
            return address == honest.signers.operator_key.address() ? &bent_honest : &bent;
          };
        });
    const auto right = duel.world.ask(honest);
    const auto wrong = duel.lie(Lie::kToken);
    duel.world.give(duel.cheat, wrong);
    ASSERT_TRUE(duel.is_caught()) << fisherman.role->gauges().last_refusal;
    EXPECT_FALSE(is_final(duel.world, duel.cheat, wrong));
    ASSERT_TRUE(duel.world.run_until([&] { return is_final(duel.world, honest, right); }, 60'000));
    EXPECT_EQ(duel.world.stake(honest), 10'000'000u);
    EXPECT_EQ(games_lost_by(duel.world, fisherman.key.address()), 0u);
    // Other output ids are a lie that costs nobody a game.
    const bool is_seen_through = service == Service::kHonest || service == Service::kOutput;
    EXPECT_LE(duel.world.state().games.size(), is_seen_through ? 1u : 2u);
  }
}

// An accomplice has the lying leaf answered, and loses. The answer binds all games to come, and it
// stands in that game alone.
TEST(Fishermen, AnAccomplicesGameHidesNoAnswer) {
  Duel duel(Defence::kFights);
  const auto wrong = duel.lie(Lie::kToken);
  const auto honest =
      answer_honestly(duel.world.weights(), wrong.request, duel.world.prompt(), duel.cheat.signers);
  const auto at = static_cast<std::size_t>(
      std::ranges::mismatch(wrong.output_ids, honest.output_ids).in1 - wrong.output_ids.begin());
  const crypto::PrivateKey accomplice = duel.world.funded_key(1'000'000);
  duel.world.give(duel.cheat, wrong);
  ASSERT_TRUE(duel.world.run_until(
      [&] { return duel.world.claim_of(duel.cheat, wrong).has_value(); }, 10'000));
  ASSERT_TRUE(duel.world.send(accomplice, ledger::Challenge{.batch = 1,
                                                            .index = 0,
                                                            .claim = wrong.claim,
                                                            .path = {},
                                                            .request = wrong.request.request}));
  const auto move = [&](dispute::Action action) {
    const Hash digest = duel.world.state().games.at(1).game_digest;
    return duel.world.send(
        accomplice, ledger::Move{1, dispute::encode_move(
                                        {dispute::Side::kChallenger, digest, std::move(action)})});
  };
  ASSERT_TRUE(
      move(dispute::Challenge{{.t = wrong.prompt_ids.size() + at, .stream = {}, .tile = 0}}));
  ASSERT_TRUE(duel.world.run_until(
      [&] { return duel.world.state().games.at(1).game.phase == dispute::Phase::kProving; },
      10'000));
  ASSERT_TRUE(move(dispute::Concede{}));
  ASSERT_EQ(duel.world.state().games.at(1).game.phase, dispute::Phase::kUpheld);
  duel.world.run_ms(500);
  FishermanNode& fisherman = duel.world.add_fisherman("fisherman");
  EXPECT_TRUE(duel.is_caught()) << fisherman.role->gauges().last_refusal;
  EXPECT_EQ(games_lost_by(duel.world, fisherman.key.address()), 0u);
}

// Drawn, never answered: whoever is awake takes the reward (SPEC SET-31).
TEST(Fishermen, AMissedDrawIsReported) {
  ledger::Parameters parameters = ledger::example_parameters(true);
  parameters.draw_ppm = 1'000'000;
  World world({.parameters = parameters});
  OperatorNode& silent = world.add_operator("silent");
  FishermanNode& fisherman = world.add_fisherman("fisherman");
  const auto receipt = world.ask(silent);
  ASSERT_TRUE(world.run_until([&] { return world.claim_of(silent, receipt).has_value(); }, 10'000));
  silent.node->step = [](std::uint64_t) { return Status(); };
  const std::uint64_t before = world.balance(fisherman.key.address());
  ASSERT_TRUE(world.run_until([&] { return world.stake(silent) == 0; }, 60'000));
  EXPECT_GT(world.balance(fisherman.key.address()), before);
}

// --- Watcher

struct Client {
  explicit Client(World& world) : port(world.weather(), world.chain()) {
    mirror.emplace(*rollup::Mirror::open(port, world.state().id));
    watcher.emplace(*mirror, world.client(), 2'000);
  }
  bool run_until(World& world, rollup::DataPort* data, const std::function<bool()>& done) {
    return world.run_until(
        [&] {
          EXPECT_TRUE(watcher->step(world.weather().now, data));
          return done();
        },
        60'000);
  }
  Link port;
  std::optional<rollup::Mirror> mirror;
  std::optional<rollup::Watcher> watcher;
};

TEST(Watchers, WhatIsNeverPostedIsForcedAndPunished) {
  World world({});
  OperatorNode& censor = world.add_operator("censor");
  Client client(world);
  const auto receipt =
      answer_honestly(world.weights(), world.request(), world.prompt(), censor.signers);
  const Hash hash = protocol::digest_of(receipt.claim, receipt.ledger);
  client.watcher->add(receipt, world.weather().now);
  ASSERT_TRUE(client.run_until(world, censor.data.get(), [&] {
    return client.watcher->whereabouts(hash).standing == rollup::Standing::kForced;
  }));
  EXPECT_TRUE(client.run_until(world, censor.data.get(), [&] { return world.stake(censor) == 0; }));
}

TEST(Watchers, AForceThatIsAnsweredCostsNobodyAStake) {
  World world({});
  OperatorNode& late = world.add_operator("late");
  Client client(world);
  const auto receipt =
      answer_honestly(world.weights(), world.request(), world.prompt(), late.signers);
  const Hash hash = protocol::digest_of(receipt.claim, receipt.ledger);
  client.watcher->add(receipt, world.weather().now);
  ASSERT_TRUE(client.run_until(world, late.data.get(),
                               [&] { return world.state().forces.contains(hash); }));
  world.give(late, receipt);
  ASSERT_TRUE(client.run_until(world, late.data.get(), [&] {
    return client.watcher->whereabouts(hash).standing == rollup::Standing::kPaid;
  }));
  EXPECT_EQ(world.state().forces.at(hash).status, ledger::ForceStatus::kAnswered);
  EXPECT_EQ(world.stake(late), 10'000'000u);
}

// A batch that was not to be had when a later one was.
TEST(Watchers, ABatchMissedOnceIsLookedThroughLater) {
  World world({});
  OperatorNode& honest =
      world.add_operator("operator", 10'000'000, [](auto& options) { options.max_batch = 1; });
  Client client(world);
  const auto first = world.ask(honest);
  const auto second = world.ask(honest);
  const Hash hash = protocol::digest_of(first.claim, first.ledger);
  ASSERT_TRUE(world.run_until([&] { return world.state().batches.size() == 2; }, 10'000));
  class WithoutFirst : public rollup::DataPort {
   public:
    WithoutFirst(rollup::DataPort& there, Hash missing) : there_(there), missing_(missing) {}
    Result<std::vector<std::string>> receipts(const Hash& root) override {
      if (root == missing_) return fail(ErrorKind::kNetwork, "SIMULATED: lost.");
      return there_.receipts(root);
    }
    Result<Bytes> proof(const Hash& digest) override { return there_.proof(digest); }

   private:
    rollup::DataPort& there_;
    const Hash missing_;
  } once(*honest.data, world.state().batches.at(world.claim_of(honest, first)->batch).root);
  client.watcher->add(first, world.weather().now);
  ASSERT_TRUE(client.watcher->step(world.weather().now, &once));
  ASSERT_EQ(client.watcher->whereabouts(hash).batch, 0u);
  ASSERT_TRUE(client.watcher->step(world.weather().now, honest.data.get()));
  EXPECT_EQ(client.watcher->whereabouts(hash).batch, world.claim_of(honest, first)->batch);
}

TEST(Watchers, TwoAnswersToOneRequestAreReported) {
  Duel duel(Defence::kYields);
  Client client(duel.world);
  const auto wrong = duel.lie(Lie::kToken);
  const auto right =
      answer_honestly(duel.world.weights(), wrong.request, duel.world.prompt(), duel.cheat.signers);
  client.watcher->add(right, duel.world.weather().now);
  ASSERT_TRUE(client.watcher->step(duel.world.weather().now, nullptr));
  EXPECT_NE(duel.world.stake(duel.cheat), 0u);
  client.watcher->add(wrong, duel.world.weather().now);
  ASSERT_TRUE(client.watcher->step(duel.world.weather().now, nullptr));
  EXPECT_EQ(duel.world.stake(duel.cheat), 0u);
}

// --- Operator

// What was posted once is served, defended and paid, wherever its process was killed.
TEST(Operators, AnyBeginningOfAJournalOpens) {
  class Records : public rollup::Journal {
   public:
    Status append(std::string_view record) override {
      records.emplace_back(record);
      return {};
    }
    Status read(const std::function<Status(std::string_view)>& visit) override {
      for (const std::string& record : records) OTR_TRY(visit(record));
      return {};
    }
    std::vector<std::string> records;
  };
  World world({});
  OperatorNode& at = world.add_operator("operator");
  world.run_until([&] { return at.role != nullptr; }, 1000);
  at.role.reset();
  at.node->step = [](std::uint64_t) { return Status(); };
  Link link(world.weather(), world.chain());
  auto mirror = rollup::Mirror::open(link, world.state().id);
  ASSERT_TRUE(mirror->catch_up());
  const auto open = [&](Records& records) {
    return rollup::Operator::open(
        *mirror, records,
        {.key = at.signers.operator_key, .value = 100, .max_batch = 2, .weights = [&](const Hash&) {
           return &world.weights();
         }});
  };
  Records whole;
  auto role = *open(whole);
  for (int i = 0; i < 3; ++i) {
    const auto receipt =
        answer_honestly(world.weights(), world.request(), world.prompt(), at.signers);
    ASSERT_TRUE(role->add(*protocol::encode_receipt(receipt), world.weather().now));
    ASSERT_TRUE(role->step(world.weather().now));
  }
  ASSERT_EQ(whole.records.size(), 6u);  // a receipt and a batch, three times
  for (std::size_t kept = 0; kept <= whole.records.size(); ++kept) {
    Records part;
    part.records.assign(whole.records.begin(),
                        whole.records.begin() + static_cast<std::ptrdiff_t>(kept));
    auto again = open(part);
    ASSERT_TRUE(again) << kept;
    EXPECT_TRUE((*again)->step(world.weather().now));
    EXPECT_EQ((*again)->gauges().claims_waiting, 0u);
  }
  Records damaged = whole;
  damaged.records.erase(damaged.records.begin());  // a batch without its receipt
  EXPECT_EQ(open(damaged).error().kind, ErrorKind::kBadInput);
}

// Both posted would be an equivocation, which a client could bring about with two gateways.
TEST(Operators, TheSecondAnswerToARequestIsNotTaken) {
  World world({});
  OperatorNode& honest = world.add_operator("operator");
  const auto request = world.request();
  const auto one = *protocol::encode_receipt(
      answer_honestly(world.weights(), request, world.prompt(), honest.signers));
  const auto two = *protocol::encode_receipt(
      forge_token(world.weights(), request, world.prompt(), 2, 5, honest.signers));
  const std::uint64_t now = world.weather().now;
  ASSERT_TRUE(honest.role->add(one, now));
  const Status second = honest.role->add(two, now);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "OTHER_ANSWER");
  EXPECT_TRUE(honest.role->add(one, now));
}

// Its memory does not grow with all that it ever answered; its journal remembers.
TEST(Operators, WhatIsFinalAndPaidIsLetGo) {
  World world({});
  OperatorNode& honest = world.add_operator("operator");
  const auto request = world.request();
  const auto paid = answer_honestly(world.weights(), request, world.prompt(), honest.signers);
  const auto other = forge_token(world.weights(), request, world.prompt(), 2, 5, honest.signers);
  world.give(honest, paid);
  const Hash root = ledger::batch_root({protocol::digest_of(paid.claim, paid.ledger)});
  ASSERT_TRUE(world.run_until([&] { return honest.role->receipts(root).has_value(); }, 10'000));
  const auto is_let_go = [&] { return honest.role && !honest.role->receipts(root); };
  ASSERT_TRUE(world.run_until(is_let_go, 60'000));
  EXPECT_TRUE(
      world.state().settled_requests.contains({paid.claim.request_hash, paid.operator_address}));
  const auto expect_remembered = [&] {
    EXPECT_EQ(honest.role->gauges().batches_final, 1u);
    EXPECT_TRUE(honest.role->posted(protocol::digest_of(paid.claim, paid.ledger)));
    EXPECT_TRUE(honest.role->add(*protocol::encode_receipt(paid), world.weather().now));
    const Status second = honest.role->add(*protocol::encode_receipt(other), world.weather().now);
    EXPECT_EQ(second ? "" : second.error().code, "OTHER_ANSWER");
    world.run_ms(5000);
    EXPECT_EQ(world.state().batches.size(), 1u);
  };
  expect_remembered();
  honest.node->link.has_crashed = true;
  ASSERT_TRUE(world.run_until([&] { return honest.role == nullptr; }, 1000));
  ASSERT_TRUE(world.run_until(is_let_go, 60'000));
  expect_remembered();
}

// Receipts come, and are asked for, while it works.
TEST(Operators, ThreadsHandInAndReadWhileItSteps) {
  World world({});
  OperatorNode& at = world.add_operator("operator");
  world.run_until([&] { return at.role != nullptr; }, 1000);
  at.role.reset();
  at.node->step = [](std::uint64_t) { return Status(); };
  const auto folder = std::filesystem::path(::testing::TempDir()) / "threads_hand_in";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  const auto journal = *rollup::open_journal(folder / "journal");
  Link link(world.weather(), world.chain());
  auto mirror = *rollup::Mirror::open(link, world.state().id);
  const auto role = *rollup::Operator::open(
      mirror, *journal, {.key = at.signers.operator_key, .value = 100, .max_batch = 2});
  std::vector<std::string> texts;
  for (int i = 0; i < 8; ++i) {
    texts.push_back(*protocol::encode_receipt(
        answer_honestly(world.weights(), world.request(), world.prompt(), at.signers)));
  }
  std::atomic<int> added = 0;
  const std::jthread gateway([&, now = world.weather().now] {
    for (const std::string& text : texts) added += role->add(text, now).has_value();
  });
  const std::jthread reader([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      (void)role->receipts(Hash{});
      (void)role->gauges();
    }
  });
  for (bool is_done = false; !is_done;) {
    const bool are_in = added == 8;
    ASSERT_TRUE(role->step(world.weather().now));
    is_done = are_in && role->gauges().claims_waiting == 0;
    world.run_ms(100);
  }
  EXPECT_GE(world.state().batches.size(), 4u);
}

// A session that can no more be posted stands in nobody's way, and a payment that got lost is asked
// for again.
TEST(Operators, ARevokedSessionBlocksNoOther) {
  World world({});
  OperatorNode& at = world.add_operator("operator", 10'000'000,
                                        [](auto& options) { options.batch_every_ms = 2'000; });
  (void)world.ask(at);
  const Hash old = at.signers.session.session;
  world.new_session(at);
  ASSERT_TRUE(world.send(at.signers.operator_key, ledger::RevokeSession{old}));
  const auto receipt = world.ask(at);
  EXPECT_TRUE(world.run_until([&] { return is_final(world, at, receipt); }, 60'000));
}

}  // namespace
}  // namespace otr::sim
