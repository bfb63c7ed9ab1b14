#include "node/sessions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <set>
#include <thread>

#include "machine/tables.h"
#include "node/simulated_tee.h"

namespace otr::node {
namespace {

namespace fs = std::filesystem;
constexpr std::int64_t kStart = 1'800'000'000;
constexpr std::int64_t kLifetime = 1000;

// A simulated TEE that can break.
class BreakableTee final : public EvidenceSource {
 public:
  explicit BreakableTee(const fs::path& folder)
      : tee_(*SimulatedTee::open({.folder = folder, .measurement = {7}})) {}
  std::string_view kind() const override { return tee_->kind(); }
  bool hardware() const override { return false; }
  Result<CollectedEvidence> collect(const ReportData& report_data) override {
    const bool alone = ++inside_ == 1;
    EXPECT_TRUE(alone) << "two requests at a time";
    auto evidence = broken ? fail(ErrorKind::kIo, "the TEE is broken") : tee_->collect(report_data);
    --inside_;
    return evidence;
  }

  std::atomic<bool> broken = false;

 private:
  std::unique_ptr<SimulatedTee> tee_;
  std::atomic<int> inside_ = 0;
};

class SessionsTest : public testing::Test {
 protected:
  SessionsTest() {
    std::string name = testing::TempDir() + "otr-sessions-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    tee_ = std::make_unique<BreakableTee>(folder_);
  }
  ~SessionsTest() override {
    sessions_.reset();
    fs::remove_all(folder_);
  }

  void start() {
    auto started = Sessions::start(*tee_, nullptr, options());
    ASSERT_TRUE(started) << started.error().message;
    sessions_ = *std::move(started);
  }
  SessionsOptions options() {
    return {.operator_address = {1},
            .model_root = {2},
            .lifetime_seconds = kLifetime,
            .collateral = [this]() -> Result<std::vector<protocol::EvidenceItem>> {
              return std::vector{protocol::EvidenceItem{.name = "c", .data = {++collateral_}}};
            },
            .unix_seconds = [this] { return now_.load(); },
            .on_renewal = [this](const Result<Hash>& id) { ++(id ? renewed_ : failed_); }};
  }
  // The clock stands at `seconds` after the start.
  void at(std::int64_t seconds) {
    now_ = kStart + seconds;
    sessions_->tend();
  }
  Hash newest() const { return sessions_->live().front()->id(); }

  fs::path folder_;
  std::unique_ptr<BreakableTee> tee_;
  std::unique_ptr<Sessions> sessions_;
  std::atomic<std::int64_t> now_ = kStart;
  std::atomic<std::uint8_t> collateral_ = 0;
  std::atomic<int> renewed_ = 0, failed_ = 0;
};

// SPEC GATE-12.
TEST_F(SessionsTest, TheNextOneBeginsWhileTheLastStillLives) {
  start();
  ASSERT_EQ(sessions_->live().size(), 1u);
  const Hash first = newest();
  const auto& statement = sessions_->live().front()->document().session;
  EXPECT_EQ(statement.not_before, static_cast<std::uint64_t>(kStart) - kClockSkewSeconds);
  EXPECT_EQ(statement.expiry, static_cast<std::uint64_t>(kStart + kLifetime));
  at(749);
  EXPECT_EQ(sessions_->live().size(), 1u);
  at(750);
  ASSERT_EQ(sessions_->live().size(), 2u);
  EXPECT_EQ(renewed_, 1);
  EXPECT_NE(newest(), first);
  EXPECT_EQ(sessions_->live()[1]->id(), first);
  EXPECT_EQ(sessions_->find(first)->id(), first);
  at(1000);
  EXPECT_NE(sessions_->find(first), nullptr);
  at(1001);
  EXPECT_EQ(sessions_->find(first), nullptr);
  EXPECT_EQ(sessions_->live().size(), 1u);
  at(1500);
  EXPECT_EQ(renewed_, 2);
}

TEST_F(SessionsTest, KeysEvidenceAndEpochOfEachAreItsOwn) {
  start();
  at(800);
  const auto live = sessions_->live();
  ASSERT_EQ(live.size(), 2u);
  const auto& a = live[0]->document().session;
  const auto& b = live[1]->document().session;
  EXPECT_NE(a.key, b.key);
  EXPECT_NE(a.seal_key, b.seal_key);
  EXPECT_NE(a.receipt_key, b.receipt_key);
  EXPECT_NE(a.beacon, b.beacon);
  EXPECT_GT(a.epoch, b.epoch);
  EXPECT_EQ(live[0]->signer()->session, live[0]->id());
  EXPECT_EQ(live[0]->signer()->key.address(), a.key);
  for (const auto& one : live) {
    EXPECT_TRUE(protocol::check_session(one->document(), machine::kSpecHash));
  }
  const auto fresh = sessions_->fresh_documents(Hash{9});
  ASSERT_TRUE(fresh) << fresh.error().message;
  ASSERT_EQ(fresh->size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ((*fresh)[i].session.key, live[i]->document().session.key);
    EXPECT_EQ((*fresh)[i].nonce, Hash{9});
    EXPECT_TRUE(protocol::check_session((*fresh)[i], machine::kSpecHash));
  }
  // Collateral is asked for anew each time: files that were renewed are stapled at once.
  EXPECT_NE((*fresh)[1].evidence.back().data, live[1]->document().evidence.back().data);
}

TEST_F(SessionsTest, KeysGoWithTheLastAnswerUnderThem) {
  start();
  const std::weak_ptr<const Enclave> enclave = sessions_->live().front();
  std::shared_ptr<const ClaimSigner> of_answer = enclave.lock()->signer();
  const std::weak_ptr<const ClaimSigner> signer = of_answer;
  at(800);
  EXPECT_FALSE(enclave.expired());
  at(1001);
  EXPECT_TRUE(enclave.expired());
  EXPECT_FALSE(signer.expired());
  of_answer.reset();
  EXPECT_TRUE(signer.expired());
}

TEST_F(SessionsTest, ARenewalThatFailsIsTriedAgainAndTakesNothingAway) {
  start();
  const Hash first = newest();
  tee_->broken = true;
  at(750);
  EXPECT_EQ(failed_, 1);
  EXPECT_EQ(newest(), first);
  at(750 + kRenewalRetrySeconds - 1);
  EXPECT_EQ(failed_, 1);
  at(750 + kRenewalRetrySeconds);
  EXPECT_EQ(failed_, 2);
  EXPECT_FALSE(sessions_->fresh_documents(Hash{1}));
  at(1001);
  EXPECT_TRUE(sessions_->live().empty());
  EXPECT_EQ(sessions_->find(first), nullptr);
  tee_->broken = false;
  at(1001 + kRenewalRetrySeconds);
  EXPECT_EQ(sessions_->live().size(), 1u);
}

TEST_F(SessionsTest, ClocksThatJumpMakeNoSessionTwice) {
  start();
  std::set<std::uint64_t> epochs;
  for (const std::int64_t seconds : {760, 100, 760, 5000, 4000, 5000}) {
    at(seconds);
    at(seconds);
    for (const auto& one : sessions_->live()) epochs.insert(one->document().session.epoch);
    EXPECT_LE(sessions_->live().size(), 2u);
  }
  EXPECT_EQ(renewed_, 2);
  EXPECT_EQ(epochs.size(), 3u);
}

TEST_F(SessionsTest, ItsThreadTendsByItself) {
  start();
  now_ = kStart + 800;
  for (int i = 0; i < 200 && renewed_ == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_EQ(renewed_, 1);
}

TEST_F(SessionsTest, LifetimesOutOfRangeAndBrokenTeesAreRefused) {
  for (const std::uint64_t lifetime :
       {std::uint64_t{0}, kMinLifetimeSeconds - 1, kMaxLifetimeSeconds + 1, UINT64_MAX}) {
    SessionsOptions options = this->options();
    options.lifetime_seconds = lifetime;
    const auto started = Sessions::start(*tee_, nullptr, std::move(options));
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().kind, ErrorKind::kUsage);
  }
  SessionsOptions longest = options();
  longest.lifetime_seconds = kMaxLifetimeSeconds;
  EXPECT_TRUE(Sessions::start(*tee_, nullptr, std::move(longest)));
  tee_->broken = true;
  const auto started = Sessions::start(*tee_, nullptr, options());
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, testing::HasSubstr("broken"));
}

}  // namespace
}  // namespace otr::node
