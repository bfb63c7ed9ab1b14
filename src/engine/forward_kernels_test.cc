// Whole passes: every kernel gives the reference's bits for every shape of a model, and a sequence
// gets the same results in company, in any chunking, as alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>

#include "engine/forward.h"
#include "engine/generate.h"
#include "engine/reference.h"
#include "model/artifact.h"
#include "model/random_artifact.h"
#include "trace/noise.h"

namespace otr::engine {
namespace {

using Ids = std::vector<std::uint32_t>;

model::Artifact make_artifact(const model::RandomArtifactOptions& options) {
  auto bytes = model::encode_artifact(model::random_artifact(options));
  EXPECT_TRUE(bytes) << bytes.error().message;
  auto artifact = model::parse_artifact(*std::move(bytes));
  EXPECT_TRUE(artifact) << artifact.error().message;
  return *std::move(artifact);
}

// Sizes that fill blocks, lanes and groups, and sizes that leave tails.
std::vector<model::RandomArtifactOptions> shapes() {
  return {
      {.seed = 1},
      {.seed = 2, .tied = false, .biases = true, .mixed_act_bits = true},
      {.seed = 3,
       .qk_norm = true,
       .hidden = 40,
       .heads = 3,
       .kv_heads = 3,
       .head_dim = 16,
       .ffn = 61,
       .window = 5},
      {.seed = 4,
       .tied = false,
       .hidden = 64,
       .heads = 4,
       .kv_heads = 2,
       .head_dim = 64,
       .ffn = 97,
       .mixed_act_bits = true},
      {.seed = 5, .biases = true, .hidden = 33, .heads = 8, .head_dim = 24, .ffn = 32},
      {.seed = 6, .hidden = 18, .heads = 20, .head_dim = 6, .ffn = 7, .mixed_act_bits = true},
  };
}

Ids random_ids(std::mt19937& random, const machine::Model& model, std::size_t count) {
  Ids ids(count);
  for (auto& id : ids) id = random() % model.shape.vocabulary;
  return ids;
}

// What a pass over a sequence leaves; nothing if it left a range.
struct Outcome {
  Hash trace_root{};
  std::vector<std::int32_t> logits;  // after the last position; empty: they left their range

  bool operator==(const Outcome&) const = default;
};

// One sequence on its way through passes.
class Sequence {
 public:
  Sequence(const model::Artifact& artifact, Ids ids)
      : artifact_(artifact),
        ids_(std::move(ids)),
        cache_(artifact.view().shape),
        trace_(artifact.view().shape, trace::TraceBuilder::Keep::kTops) {}

  std::size_t left() const { return failed_ ? 0 : ids_.size() - at_; }
  Segment next(std::size_t count) {
    return {&cache_, std::span(ids_).subspan(at_, count), &trace_};
  }
  void advance(std::size_t count, const Status& status) {
    if (!status) {
      EXPECT_EQ(status.error().kind, ErrorKind::kOutOfRange);
      failed_ = true;
      return;
    }
    for (const std::uint32_t id : std::span(ids_).subspan(at_, count)) trace_.append_token(id);
    at_ += count;
  }
  void finish(const Result<std::span<const std::int32_t>>& logits) {
    if (logits) outcome_.logits.assign(logits->begin(), logits->end());
    if (!logits) EXPECT_EQ(logits.error().kind, ErrorKind::kOutOfRange);
    trace_.append_token(0);
    outcome_.trace_root = trace_.root({.spec_hash = machine::kSpecHash,
                                       .model_root = artifact_.root(),
                                       .prompt_count = static_cast<std::uint32_t>(ids_.size()),
                                       .out_count = 1,
                                       .sampling = {}});
  }
  std::optional<Outcome> outcome() const {
    return failed_ ? std::nullopt : std::optional(outcome_);
  }

 private:
  const model::Artifact& artifact_;
  const Ids ids_;
  std::size_t at_ = 0;
  bool failed_ = false;
  KvCache cache_;
  trace::TraceBuilder trace_;
  Outcome outcome_;
};

std::optional<Outcome> run_alone(const model::Artifact& artifact, Forward& forward, const Ids& ids,
                                 std::size_t chunk) {
  Sequence sequence(artifact, ids);
  while (sequence.left() != 0) {
    const std::size_t count = std::min(chunk, sequence.left());
    const Segment segment = sequence.next(count);
    sequence.advance(count, forward.run(std::span(&segment, 1)).front());
    if (sequence.left() == 0 && sequence.outcome()) sequence.finish(forward.logits(count - 1));
  }
  return sequence.outcome();
}

// All sequences, of which random ones take random numbers of steps in each pass.
std::vector<std::optional<Outcome>> run_together(const model::Artifact& artifact, Forward& forward,
                                                 const std::vector<Ids>& prompts,
                                                 std::mt19937& random) {
  std::vector<std::unique_ptr<Sequence>> sequences;
  for (const Ids& ids : prompts) sequences.push_back(std::make_unique<Sequence>(artifact, ids));
  const auto left = [](const auto& sequence) { return sequence->left() != 0; };
  while (std::ranges::any_of(sequences, left)) {
    std::vector<Sequence*> company;
    for (const auto& sequence : sequences) {
      if (sequence->left() != 0 && random() % 3 != 0) company.push_back(sequence.get());
    }
    if (company.empty()) continue;
    std::ranges::shuffle(company, random);
    std::vector<Segment> segments;
    for (Sequence* sequence : company) {
      const std::size_t most = random() % 2 == 0 ? 1 : 40;
      segments.push_back(sequence->next(std::min(sequence->left(), 1 + random() % most)));
    }
    const std::vector<Status> statuses = forward.run(segments);
    EXPECT_EQ(statuses.size(), segments.size());
    std::size_t rows = 0;
    std::vector<std::size_t> last_rows;
    std::vector<Sequence*> finished;
    for (std::size_t i = 0; i < segments.size(); ++i) {
      rows += segments[i].tokens.size();
      company[i]->advance(segments[i].tokens.size(), statuses[i]);
      if (company[i]->left() != 0 || !company[i]->outcome()) continue;
      finished.push_back(company[i]);
      last_rows.push_back(rows - 1);
    }
    if (finished.empty()) continue;
    const auto logits = forward.logits(last_rows);
    for (std::size_t i = 0; i < finished.size(); ++i) finished[i]->finish(logits[i]);
  }
  std::vector<std::optional<Outcome>> outcomes;
  for (const auto& sequence : sequences) outcomes.push_back(sequence->outcome());
  return outcomes;
}

TEST(ForwardKernels, EveryKernelGivesTheLogitsOfTheReference) {
  std::mt19937 random(3);
  for (const auto& options : shapes()) {
    SCOPED_TRACE("seed " + std::to_string(options.seed));
    const model::Artifact artifact = make_artifact(options);
    const Ids ids = random_ids(random, artifact.view(), 12);
    const machine::Sampling sampling;
    Reference reference(artifact.view(), sampling, 12, trace::noise_block);
    for (const std::uint32_t id : ids) {
      const Status status = reference.advance(id);
      ASSERT_TRUE(status) << status.error().message;
    }
    ASSERT_TRUE(reference.choose());
    const auto& truth =
        reference.state().tensors[static_cast<std::size_t>(machine::Tensor::kLogit)];
    for (const Kernel* kernel : kernels()) {
      const PackedModel packed(artifact.view(), *kernel);
      Forward forward(packed, 1);
      const auto outcome = run_alone(artifact, forward, ids, 5);
      ASSERT_TRUE(outcome) << kernel->name;
      EXPECT_TRUE(std::ranges::equal(outcome->logits, truth)) << kernel->name;
    }
  }
}

TEST(ForwardKernels, CompanyAndChunksChangeNothing) {
  std::mt19937 random(4);
  for (const auto& options : shapes()) {
    SCOPED_TRACE("seed " + std::to_string(options.seed));
    const model::Artifact artifact = make_artifact(options);
    std::vector<Ids> prompts;
    for (const std::size_t count : {1, 17, 40, 128, 150}) {
      prompts.push_back(random_ids(random, artifact.view(), count));
    }
    const PackedModel plain(artifact.view(), *portable_kernel());
    Forward truth_engine(plain, 1);
    std::vector<std::optional<Outcome>> truth;
    for (const Ids& ids : prompts) truth.push_back(run_alone(artifact, truth_engine, ids, 128));
    for (const auto& outcome : truth) ASSERT_TRUE(outcome && !outcome->logits.empty());
    for (const Kernel* kernel : kernels()) {
      const PackedModel packed(artifact.view(), *kernel);
      const unsigned threads = random() % 2 == 0 ? 1 : 3;
      Forward forward(packed, threads);
      EXPECT_EQ(run_together(artifact, forward, prompts, random), truth)
          << kernel->name << ", " << threads << " threads";
    }
  }
}

// The exponents are such that about half of the sequences leave a range somewhere.
TEST(ForwardKernels, ASequenceThatLeavesItsRangeLeavesTheOthersAlone) {
  std::mt19937 random(5);
  std::size_t failed = 0, stood = 0;
  for (const std::uint64_t seed : {1, 2, 3, 4, 5, 6}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const model::Artifact artifact = make_artifact(
        {.seed = seed, .hidden = 24, .ffn = 40, .mixed_act_bits = seed % 2 == 0, .exponent = 14});
    std::vector<Ids> prompts;
    for (std::size_t count = 1; count <= 12; ++count) {
      prompts.push_back(random_ids(random, artifact.view(), count));
    }
    const PackedModel plain(artifact.view(), *portable_kernel());
    Forward truth_engine(plain, 1);
    std::vector<std::optional<Outcome>> truth;
    for (const Ids& ids : prompts) truth.push_back(run_alone(artifact, truth_engine, ids, 1));
    for (const auto& outcome : truth) ++(outcome ? stood : failed);
    for (const Kernel* kernel : kernels()) {
      const PackedModel packed(artifact.view(), *kernel);
      const unsigned threads = random() % 2 == 0 ? 1 : 3;
      Forward forward(packed, threads);
      EXPECT_EQ(run_together(artifact, forward, prompts, random), truth)
          << kernel->name << ", " << threads << " threads";
    }
  }
  EXPECT_GE(failed, 10u) << "of " << failed + stood;
  EXPECT_GE(stood, 10u) << "of " << failed + stood;
}

// Rows far outside go on with those beside them, so nothing may overflow on the way (UBSan).
TEST(ForwardKernels, RowsFarOutsideAreRefusedAndHarmless) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    const model::Artifact artifact = make_artifact({.seed = seed,
                                                    .qk_norm = true,
                                                    .hidden = 40,
                                                    .heads = 2,
                                                    .kv_heads = 1,
                                                    .head_dim = 16,
                                                    .exponent = 0});
    for (const Kernel* kernel : kernels()) {
      const PackedModel packed(artifact.view(), *kernel);
      Forward forward(packed, 2);
      EXPECT_EQ(run_alone(artifact, forward, {1, 5, 9, 3}, 4), std::nullopt);
    }
  }
}

// SPEC RCPT-4: a wrong token before the row that leaves its range is what is wrong with a claim.
TEST(Recompute, SaysWhichFaultComesFirst) {
  std::size_t found = 0;
  for (std::uint64_t seed = 1; seed < 40 && found < 10; ++seed) {
    const model::Artifact artifact = make_artifact(
        {.seed = seed, .hidden = 24, .ffn = 40, .exponent = 11 + static_cast<int>(seed % 5)});
    const machine::Model& model = artifact.view();
    Forward forward(model, 1);
    for (std::uint32_t first = 0; first < model.shape.vocabulary; ++first) {
      const Ids prompt = {first};
      KvCache cache(model.shape);
      if (!forward.run(cache, prompt, nullptr)) continue;
      const auto logits = forward.logits(0);
      if (!logits) continue;
      const Job job{prompt, {}, trace::noise_block};
      const std::uint32_t chosen = choose(*logits, job, prompt);
      for (std::uint32_t lie = 0; lie < model.shape.vocabulary; ++lie) {
        KvCache longer(model.shape);
        const Ids tokens = {first, lie};
        if (lie == chosen || forward.run(longer, tokens, nullptr)) continue;
        ++found;
        trace::TraceBuilder trace(model.shape, trace::TraceBuilder::Keep::kTops);
        const auto again = recompute(forward, model, job, Ids{lie, 0}, trace, [] { return false; });
        ASSERT_TRUE(again) << again.error().message;
        EXPECT_EQ(again->chosen, Ids{chosen});
      }
    }
  }
  EXPECT_GE(found, 10u);
}

// PackedModel keeps every weight where PackedMatrix::weight() finds it, for every flip.
TEST(ForwardKernels, PackedWeightsAreTheWeights) {
  for (const auto& options : shapes()) {
    const model::Artifact artifact = make_artifact(options);
    const machine::Model& model = artifact.view();
    for (const Kernel* kernel : kernels()) {
      const PackedModel packed(model, *kernel, 2);
      const auto check = [&](const machine::Matrix& matrix, const PackedMatrix& in_blocks) {
        for (std::size_t at = 0; at < matrix.weight.size(); ++at) {
          ASSERT_EQ(in_blocks.weight(at / matrix.cols, at % matrix.cols), matrix.weight[at]);
        }
      };
      for (std::size_t l = 0; l < model.layers.size(); ++l) {
        check(model.layers[l].wq, packed.layer(l).wq);
        check(model.layers[l].wo, packed.layer(l).wo);
        check(model.layers[l].w_gate, packed.layer(l).w_gate);
        check(model.layers[l].w_down, packed.layer(l).w_down);
      }
      check(model.head, packed.head());
      for (std::uint32_t id = 0; id < model.shape.vocabulary; ++id) {
        for (std::size_t k = 0; k < model.shape.hidden; ++k) {
          ASSERT_EQ(packed.embedding(id, k), model.embed.weight[id * model.embed.cols + k]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace otr::engine
