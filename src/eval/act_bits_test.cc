#include "eval/act_bits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "env/file.h"
#include "eval/test_checkpoints.h"

namespace otr::eval {
namespace {

using testing::Each;
using testing::HasSubstr;
namespace fs = std::filesystem;

const KeepOn kGoOn = [] { return Status(); };
// Enough for these models, and quick.
ActBitsOptions quick(double budget) {
  return {.kl_budget = budget,
          .kl_p99_budget = 20 * budget,
          .tokens = 200,
          .window_tokens = 50,
          .max_trials = 16,
          .threads = 2};
}

Result<model::Artifact> open(const fs::path& path) {
  OTR_TRY_ASSIGN(Bytes bytes, env::read_file(path, 1 << 24));
  return model::parse_artifact(std::move(bytes));
}

model::Artifact import(const fs::path& folder, bool equalise = true) {
  const auto report = convert::import_model(folder, folder / "artifact", {.equalise = equalise});
  EXPECT_TRUE(report) << report.error().message;
  return open(folder / "artifact").value();
}

fs::path random_folder(const std::string& name, const Family& family = families().front()) {
  const fs::path folder = test_folder("act_bits_" + name);
  write_random_folder(folder, family.config, 5);
  return folder;
}

double cost_of(const model::Artifact& artifact, const model::ActBits& bits, std::uint32_t seed) {
  ActTrials trials(artifact.view(), 2);
  EXPECT_TRUE(trials.begin({Dice(seed).ids(101, 300), Dice(seed + 1).ids(101, 300)}, kGoOn));
  return trials.run(bits, kGoOn).value().kl_mean;
}

model::ActBits all_8_bits(std::size_t layers) {
  const std::vector<int> bits(layers, 8);
  return {.attn = bits, .o = bits, .mlp = bits, .down = bits, .head = 8};
}

std::uint32_t chosen(const ActBitsReport& report) {
  std::uint32_t sum = 0;
  for (const auto& kind : report.kinds) sum += kind.chosen;
  return sum;
}

TEST(ActTrials, SixteenBitsCostNothingAndEightSomething) {
  const model::Artifact artifact = import(random_folder("trials"));
  ActTrials trials(artifact.view(), 1);
  ASSERT_TRUE(trials.begin({Dice(1).ids(80, 300), {1, 2}}, kGoOn));
  const ActBitsCost none = trials.run(all_16_bits(2), kGoOn).value();
  EXPECT_EQ(none.tokens, 80U);
  EXPECT_EQ(none.kl_mean, 0);
  EXPECT_EQ(none.kl_p99, 0);
  EXPECT_EQ(none.perplexity, none.perplexity_16);
  const ActBitsCost all = trials.run(all_8_bits(2), kGoOn).value();
  EXPECT_GT(all.kl_mean, 1e-4);
  EXPECT_GT(all.kl_p99, all.kl_mean);
  EXPECT_GT(all.kl_error, 0);
  EXPECT_NE(all.perplexity, all.perplexity_16);
  EXPECT_EQ(all.perplexity_16, none.perplexity_16);
  // A trial leaves nothing behind for the next.
  EXPECT_EQ(trials.run(all_16_bits(2), kGoOn).value().kl_mean, 0);
}

TEST(ActTrials, SamplesTheSameWindowsAlways) {
  for (const std::size_t i : {0, 3}) {
    const model::Artifact artifact = import(random_folder("sample", families()[i]));
    const auto tokenizer = text::Tokenizer::parse(artifact.tokenizer()).value();
    const auto sample = [&](unsigned threads) {
      ActTrials trials(artifact.view(), threads);
      trials.set_bits(all_8_bits(2));  // does not matter
      return sample_windows(trials, tokenizer, 100, 30, kGoOn).value();
    };
    const auto windows = sample(1);
    EXPECT_EQ(windows, sample(2));
    std::uint64_t tokens = 0;
    for (const Window& window : windows) {
      EXPECT_GE(window.size(), 2U);
      EXPECT_LE(window.size(), 30U);
      EXPECT_LT(std::ranges::max(window), 300U);
      tokens += window.size() - 1;
    }
    EXPECT_GE(tokens, 100U);
    EXPECT_NE(windows[0], windows[1]);
  }
}

TEST(ActBits, TheChoiceKeepsItsBudgetOnOtherText) {
  const model::Artifact artifact = import(random_folder("budget"));
  const double all = cost_of(artifact, all_8_bits(2), 70);
  const ActBitsOptions options = quick(0.4 * all);
  const auto report = choose_act_bits(artifact, std::nullopt, options);
  ASSERT_TRUE(report) << report.error().message;
  std::cout << to_text(*report);
  EXPECT_TRUE(report->own_text);
  EXPECT_LE(report->cost.kl_mean + 2 * report->cost.kl_error, options.kl_budget);
  EXPECT_GE(chosen(*report), 1U);
  EXPECT_LT(chosen(*report), 9U);
  EXPECT_LE(report->trials, options.max_trials);
  const double held_out = cost_of(artifact, report->bits, 90);
  EXPECT_GT(held_out, 0);
  EXPECT_LT(held_out, 1.5 * options.kl_budget);
  const auto json = to_json(*report);
  EXPECT_EQ(json["kinds"]["down"]["layers"], 2);
  EXPECT_EQ(json["kinds"]["head"]["layers"], 1);
}

TEST(ActBits, ABudgetForAllTakesAllAndNoBudgetNothing) {
  const model::Artifact artifact = import(random_folder("extremes"));
  const std::string text(150, 'a');
  const auto all = choose_act_bits(artifact, text, quick(10)).value();
  EXPECT_FALSE(all.own_text);
  EXPECT_EQ(chosen(all), 9U);
  EXPECT_EQ(all.trials, 6U);  // five kinds and their union
  EXPECT_EQ(all.share, 1);
  const auto none = choose_act_bits(artifact, text, quick(0)).value();
  EXPECT_EQ(chosen(none), 0U);
  EXPECT_EQ(none.share, 0);
  EXPECT_EQ(none.cost.kl_mean, 0);
  ActBitsOptions options = quick(10);
  options.kl_p99_budget = 0;  // every token may cost nothing
  EXPECT_EQ(chosen(choose_act_bits(artifact, text, options).value()), 0U);
}

TEST(ActBits, TheUnionIsMeasuredAndNotOnlyItsParts) {
  const model::Artifact artifact = import(random_folder("union"));
  const auto all = choose_act_bits(artifact, std::nullopt, quick(10)).value();
  ASSERT_EQ(chosen(all), 9U);
  // Each kind alone is within this; all together are not.
  ActBitsOptions options = quick(10);
  options.kl_p99_budget = 0.95 * all.cost.kl_p99;
  const auto some = choose_act_bits(artifact, std::nullopt, options).value();
  EXPECT_LE(some.cost.kl_p99, options.kl_p99_budget);
  EXPECT_GE(chosen(some), 1U);
  EXPECT_LT(chosen(some), 9U);
  EXPECT_EQ(some.kinds[0].chosen, 0U) << "the dearest goes first";
}

TEST(ActBits, OutliersInOneKindKeepItAt16) {
  const fs::path folder = random_folder("outliers");
  const double plain = cost_of(import(folder), all_8_bits(2), 70);
  auto model = convert::load_float_model(folder).value();
  // The same function: one unit is a thousand times larger and its reader so much smaller.
  for (auto& layer : model.layers) {
    for (std::uint32_t k = 0; k < layer.w_up.cols; ++k) layer.w_up.weight[k] *= 1000;
    for (std::uint32_t n = 0; n < layer.w_down.rows; ++n) {
      layer.w_down.weight[std::size_t{n} * layer.w_down.cols] /= 1000;
    }
  }
  write_weights(model, folder / "model.safetensors");
  const auto stressed = choose_act_bits(import(folder, false), std::nullopt, quick(2 * plain));
  ASSERT_TRUE(stressed) << stressed.error().message;
  std::cout << to_text(*stressed);
  EXPECT_THAT(stressed->bits.down, Each(16));
  EXPECT_THAT(stressed->bits.attn, Each(8));
  EXPECT_THAT(stressed->bits.o, Each(8));
  EXPECT_THAT(stressed->bits.mlp, Each(8));
  // The importer undoes what can be undone, and then nothing is in the way.
  const auto equalised = choose_act_bits(import(folder), std::nullopt, quick(2 * plain)).value();
  EXPECT_THAT(equalised.bits.down, Each(8));
}

TEST(ActBits, TheImportWritesTheChoice) {
  const fs::path folder = random_folder("import");
  const model::Artifact off = import(folder);
  EXPECT_THAT(off.config().act_bits.attn, Each(16));
  EXPECT_EQ(off.config().act_bits.head, 16);
  model::ActBits bits = all_16_bits(2);
  bits.o = {8, 8};
  bits.down[1] = 8;
  bits.head = 8;
  convert::ImportOptions options;
  options.choose_act_bits = [&](const model::Artifact& artifact) -> Result<model::ActBits> {
    EXPECT_EQ(artifact.root(), off.root());
    return bits;
  };
  const auto report = convert::import_model(folder, folder / "chosen", options);
  ASSERT_TRUE(report) << report.error().message;
  const model::Artifact on = open(folder / "chosen").value();
  EXPECT_EQ(on.root(), report->model_root);
  EXPECT_EQ(on.file().size(), report->artifact_bytes);
  EXPECT_NE(on.root(), off.root());
  EXPECT_EQ(on.config().act_bits.o, bits.o);
  EXPECT_EQ(on.config().act_bits.down, bits.down);
  EXPECT_EQ(on.view().head_bound, 127);
  for (std::size_t i = 1; i < on.tensors().size(); ++i) {
    EXPECT_EQ(on.tensors()[i].root, off.tensors()[i].root) << on.tensors()[i].spec.name;
  }
  // A trial computes what the artifact will.
  const Window ids = Dice(4).ids(40, 300);
  ActTrials trials(off.view(), 2);
  trials.set_bits(bits);
  engine::Forward forward(on.view(), 1);
  engine::KvCache a(off.view().shape), b(off.view().shape);
  ASSERT_TRUE(trials.forward().run(a, ids, nullptr));
  ASSERT_TRUE(forward.run(b, ids, nullptr));
  EXPECT_TRUE(std::ranges::equal(trials.forward().logits(39).value(), forward.logits(39).value()));
}

TEST(ActBits, StoppedAtAnyPlaceLeavesNoFile) {
  const fs::path folder = random_folder("cancel");
  for (const std::uint64_t calls : {1U, 60U, 100U}) {
    SCOPED_TRACE(calls);
    std::uint64_t called = 0, last = 0;
    convert::ImportOptions options;
    options.choose_act_bits = [&](const model::Artifact& artifact) -> Result<model::ActBits> {
      ActBitsOptions choice = quick(1e-4);
      choice.progress = [&](std::uint64_t done, std::uint64_t all) {
        EXPECT_LE(last, done);
        EXPECT_LE(done, all);
        last = done;
        return ++called < calls;
      };
      OTR_TRY_ASSIGN(const ActBitsReport report, choose_act_bits(artifact, std::nullopt, choice));
      return report.bits;
    };
    const auto report = convert::import_model(folder, folder / "stopped", options);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().kind, ErrorKind::kCancelled);
    EXPECT_EQ(called, calls);
    EXPECT_FALSE(fs::exists(folder / "stopped"));
  }
}

TEST(ActBits, ErrorsSayWhatIsWrong) {
  const fs::path folder = random_folder("errors");
  const model::Artifact artifact = import(folder);
  EXPECT_THAT(choose_act_bits(artifact, " \n", quick(1)).error().message,
              HasSubstr("nothing to predict"));
  EXPECT_EQ(choose_act_bits(artifact, "ab\xFF", quick(1)).error().kind, ErrorKind::kBadInput);
  EXPECT_EQ(choose_act_bits(artifact, "abc", {.window_tokens = 1}).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(choose_act_bits(artifact, "abc", {.max_trials = 5}).error().kind, ErrorKind::kUsage);
  // Beyond the range with 16 bits too, which no choice mends.
  convert::FloatModel model = convert::load_float_model(folder).value();
  for (float& weight : model.layers[1].w_down.weight) weight *= 3e5F;
  write_weights(model, folder / "model.safetensors");
  for (const std::optional<std::string_view> text :
       {std::optional<std::string_view>(), {"abcdefgh"}}) {
    const auto report = choose_act_bits(import(folder), text, quick(1));
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().kind, ErrorKind::kOutOfRange);
  }
}

}  // namespace
}  // namespace otr::eval
