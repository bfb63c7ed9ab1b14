#include "eval/fidelity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "env/file.h"
#include "eval/test_checkpoints.h"

namespace otr::eval {
namespace {

using testing::HasSubstr;

struct Pair {
  model::Artifact artifact;
  convert::FloatModel reference;
};

Pair small_pair(const std::string& name) {
  const auto folder = test_folder("fidelity_" + name);
  write_random_folder(folder, families().front().config, 2);
  EXPECT_TRUE(convert::import_model(folder, folder / "artifact"));
  return {model::parse_artifact(env::read_file(folder / "artifact", 1 << 24).value()).value(),
          convert::load_float_model(folder).value()};
}

TEST(Fidelity, AModelAgainstItself) {
  const Pair pair = small_pair("itself");
  std::vector<std::uint64_t> seen;
  const auto report =
      evaluate(pair.artifact, pair.reference, "abcdefgh\n<|endoftext|>\n1234",
               {.window_tokens = 5, .threads = 2, .progress = [&](auto done, auto all) {
                  EXPECT_EQ(all, 9U);
                  seen.push_back(done);
                  return true;
                }});
  ASSERT_TRUE(report) << report.error().message;
  // "ab" is one token, so the documents have 7 and 4, of which the first has nothing before it.
  EXPECT_THAT(seen, testing::ElementsAre(4, 6, 9));
  EXPECT_EQ(report->windows, 3U);
  EXPECT_EQ(report->tokens, 9U);
  EXPECT_GT(report->kl_mean, 0);
  EXPECT_LT(report->kl_mean, 0.05);
  EXPECT_LE(report->kl_mean, report->kl_max);
  EXPECT_LE(report->kl_p99, report->kl_max);
  EXPECT_NEAR(report->exact_perplexity, report->float_perplexity, 0.2 * report->float_perplexity);
  EXPECT_THAT(to_text(*report), HasSubstr("9 in 3 windows"));
  EXPECT_EQ(to_json(*report)["tokens"], 9);
}

TEST(Fidelity, AUniformReferenceIsFarAway) {
  const Pair pair = small_pair("uniform");
  convert::FloatModel uniform = pair.reference;
  std::ranges::fill(uniform.final_norm, 0.F);
  const Window window = Dice(1).ids(40, 300);
  const auto report = compare(pair.artifact.view(), uniform, std::span(&window, 1));
  ASSERT_TRUE(report) << report.error().message;
  // All logits of the reference are zero: its perplexity is the size of the vocabulary, and its
  // most likely token by the rule of the least id is 0.
  EXPECT_NEAR(report->float_perplexity, 300, 1e-6);
  EXPECT_GT(report->kl_mean, 0.5);
  EXPECT_LT(report->top1_agreement, 0.2);
}

TEST(Fidelity, MaxTokensStopsEarly) {
  const Pair pair = small_pair("early");
  const std::vector<Window> windows(5, Dice(1).ids(11, 300));
  const auto report = compare(pair.artifact.view(), pair.reference, windows, {.max_tokens = 15});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->tokens, 20U);
}

TEST(Fidelity, ErrorsSayWhatIsWrong) {
  const Pair pair = small_pair("errors");
  const auto error = [&](const std::vector<Window>& windows) {
    const auto report = compare(pair.artifact.view(), pair.reference, windows);
    return report ? Error{} : report.error();
  };
  EXPECT_EQ(error({}).kind, ErrorKind::kUsage);
  EXPECT_THAT(error({{1}}).message, HasSubstr("at least two"));
  EXPECT_THAT(error({Window(258, 1)}).message, HasSubstr("context of 256"));
  EXPECT_THAT(error({{1, 300}}).message, HasSubstr("token id 300"));
  EXPECT_EQ(evaluate(pair.artifact, pair.reference, " \n").error().kind, ErrorKind::kUsage);
  EXPECT_EQ(evaluate(pair.artifact, pair.reference, "ab\xFF").error().kind, ErrorKind::kBadInput);
  EXPECT_EQ(evaluate(pair.artifact, pair.reference, "abc", {.window_tokens = 1}).error().kind,
            ErrorKind::kUsage);
  convert::FloatModel other = pair.reference;
  other.config.shape.vocabulary = 299;
  EXPECT_THAT(evaluate(pair.artifact, other, "abc").error().message, HasSubstr("299"));
  const auto stopped = evaluate(pair.artifact, pair.reference, "abc",
                                {.progress = [](auto, auto) { return false; }});
  EXPECT_EQ(stopped.error().kind, ErrorKind::kCancelled);
}

TEST(Fidelity, OutOfRangeIsAnErrorThatNamesTheWindow) {
  const auto folder = test_folder("out_of_range");
  const Json config = families().front().config;
  write_random_folder(folder, config, 2);
  convert::FloatModel model = convert::load_float_model(folder).value();
  // The residual holds 2^31·2^-16 = 32768.
  for (float& weight : model.layers[1].w_down.weight) weight *= 3e5F;
  write_weights(model, folder / "model.safetensors");
  ASSERT_TRUE(convert::import_model(folder, folder / "artifact"));
  const auto artifact =
      model::parse_artifact(env::read_file(folder / "artifact", 1 << 24).value()).value();
  const auto report = evaluate(artifact, model, "abcdefgh");
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, ErrorKind::kOutOfRange);
  EXPECT_EQ(report.error().code, "OUT_OF_RANGE");
  EXPECT_THAT(report.error().message, HasSubstr("window 1 of 1"));
}

}  // namespace
}  // namespace otr::eval
