// A gateway's view of a worker over time: sessions that are renewed, clocks that differ,
// certificates that run out, a worker that is gone (SPEC GATE-11 to GATE-13).
#include "service/http_upstream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "attest/simulated.h"
#include "attest/test_certificates.h"
#include "env/clock.h"
#include "service/answer.h"
#include "service/test_front.h"
#include "service/worker_server.h"

namespace otr::service {
namespace {

using attest::test::Authority;
using attest::test::KeyKind;
using attest::test::kTestNow;
using node::kClockSkewSeconds;
using testing::HasSubstr;

constexpr std::int64_t kLifetime = 20'000;
const std::string kName(attest::kSimulatedName);

// A simulated TEE whose certificate can be given an end, as those of hardware have one.
class ToyTee final : public node::EvidenceSource {
 public:
  ToyTee() : root_(Authority::root(kName + " root", KeyKind::kP384)) {
    certify_until(attest::test::kTestEnd);
  }
  std::string_view kind() const override { return "simulated"; }
  bool hardware() const override { return false; }
  Hash root_hash() const { return root_hash_; }  // of the first

  void certify_until(std::int64_t time) {
    const std::lock_guard lock(mutex_);
    leaf_.emplace(root_.issue({.subject = kName + " leaf", .not_after = time}, KeyKind::kP384));
  }
  // As if somebody else stood in the worker's place.
  void change_root() {
    const std::lock_guard lock(mutex_);
    root_ = Authority::root(kName + " root", KeyKind::kP384);
    leaf_.emplace(root_.issue({.subject = kName + " leaf"}, KeyKind::kP384));
  }

  Result<node::CollectedEvidence> collect(const node::ReportData& report_data) override {
    const std::lock_guard lock(mutex_);
    Bytes report;
    append(report, as_bytes(attest::kSimulatedMagic));
    append(report, Bytes(48, 7));
    append(report, report_data);
    append(report, leaf_->key.sign(attest::Digest::kSha384, report));
    for (const ByteView der : {leaf_->certificate.der(), root_.certificate.der()}) {
      append_le(report, static_cast<std::uint32_t>(der.size()));
      append(report, der);
    }
    return node::CollectedEvidence{.kind = "simulated", .report = std::move(report), .extra = {}};
  }

 private:
  std::mutex mutex_;
  Authority root_;
  const Hash root_hash_ = root_.certificate.fingerprint();
  std::optional<Authority> leaf_;
};

class HttpUpstreamTest : public testing::Test {
 protected:
  HttpUpstreamTest() {
    sessions_ = *node::Sessions::start(tee_, nullptr,
                                       {.operator_address = test_key(9).address(),
                                        .model_root = artifact_->root(),
                                        .lifetime_seconds = kLifetime,
                                        .unix_seconds = [this] { return worker_now_.load(); }});
    node::InferenceOptions options;
    options.scheduler.kv_budget_bytes = std::size_t{16} << 20;
    inference_ = *node::InferenceService::start(*artifact_, packed_, std::move(options));
    worker_ = *WorkerServer::start({}, *sessions_, *inference_);
    client_ = *net::Client::create();
  }
  ~HttpUpstreamTest() override {
    upstream_.reset();
    client_.reset();
    worker_.reset();
    inference_.reset();
  }

  Status connect() {
    attest::Policy policy;
    policy.simulated.emplace();
    policy.simulated->roots = {tee_.root_hash()};
    policy.simulated->measurement.any = true;
    upstream_ = HttpUpstream::start(
        *client_, {.url = "http://127.0.0.1:" + std::to_string(worker_->port()),
                   .policy = policy,
                   .operator_key = std::make_shared<const crypto::PrivateKey>(test_key(9)),
                   .unix_seconds = [this] { return now_.load(); }});
    return upstream_->refresh();
  }
  void at(std::int64_t seconds) { worker_now_ = now_ = kTestNow + seconds; }
  auto session() { return upstream_->session(artifact_->root()); }

  // The answer to a short request, under this session.
  Result<VerifiedAnswer> ask(const std::shared_ptr<const AppraisedSession>& session) {
    const std::vector<std::uint32_t> prompt = {1, 2, 3};
    protocol::SignedRequest made;
    protocol::Request& request = made.request;
    request.client = test_key(5).address();
    request.counter = ++counter_;
    request.task_id = protocol::task_id(request.client, request.counter);
    request.model_root = artifact_->root();
    request.prompt_root = trace::token_root(prompt);
    request.prompt_count = 3;
    request.max_tokens = 4;
    request.deadline = static_cast<std::uint64_t>(env::unix_seconds()) + 600;
    made.signature = test_key(5).sign(protocol::digest_of(request, Hash{}));
    std::vector<std::uint32_t> output;
    std::promise<std::expected<EndedAnswer, UpstreamError>> ended;
    const auto call = upstream_->submit(
        {.session = session->id, .request = made, .prompt_ids = prompt, .logprobs = {}}, session,
        {.on_token = [&](const protocol::TokenMessage& token) { output.push_back(token.id); },
         .on_done = [&](auto end) { ended.set_value(std::move(end)); }});
    auto end = ended.get_future().get();
    if (!end) return fail(ErrorKind::kNetwork, end.error().message, end.error().code);
    return verify_answer(made, prompt, output, *end, *session, artifact_->view(), artifact_->root(),
                         now_);
  }

  std::shared_ptr<model::Artifact> artifact_ = toy_chat_artifact();
  engine::PackedModel packed_{artifact_->view()};
  ToyTee tee_;
  std::atomic<std::int64_t> worker_now_ = kTestNow, now_ = kTestNow;
  std::uint64_t counter_ = 0;
  std::unique_ptr<node::Sessions> sessions_;
  std::unique_ptr<node::InferenceService> inference_;
  std::unique_ptr<WorkerServer> worker_;
  std::unique_ptr<net::Client> client_;
  std::unique_ptr<HttpUpstream> upstream_;
};

TEST_F(HttpUpstreamTest, ARenewedSessionIsTakenUpAndTheOldOneStillAnswers) {
  ASSERT_TRUE(connect());
  const auto first = *session();
  ASSERT_TRUE(ask(first));
  at(kLifetime - 100);
  sessions_->tend();
  ASSERT_TRUE(upstream_->refresh());
  ASSERT_EQ(upstream_->sessions().size(), 2u);
  const auto second = *session();
  EXPECT_NE(second->id, first->id);
  EXPECT_GT(second->document.session.expiry, first->document.session.expiry);
  for (const auto& one : {first, second}) {
    const auto answer = ask(one);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->receipt.claim.session, one->id);
    EXPECT_EQ(answer->receipt.signer, one->document.session.key);
  }
  at(kLifetime + 1);
  const auto refused = ask(first);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "session_unknown");
  EXPECT_TRUE(ask(second));
}

TEST_F(HttpUpstreamTest, NoSessionIsOfferedBeyondItsEnd) {
  ASSERT_TRUE(connect());
  worker_.reset();
  const std::int64_t last = std::min(kLifetime, kMaxAppraisalSeconds);
  now_ = kTestNow + last;
  EXPECT_EQ((*session())->good_until, kTestNow + last);
  now_ = kTestNow + last + 1;
  const auto none = session();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().status, 503u);
  EXPECT_TRUE(upstream_->sessions().empty());
}

// SPEC GATE-12: what clocks may differ by.
TEST_F(HttpUpstreamTest, AClientsClockMayBeTwoMinutesBehind) {
  now_ = kTestNow - static_cast<std::int64_t>(kClockSkewSeconds);
  const Status good = connect();
  EXPECT_TRUE(good) << good.error().message;
  EXPECT_TRUE(session());
  now_ = kTestNow - static_cast<std::int64_t>(kClockSkewSeconds) - 1;
  const Status early = upstream_->refresh();
  ASSERT_FALSE(early);
  EXPECT_THAT(early.error().message, HasSubstr("The session lasts from"));
  EXPECT_FALSE(session());
}

TEST_F(HttpUpstreamTest, AClientsClockAheadSeesSessionsEndEarlier) {
  now_ = kTestNow + kLifetime;
  EXPECT_TRUE(connect());
  now_ = kTestNow + kLifetime + 1;
  EXPECT_FALSE(upstream_->refresh());
  EXPECT_FALSE(session());
}

// SPEC GATE-13: to the second, without anybody asking anew.
TEST_F(HttpUpstreamTest, AVerdictHoldsAsLongAsWhatItReliedOn) {
  tee_.certify_until(kTestNow + 1000);
  ASSERT_TRUE(connect());
  EXPECT_EQ((*session())->good_until, kTestNow + 1000);
  at(1000);
  EXPECT_TRUE(session());
  at(1001);
  EXPECT_FALSE(session());
  EXPECT_TRUE(upstream_->sessions().empty());
  const Status refused = upstream_->refresh();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("TIME_INVALID"));
  EXPECT_THAT(session().error().message, HasSubstr("TIME_INVALID"));
  // With new certificates the same session is accepted again.
  tee_.certify_until(attest::test::kTestEnd);
  ASSERT_TRUE(upstream_->refresh());
  ASSERT_TRUE(session());
  EXPECT_EQ((*session())->good_until, kTestNow + 1001 + kMaxAppraisalSeconds);
}

// SPEC GATE-11, GATE-13: an outage is no reason to stop, evidence that is refused is one.
TEST_F(HttpUpstreamTest, WhatIsRefusedIsUsedNoLongerWhateverWasThoughtBefore) {
  ASSERT_TRUE(connect());
  tee_.change_root();
  const Status refused = upstream_->refresh();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kReject);
  EXPECT_FALSE(session());
}

TEST_F(HttpUpstreamTest, AnOutageIsOutlasted) {
  ASSERT_TRUE(connect());
  worker_.reset();
  const Status gone = upstream_->refresh();
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().kind, ErrorKind::kNetwork);
  at(kMaxAppraisalSeconds);
  EXPECT_TRUE(session());
  at(kMaxAppraisalSeconds + 1);
  EXPECT_FALSE(session());
}

}  // namespace
}  // namespace otr::service
