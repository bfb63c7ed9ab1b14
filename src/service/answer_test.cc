// What a client accepts as an answer (SPEC GATE-11), without a front.
#include "service/answer.h"

#include <gtest/gtest.h>

#include "env/clock.h"
#include "machine/tables.h"
#include "protocol/verify.h"
#include "service/test_front.h"
#include "trace/trace.h"

namespace otr::service {
namespace {

class AnswerTest : public testing::Test {
 protected:
  AnswerTest() {
    submission.session = upstream.session_given->id;
    submission.prompt_ids = {1, 2, 3};
    protocol::Request& request = submission.request.request;
    request.client = test_key(7).address();
    request.counter = 1;
    request.task_id = protocol::task_id(request.client, 1);
    request.model_root = artifact->root();
    request.prompt_root = trace::token_root(submission.prompt_ids);
    request.prompt_count = 3;
    request.max_tokens = 6;
    request.sampling.logit_bias = {{16, -100 * 65536}};
    submission.request.signature = test_key(7).sign(protocol::digest_of(request, Hash{}));
    upstream.bend = [&](Script& script) {
      for (const auto& token : script.tokens) ids.push_back(token.id);
      ended = *script.end;
    };
    static_cast<void>(
        upstream.submit(submission, upstream.session_given,
                        {.on_token = [](const protocol::TokenMessage&) {},
                         .on_done = [](const std::expected<EndedAnswer, UpstreamError>&) {}}));
  }

  Result<VerifiedAnswer> verify(std::int64_t now = env::unix_seconds()) {
    return verify_answer(submission.request, submission.prompt_ids, ids, ended,
                         *upstream.session_given, artifact->view(), artifact->root(), now);
  }
  std::string code() {
    const auto verified = verify();
    return verified ? "" : verified.error().code;
  }

  std::shared_ptr<model::Artifact> artifact = toy_chat_artifact();
  FakeUpstream upstream{artifact};
  protocol::Submission submission;
  std::vector<std::uint32_t> ids;
  EndedAnswer ended;
};

TEST_F(AnswerTest, AGoodOneIsAReceiptForAnyStranger) {
  const auto verified = verify();
  ASSERT_TRUE(verified) << verified.error().message;
  const auto opened = protocol::open_receipt(verified->receipt_text, machine::kSpecHash);
  EXPECT_EQ(opened.report.failure(), nullptr);
  EXPECT_EQ(opened.receipt->output_ids, ids);
  EXPECT_EQ(
      protocol::check_with_model(*opened.receipt, artifact->view(), artifact->root()).failure(),
      nullptr);
}

TEST_F(AnswerTest, OnlyWhileTheSessionLives) {
  const auto& session = upstream.session_given->document.session;
  for (const std::int64_t time :
       {static_cast<std::int64_t>(session.not_before) - 1,
        static_cast<std::int64_t>(session.expiry) + 1, std::int64_t{-1}}) {
    const auto verified = verify(time);
    ASSERT_FALSE(verified);
    EXPECT_EQ(verified.error().code, "SESSION_EXPIRED");
  }
  EXPECT_TRUE(verify(static_cast<std::int64_t>(session.expiry)));
}

TEST_F(AnswerTest, NotOfASessionThatDoesNotSignItsEvidence) {
  auto forged = std::make_shared<AppraisedSession>(*upstream.session_given);
  forged->document.evidence[0].data[0] ^= 1;
  upstream.session_given = forged;
  EXPECT_EQ(code(), "SESSION_SIGNATURE");
}

TEST_F(AnswerTest, NotForAnotherPromptOrAnotherRequest) {
  submission.prompt_ids[1] = 5;
  EXPECT_EQ(code(), "PROMPT_ROOT_MISMATCH");
  submission.prompt_ids[1] = 2;
  EXPECT_EQ(code(), "");
  submission.request.request.max_tokens = 7;
  EXPECT_EQ(code(), "REQUEST_SIGNATURE");
}

TEST_F(AnswerTest, IdsFromAnywhereNeverCrash) {
  for (const std::uint32_t id : {17u, UINT32_MAX}) {
    ids[0] = id;
    EXPECT_NE(code(), "");
  }
  ids.clear();
  EXPECT_EQ(code(), "COUNT_MISMATCH");
}

}  // namespace
}  // namespace otr::service
