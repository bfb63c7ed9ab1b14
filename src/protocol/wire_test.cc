#include "protocol/wire.h"

#include <gtest/gtest.h>

#include "protocol/toy_receipt.h"

namespace otr::protocol {
namespace {

Submission toy_submission() {
  const Receipt receipt = toy_receipt();
  return {.session = {9}, .request = receipt.request, .prompt_ids = receipt.prompt_ids};
}

TEST(Submissions, AreReadAsTheyWereWritten) {
  Submission open = toy_submission();
  open.logprobs = 20;
  const std::string text = encode_submission(open).value();
  const AnySubmission any = decode_submission(text).value();
  ASSERT_TRUE(any.open);
  EXPECT_FALSE(any.sealed);
  EXPECT_EQ(encode_submission(*any.open), text);
  EXPECT_EQ(digest_of(any.open->request.request, Hash{}), digest_of(open.request.request, Hash{}));

  const SealedSubmission sealed{.session = {1},
                                .request_hash = {2},
                                .prompt_count = 3,
                                .max_tokens = 0xFFFFFFFF,
                                .sealed = Bytes(1000, 7)};
  const std::string sealed_text = encode_submission(sealed).value();
  const AnySubmission other = decode_submission(sealed_text).value();
  ASSERT_TRUE(other.sealed);
  EXPECT_FALSE(other.open);
  EXPECT_EQ(encode_submission(*other.sealed), sealed_text);
}

TEST(Submissions, TheSealIsForExactlyTheseWords) {
  const SealedSubmission one{
      .session = {1}, .request_hash = {2}, .prompt_count = 3, .max_tokens = 4, .sealed = {}};
  std::vector<SealedSubmission> others(4, one);
  others[0].session[31] = 1;
  others[1].request_hash[31] = 1;
  others[2].prompt_count = 4;
  others[3].max_tokens = 3;
  for (const SealedSubmission& other : others) EXPECT_NE(seal_context(other), seal_context(one));
}

TEST(Submissions, RefuseEveryOtherForm) {
  Submission open = toy_submission();
  open.logprobs = 1;
  const std::string good = encode_submission(open).value();
  const auto edited = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  for (const std::string& bad :
       {edited("otr-submission/1", "otr-submission/2"), edited("\"logprobs\":1", "\"logprobs\":21"),
        edited("\"logprobs\":1", "\"logprobs\":-1"), edited("\"logprobs\":1", "\"other\":1"),
        edited("\"prompt_ids\":[1,", "\"prompt_ids\":[-1,"), edited("{", "{ "), good + "\n",
        good.substr(0, good.size() - 1), std::string(), std::string("[]"), std::string("null"),
        std::string(R"({"format":1})"), std::string(R"({"format":"otr-sealed-submission/1"})")}) {
    const auto any = decode_submission(bad);
    ASSERT_FALSE(any) << bad.substr(0, 80);
    EXPECT_TRUE(any.error().code == "MALFORMED" || any.error().code == "NOT_CANONICAL");
  }
  EXPECT_EQ(decode_submission(std::string(kMaxSubmissionBytes + 1, '[')).error().code,
            "LIMIT_EXCEEDED");
}

TEST(Messages, AreReadAsTheyWereWritten) {
  const Receipt receipt = toy_receipt();
  StreamMessage tokens;
  tokens.tokens = {{.id = 0}, {.id = 0xFFFFFFFF, .logprobs = {{7, -1}, {8, INT64_MIN}}}};
  StreamMessage path;
  path.trace_path = receipt.trace_path;
  StreamMessage sealed;
  sealed.sealed = Bytes{1, 2, 3};
  StreamMessage from_worker;
  from_worker.claim = {
      .claim = receipt.claim, .signer = receipt.signer, .claim_signature = receipt.claim_signature};
  StreamMessage from_gateway = from_worker;
  from_gateway.claim->operator_address = receipt.operator_address;
  from_gateway.claim->countersignature = receipt.countersignature;
  from_gateway.claim->receipt_id = "0x12";
  StreamMessage error;
  error.error = {.status = 503, .type = "a", .code = "b", .message = "c"};
  for (const StreamMessage& message : {tokens, path, sealed, from_worker, from_gateway, error}) {
    const std::string text = encode_message(message);
    const auto decoded = decode_message(text);
    ASSERT_TRUE(decoded) << text << decoded.error().message;
    EXPECT_EQ(encode_message(*decoded), text);
  }
}

TEST(Messages, RefuseEveryOtherForm) {
  const std::string hash(64, '0');
  std::string too_many = R"({"tokens":[0)";
  for (int i = 0; i < 256; ++i) too_many += ",0";
  for (const std::string& bad :
       {std::string("{}"), std::string("[]"), std::string(R"({"tokens":[]})"),
        std::string(R"({"tokens":[-1]})"), std::string(R"({"tokens":[4294967296]})"),
        std::string(R"({"tokens":[1.5]})"), std::string(R"({"tokens":["1"]})"), too_many + "]}",
        std::string(R"({"tokens":[{"id":1,"logprobs":[]}]})"),
        std::string(R"({"tokens":[{"id":1,"logprobs":[[1]]}]})"),
        std::string(R"({"tokens":[{"id":1,"logprobs":[[1,18446744073709551615]]}]})"),
        std::string(R"({"other":1})"), std::string(R"({"sealed":"A"})"),
        std::string(R"({"sealed":1})"), std::string(R"({"trace_path":["0x12"]})"),
        std::string(R"({"final":{}})"),
        std::string(R"({"error":{"code":"","message":"","status":200,"type":""}})")}) {
    EXPECT_FALSE(decode_message(bad)) << bad.substr(0, 80);
  }
  EXPECT_EQ(decode_message(std::string(kMaxMessageBytes + 1, '[')).error().code, "LIMIT_EXCEEDED");
  // What others said is quoted in errors, and need not be UTF-8.
  StreamMessage error;
  error.error = {.status = 500, .type = "a", .code = "b", .message = "\xff\xfe"};
  EXPECT_TRUE(decode_message(encode_message(error)));
}

}  // namespace
}  // namespace otr::protocol
