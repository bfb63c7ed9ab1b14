// All of a small world: every step of whole answers, disputed by a liar against an honest worker
// and by an honest challenger against a worker that is wrong exactly there; every word of a witness
// corrupted (SPEC REF-2, REF-3, MTRC-3, MTRC-4).
#include <gtest/gtest.h>

#include "base/reject.h"
#include "dispute/archive.h"
#include "dispute/test_players.h"
#include "referee/reject.h"

namespace otr::dispute {
namespace {

using machine::kHeadLayer;
using machine::Tensor;
using referee::Proof;
using referee::Witness;

machine::Sampling sampled() {
  return {.inv_t = 90'000,
          .top_k = 9,
          .top_p = 60'000,
          .min_p = 900,
          .presence = 20'000,
          .frequency = 10'000,
          .seed = {7},
          .logit_bias = {{2, 5'000}, {11, -7'000}}};
}

Witness witness_of(Archive& archive, const referee::MicroTrace& micro, const machine::StepId& id) {
  Witness witness;
  const auto accesses = record_step(archive.execution(), id, archive.tensors());
  for (const auto& run : runs_of(archive.statement(), micro, id, accesses)) {
    witness.push_back(archive.open(run.tree, run.begin, run.end));
  }
  return witness;
}

std::string code_of(const Archive& archive, const referee::MicroTrace& micro, const Proof& proof) {
  const auto verdict = referee::adjudicate(archive.statement(), &micro, proof);
  return verdict ? "refuted: " + std::string(name_of(verdict->code)) : verdict.error().code;
}

// Calls visit(position, tensor, index) for every step of an answer.
template <class Visit>
std::size_t over_steps(const Claimed& claimed, Archive& archive, Visit visit) {
  const referee::Statement& statement = claimed.statement;
  std::size_t count = 0;
  for (std::uint32_t t = 0; t + 1 < statement.token_count(); ++t) {
    for (std::uint32_t l = 0; l <= statement.shape().layers; ++l) {
      if (l == statement.shape().layers && t + 1 < statement.terms.prompt_count) continue;
      const referee::Position position{t, l == statement.shape().layers ? kHeadLayer : l};
      const Computed honest = compute_position(archive.execution(), position);
      EXPECT_FALSE(honest.stop);
      archive.take(position, honest.tensors);
      for (const Tensor tensor : trace::micro_tensors_of(
               statement.model.program, statement.terms.sampling, t, position.layer)) {
        const std::size_t size = honest.tensors[static_cast<std::size_t>(tensor)].size();
        for (std::uint64_t i = 0; i < size; ++i) {
          visit(machine::StepId{t, position.layer, tensor, i}, honest.tensors);
          ++count;
        }
      }
    }
  }
  return count;
}

referee::MicroTrace micro_of(const Archive& archive, const machine::StepId& id) {
  return {{id.t, id.layer}, merkle::list_root(merkle::Kind::kMicroTrace, archive.tensor_roots())};
}

// One element is another than the step makes: what a worker that is wrong exactly there answers.
trace::MicroTensors altered(trace::MicroTensors tensors, const machine::StepId& id) {
  std::int64_t& value = tensors[static_cast<std::size_t>(id.tensor)][id.index];
  value += value < machine::info(id.tensor).hi ? 1 : -1;
  return tensors;
}

struct Corruption {
  std::string what;
  Witness witness;
  std::string code;  // empty: any rejection
};

// Every word of the tiles and of the paths, and every other way to bend a witness.
std::vector<Corruption> corruptions(const Witness& witness) {
  std::vector<Corruption> all;
  const auto add = [&](const std::string& what, std::size_t i, const std::string& code,
                       const auto& change) {
    Witness changed = witness;
    change(changed[i]);
    all.push_back({what + " of opening " + std::to_string(i), std::move(changed), code});
  };
  for (std::size_t i = 0; i < witness.size(); ++i) {
    for (std::size_t at = 0; at < witness[i].tiles.size(); at += 4) {
      add("tile byte " + std::to_string(at), i, "PATH_INVALID",
          [&](auto& opening) { opening.tiles[at] ^= 1; });
    }
    for (const auto path : {&referee::Opening::path, &referee::Opening::list_path}) {
      for (std::size_t at = 0; at < (witness[i].*path).size() * 8; ++at) {
        add("path word " + std::to_string(at), i, "PATH_INVALID",
            [&](auto& opening) { (opening.*path)[at / 8][at % 8 * 4] ^= 1; });
      }
      add("longer path", i, "PATH_INVALID", [&](auto& o) { (o.*path).emplace_back(); });
    }
    add("longer tile", i, "PATH_INVALID", [](auto& opening) { opening.tiles.push_back(0); });
    add("shorter tile", i, "PATH_INVALID", [](auto& opening) { opening.tiles.pop_back(); });
    add("begin", i, "", [](auto& opening) { ++opening.begin; });
    add("end", i, "PATH_INVALID", [](auto& opening) { ++opening.end; });
    add("far begin", i, "", [](auto& opening) { opening.begin = UINT64_MAX; });
    add("far end", i, "PATH_INVALID", [](auto& opening) { opening.end = UINT64_MAX; });
    add("a", i, "", [](auto& opening) { ++opening.tree.a; });
    add("b", i, "", [](auto& opening) { ++opening.tree.b; });
    add("far a", i, "", [](auto& opening) { opening.tree.a = UINT32_MAX; });
    Witness fewer = witness;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    all.push_back({"no opening " + std::to_string(i), fewer, "WITNESS_INCOMPLETE"});
    Witness twice = witness;
    twice.insert(twice.begin() + static_cast<std::ptrdiff_t>(i), witness[i]);
    all.push_back({"opening twice " + std::to_string(i), twice, "NOT_CANONICAL"});
    if (i == 0) continue;
    Witness swapped = witness;
    std::swap(swapped[i], swapped[i - 1]);
    all.push_back({"swapped opening " + std::to_string(i), swapped, "NOT_CANONICAL"});
  }
  return all;
}

void expect_all_rejected(const Archive& archive, const referee::MicroTrace& micro,
                         const Proof& proof) {
  for (const Corruption& one : corruptions(proof.witness)) {
    Proof corrupted = proof;
    corrupted.witness = one.witness;
    const std::string code = code_of(archive, micro, corrupted);
    EXPECT_FALSE(code.starts_with("refuted") || code == "NOT_REFUTED") << one.what << ": " << code;
    if (!one.code.empty()) EXPECT_EQ(code, one.code) << one.what;
  }
}

void dispute_all_steps(const World& world) {
  const auto run = work(world);
  ASSERT_TRUE(run);
  const Claimed claimed(world, *run);
  ASSERT_TRUE(referee::check_statement(claimed.statement));
  Archive archive(world.artifact, claimed.statement, world.prompt, run->trace);
  Archive lies(world.artifact, claimed.statement, world.prompt, run->trace);
  const std::size_t count = over_steps(
      claimed, archive, [&](const machine::StepId& id, const trace::MicroTensors& honest) {
        SCOPED_TRACE(std::string(machine::info(id.tensor).name) + "[" + std::to_string(id.index) +
                     "] at " + std::to_string(id.t) + ", layer " + std::to_string(id.layer));
        // A liar against an honest worker.
        const referee::MicroTrace micro = micro_of(archive, id);
        Proof proof{
            .tensor = id.tensor, .index = id.index, .witness = witness_of(archive, micro, id)};
        EXPECT_EQ(code_of(archive, micro, proof), "NOT_REFUTED");
        expect_all_rejected(archive, micro, proof);
        // An honest challenger against a worker that is wrong exactly there.
        lies.take(micro.position, altered(honest, id));
        const referee::MicroTrace wrong = micro_of(lies, id);
        proof.witness = witness_of(lies, wrong, id);
        EXPECT_EQ(code_of(lies, wrong, proof), "refuted: STEP_MISMATCH");
      });
  EXPECT_GT(count, 1000u);
}

TEST(EveryStep, OfAGreedyAnswer) { dispute_all_steps(World({.seed = 5}, {}, 2)); }

TEST(EveryStep, OfASampledAnswerWithNormsAndBiases) {
  dispute_all_steps(World({.seed = 4,
                           .tied = false,
                           .biases = true,
                           .qk_norm = true,
                           .window = 3,
                           .mixed_act_bits = true},
                          sampled(), 2));
}

// A tile beside those that are read opens well, and is refused all the same.
TEST(EveryStep, NothingMayBeOpenedThatIsNotRead) {
  const World world({.seed = 5});
  const auto run = work(world);
  ASSERT_TRUE(run);
  const Claimed claimed(world, *run);
  Archive archive(world.artifact, claimed.statement, world.prompt, run->trace);
  const machine::StepId id{1, 0, Tensor::kXIn, 2};
  archive.take({1, 0}, compute_position(archive.execution(), {1, 0}).tensors);
  const referee::MicroTrace micro = micro_of(archive, id);
  Proof proof{.tensor = id.tensor, .index = id.index, .witness = witness_of(archive, micro, id)};
  EXPECT_EQ(code_of(archive, micro, proof), "NOT_REFUTED");
  ASSERT_EQ(proof.witness[0].tree.place, referee::Place::kTokens);
  proof.witness[0] = archive.open(proof.witness[0].tree, 1, 3);
  EXPECT_EQ(code_of(archive, micro, proof), "WITNESS_SURPLUS");
  for (const auto& [tensor, index] : std::vector<std::pair<Tensor, std::uint64_t>>{
           {Tensor::kXIn, 10}, {Tensor::kF, 0}, {Tensor::kQPart, 0}, {Tensor::kQRoot, 0}}) {
    EXPECT_EQ(code_of(archive, micro, {.tensor = tensor, .index = index}), "STEP_UNKNOWN");
  }
}

// Games alternate between positions; each is computed once.
TEST(Positions, TheLastOnesAreTakenUpAgain) {
  const World world({.seed = 5});
  const auto run = work(world);
  ASSERT_TRUE(run);
  const Claimed claimed(world, *run);
  Archive archive(world.artifact, claimed.statement, world.prompt, run->trace);
  const auto position = [](std::size_t i) {
    return referee::Position{1, static_cast<std::uint32_t>(i % 2)};
  };
  EXPECT_FALSE(archive.retake(position(0)));
  std::vector<std::vector<Hash>> roots;
  for (std::size_t i = 0; i < 2; ++i) {
    archive.take(position(i), compute_position(archive.execution(), position(i)).tensors);
    roots.push_back(archive.tensor_roots());
  }
  EXPECT_NE(roots[0], roots[1]);
  for (std::size_t i = 0; i < 6; ++i) {
    ASSERT_TRUE(archive.retake(position(i)));
    EXPECT_EQ(archive.tensor_roots(), roots[i % 2]);
  }
  EXPECT_FALSE(archive.retake({0, 0}));
}

}  // namespace
}  // namespace otr::dispute
