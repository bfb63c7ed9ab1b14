// The serve flow against the audit: what an honest worker signs verifies, every lie of a worker
// that owns its keys is refused with the code of the SPEC.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "engine/generate.h"
#include "node/audit.h"
#include "node/test_requests.h"
#include "node/worker.h"
#include "protocol/finish.h"
#include "text/utf8.h"
#include "trace/noise.h"

namespace otr::node {
namespace {

using protocol::FinishReason;
using protocol::Receipt;
using protocol::SignedRequest;

Result<Receipt> serve(const SignedRequest& request, const std::vector<std::uint32_t>& prompt,
                      unsigned threads = 1, const model::Artifact& from = artifact()) {
  const engine::PackedModel packed(from.view());
  Worker worker(from, packed, key_of(8), key_of(9), threads);
  return worker.serve(request, prompt, [](std::uint32_t) {}, [] { return false; });
}

Receipt answer(const Ask& ask, unsigned threads = 1) {
  auto receipt = serve(request_of(ask), ask.prompt, threads);
  EXPECT_TRUE(receipt) << receipt.error().message;
  return *std::move(receipt);
}

// An answer that no stop token ends, so that its length is the caller's choice.
Ask long_ask() {
  Ask ask;
  for (std::uint8_t seed = 0;; ++seed) {
    ask.sampling = sampled(seed);
    if (answer(ask).output_ids.size() == ask.max_tokens) return ask;
  }
}

std::optional<Reject> verdict(const Receipt& receipt, const model::Artifact& model = artifact()) {
  const engine::PackedModel packed(model.view());
  const Audit result =
      audit(*protocol::encode_receipt(receipt), model, {.recompute_with = &packed});
  EXPECT_EQ(result.recomputed, !result.failed());
  return result.report.reject();
}

// The liar's pen: whatever the receipt now says, its own keys sign.
void sign_claim(Receipt& receipt) {
  const Hash hash = protocol::digest_of(receipt.claim, receipt.ledger);
  receipt.claim_signature = key_of(8).sign(hash);
  receipt.countersignature =
      key_of(9).sign(protocol::countersignature_digest(hash, receipt.ledger));
}

// A whole and consistent receipt for `output`, its rows computed by `model`, whatever that model
// would have said.
void claim_output(Receipt& receipt, const std::vector<std::uint32_t>& output,
                  const model::Artifact& model = artifact()) {
  const machine::Model& view = model.view();
  receipt.output_ids = output;
  engine::Forward forward(view, 1);
  trace::TraceBuilder trace(view.shape, trace::TraceBuilder::Keep::kTops);
  ASSERT_TRUE(engine::recompute(
      forward, view, {receipt.prompt_ids, receipt.request.request.sampling, trace::noise_block},
      output, trace, [] { return false; }));
  const auto header = protocol::trace_header(receipt.request.request, receipt.spec_hash,
                                             static_cast<std::uint32_t>(output.size()));
  receipt.claim.out_count = header.out_count;
  receipt.claim.trace_root = trace.root(header);
  receipt.trace_path = trace.token_path(header);
  std::string bytes;
  for (const std::uint32_t id : output) bytes += as_text(protocol::token_bytes(view, id));
  receipt.output_text = text::utf8_lossy(bytes);
  sign_claim(receipt);
}

TEST(Worker, HonestAnswersVerify) {
  for (const auto& sampling : {greedy(), sampled(1), sampled(2)}) {
    const Receipt receipt = answer({.sampling = sampling});
    EXPECT_FALSE(receipt.output_ids.empty());
    EXPECT_EQ(verdict(receipt), std::nullopt);
  }
}

TEST(Worker, WithoutRecomputingNothingIsCalledRecomputed) {
  const Audit result = audit(*protocol::encode_receipt(answer({})), artifact(), {});
  EXPECT_FALSE(result.failed());
  EXPECT_FALSE(result.recomputed);
}

TEST(Worker, SeedAndThreadsDecideWhatTheyShould) {
  const Ask ask = long_ask();
  const std::string text = *protocol::encode_receipt(answer(ask));
  EXPECT_EQ(text, *protocol::encode_receipt(answer(ask)));
  for (const unsigned threads : {2u, 3u, 8u}) {
    EXPECT_EQ(text, *protocol::encode_receipt(answer(ask, threads))) << threads;
  }
  Ask other = ask;
  other.sampling.seed[31] ^= 1;
  EXPECT_NE(answer(ask).output_ids, answer(other).output_ids);
}

TEST(Worker, EndsForEveryReason) {
  Ask ask = long_ask();
  const Receipt length = answer(ask);
  EXPECT_EQ(length.claim.finish_reason, static_cast<int>(FinishReason::kLength));

  ask.stop = {length.output_text.substr(3, 2)};
  const Receipt stopped = answer(ask);
  EXPECT_EQ(stopped.claim.finish_reason, static_cast<int>(FinishReason::kStopString));
  EXPECT_LT(stopped.output_ids.size(), length.output_ids.size());
  EXPECT_EQ(verdict(stopped), std::nullopt);

  // 300 positions: a prompt of 295 leaves room for five tokens, whatever was asked for.
  Ask end{.prompt = std::vector<std::uint32_t>(295, 3), .max_tokens = 300};
  for (std::uint8_t seed = 0;; ++seed) {
    end.sampling = sampled(seed);
    const Receipt full = answer(end);
    EXPECT_EQ(verdict(full), std::nullopt);
    if (full.claim.finish_reason != static_cast<int>(FinishReason::kLength)) continue;
    EXPECT_EQ(full.output_ids.size(), 5u);
    break;
  }
  end.prompt.assign(300, 3);
  EXPECT_EQ(serve(request_of(end), end.prompt).error().code, "REQUEST_INVALID");

  Ask eos = ask;
  eos.stop.clear();
  eos.max_tokens = 200;
  for (std::uint8_t seed = 0;; ++seed) {
    eos.sampling = sampled(seed);
    const Receipt ended = answer(eos);
    if (ended.claim.finish_reason != static_cast<int>(FinishReason::kStopToken)) continue;
    EXPECT_TRUE(ended.output_ids.back() == 2 || ended.output_ids.back() == 16);
    EXPECT_EQ(verdict(ended), std::nullopt);
    break;
  }
}

TEST(Worker, CancelledSignsNothing) {
  const engine::PackedModel packed(artifact().view());
  Worker worker(artifact(), packed, key_of(8), key_of(9), 1);
  const Ask ask = long_ask();
  for (const int passes : {0, 1, 5}) {
    int left = passes;
    const auto receipt =
        worker.serve(request_of(ask), kPrompt, [](std::uint32_t) {}, [&] { return left-- == 0; });
    ASSERT_FALSE(receipt);
    EXPECT_EQ(receipt.error().kind, ErrorKind::kCancelled);
  }
  // The same worker answers the next request as if nothing had been.
  const auto receipt =
      worker.serve(request_of(ask), kPrompt, [](std::uint32_t) {}, [] { return false; });
  ASSERT_TRUE(receipt);
  EXPECT_EQ(verdict(*receipt), std::nullopt);
}

// Who looks at the logits sees the row each token came from, and changes nothing.
TEST(Worker, LogitsCanBeSeenAndChangeNothing) {
  const engine::PackedModel packed(artifact().view());
  Worker worker(artifact(), packed, key_of(8), key_of(9), 1);
  Ask ask;
  ask.sampling.logit_bias = {{2, 30000}, {9, -30000}};
  std::vector<std::uint32_t> best;
  const auto look = [&](std::span<const std::int32_t> logits) {
    std::vector<std::int64_t> biased(logits.begin(), logits.end());
    for (const auto& [id, value] : ask.sampling.logit_bias) biased[id] += value;
    best.push_back(static_cast<std::uint32_t>(std::ranges::max_element(biased) - biased.begin()));
  };
  const auto receipt =
      worker.serve(request_of(ask), kPrompt, [](std::uint32_t) {}, [] { return false; }, look);
  ASSERT_TRUE(receipt);
  EXPECT_EQ(best, receipt->output_ids);
  EXPECT_EQ(receipt->claim.trace_root, answer(ask).claim.trace_root);
  EXPECT_EQ(verdict(*receipt), std::nullopt);
}

// The bias changes the answer, recomputing takes it into account, and an id that the model does not
// have is refused.
TEST(Worker, ABiasIsPartOfWhatIsRecomputed) {
  Ask ask;
  const std::uint32_t first = answer(ask).output_ids[0];
  ask.sampling.logit_bias = {{first, -100 << 16}};
  const Receipt biased = answer(ask);
  EXPECT_NE(biased.output_ids[0], first);
  EXPECT_EQ(verdict(biased), std::nullopt);
  ask.sampling.logit_bias = {{99999, 1}};
  EXPECT_EQ(serve(request_of(ask), kPrompt).error().code, "REQUEST_INVALID");
}

TEST(Worker, CancelledAuditIsNoVerdict) {
  const engine::PackedModel packed(artifact().view());
  const Audit result = audit(*protocol::encode_receipt(answer({})), artifact(),
                             {.recompute_with = &packed, .cancelled = [] { return true; }});
  EXPECT_FALSE(result.failed());
  EXPECT_FALSE(result.recomputed);
  ASSERT_TRUE(result.inconclusive);
  EXPECT_EQ(result.inconclusive->kind, ErrorKind::kCancelled);
}

TEST(Worker, ArithmeticOutOfRangeIsAnErrorAndNoReceipt) {
  model::ArtifactContents contents = model::random_artifact({.seed = 1});
  for (auto& [name, exponent] : contents.config.exponents) {
    if (name != "embed" && !name.ends_with("norm")) exponent = 0;
  }
  const auto parsed = model::parse_artifact(*model::encode_artifact(std::move(contents)));
  ASSERT_TRUE(parsed) << parsed.error().message;
  SignedRequest request = request_of({});
  request.request.model_root = parsed->root();
  sign_request(request);
  const auto receipt = serve(request, kPrompt, 1, *parsed);
  ASSERT_FALSE(receipt);
  EXPECT_EQ(receipt.error().kind, ErrorKind::kOutOfRange);
  EXPECT_EQ(receipt.error().code, "OUT_OF_RANGE");
}

TEST(Worker, RefusesRequestsThatAreNotForIt) {
  SignedRequest request = request_of({});
  request.signature[5] ^= 1;
  EXPECT_EQ(serve(request, kPrompt).error().code, "REQUEST_SIGNATURE");
  request = request_of({});
  EXPECT_EQ(serve(request, {3, 1, 4, 1, 6}).error().code, "PROMPT_ROOT_MISMATCH");
  EXPECT_EQ(serve(request, {3, 1, 4, 1}).error().code, "REQUEST_INVALID");
  EXPECT_EQ(serve(request, {}).error().code, "REQUEST_INVALID");
  EXPECT_EQ(serve(request, kPrompt, 1, artifact(2)).error().code, "MODEL_ROOT_MISMATCH");
  EXPECT_EQ(serve(request_of({.prompt = {3, 99}}), {3, 99}).error().code, "REQUEST_INVALID");
}

TEST(Liar, WrongTokenAnywhere) {
  const Receipt honest = answer(long_ask());
  for (std::size_t at = 0; at < honest.output_ids.size(); ++at) {
    Receipt lie = honest;
    auto output = honest.output_ids;
    output[at] = output[at] == 3 ? 4 : 3;
    claim_output(lie, output);
    EXPECT_EQ(verdict(lie), Reject::kTokenMismatch) << at;
  }
}

TEST(Liar, WrongTokenWithoutNewTrace) {
  Receipt lie = answer(long_ask());
  lie.output_ids[2] = lie.output_ids[2] == 3 ? 4 : 3;
  EXPECT_EQ(verdict(lie), Reject::kTokenPathMismatch);
}

// The right words from a model that was not asked: nothing but recomputing can tell.
TEST(Liar, RowsOfAnotherModel) {
  Receipt lie = answer(long_ask());
  claim_output(lie, lie.output_ids, artifact(2));
  const Audit looked = audit(*protocol::encode_receipt(lie), artifact(), {});
  EXPECT_FALSE(looked.failed());
  EXPECT_EQ(verdict(lie), Reject::kTraceRootMismatch);
}

TEST(Liar, TraceRootOfNothing) {
  Receipt lie = answer(long_ask());
  lie.claim.trace_root[0] ^= 1;
  EXPECT_EQ(verdict(lie), Reject::kClaimSignature);
  sign_claim(lie);
  EXPECT_EQ(verdict(lie), Reject::kTokenPathMismatch);
}

TEST(Liar, WrongEnd) {
  const Receipt honest = answer(long_ask());
  Receipt lie = honest;
  for (const int reason : {1, 2}) {
    lie.claim.finish_reason = static_cast<std::uint8_t>(reason);
    sign_claim(lie);
    EXPECT_EQ(verdict(lie), Reject::kFinishMismatch) << reason;
  }
  lie = honest;
  auto output = honest.output_ids;
  output.pop_back();
  claim_output(lie, output);
  EXPECT_EQ(verdict(lie), Reject::kFinishMismatch);
  lie = honest;
  output = honest.output_ids;
  output.push_back(3);
  claim_output(lie, output);
  EXPECT_EQ(verdict(lie), Reject::kCountMismatch);
}

TEST(Liar, AnotherPromptOrModelOrCount) {
  const Receipt honest = answer(long_ask());
  Receipt lie = honest;
  lie.prompt_ids[1] ^= 1;
  EXPECT_EQ(verdict(lie), Reject::kPromptRootMismatch);
  lie.request.request.prompt_root = trace::token_root(lie.prompt_ids);
  EXPECT_EQ(verdict(lie), Reject::kRequestSignature);

  lie = honest;
  lie.request.request.model_root = artifact(2).root();
  EXPECT_EQ(verdict(lie), Reject::kRequestSignature);
  EXPECT_EQ(verdict(honest, artifact(2)), Reject::kModelRootMismatch);

  for (const int change : {-1, 1}) {
    lie = honest;
    lie.claim.prompt_count += static_cast<std::uint32_t>(change);
    sign_claim(lie);
    EXPECT_EQ(verdict(lie), Reject::kCountMismatch);
    lie = honest;
    lie.claim.out_count += static_cast<std::uint32_t>(change);
    sign_claim(lie);
    EXPECT_EQ(verdict(lie), Reject::kCountMismatch);
  }
}

TEST(Liar, AnotherRequestOrTextOrKey) {
  const Receipt honest = answer(long_ask());
  Receipt lie = honest;
  lie.request.request.counter = 2;
  sign_request(lie.request);
  EXPECT_EQ(verdict(lie), Reject::kRequestHashMismatch);
  lie = honest;
  lie.output_text += "a";
  EXPECT_EQ(verdict(lie), Reject::kTextMismatch);
  lie = honest;
  lie.signer = key_of(10).address();
  EXPECT_EQ(verdict(lie), Reject::kClaimSignature);
  lie = honest;
  lie.operator_address = key_of(10).address();
  EXPECT_EQ(verdict(lie), Reject::kCountersignature);
}

TEST(Tamper, EveryByteOfAReceipt) {
  const engine::PackedModel packed(artifact().view());
  const std::string text = *protocol::encode_receipt(answer(long_ask()));
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string changed = text;
    changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
    const Audit result = audit(changed, artifact(), {.recompute_with = &packed});
    ASSERT_TRUE(result.failed()) << "byte " << at << ": " << changed.substr(at, 20);
    ASSERT_FALSE(result.recomputed);
  }
  for (std::size_t size = 0; size < text.size(); size += 7) {
    ASSERT_TRUE(audit(text.substr(0, size), artifact(), {.recompute_with = &packed}).failed())
        << size;
  }
}

TEST(Tamper, BitsOfTheModel) {
  const std::string text = *protocol::encode_receipt(answer({}));
  const Bytes& file = model_file(1);
  for (std::size_t at = 0; at < file.size(); at += 1 + at % 13) {
    Bytes changed = file;
    changed[at] ^= static_cast<std::uint8_t>(1 << (at % 8));
    const auto parsed = model::parse_artifact(std::move(changed));
    if (!parsed) {
      ASSERT_FALSE(parsed.error().code.empty()) << at;
      continue;
    }
    ASSERT_EQ(audit(text, *parsed, {}).report.reject(), Reject::kModelRootMismatch) << at;
  }
}

}  // namespace
}  // namespace otr::node
