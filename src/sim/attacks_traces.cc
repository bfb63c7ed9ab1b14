// Tier 2: claims that are false inside, by operators whose enclave is broken (SIMULATED). Each is
// posted, recomputed by a fisherman, and fought for with what the lie made.
#include <array>
#include <optional>

#include "dispute/position.h"
#include "sim/substitute.h"
#include "sim/trial.h"

namespace otr::sim {
namespace {

using ledger::EventKind;
using machine::Tensor;

// A false claim for these signers, and how it is fought for: honestly where nothing is set.
using Forge = std::function<protocol::Receipt(World& world, OperatorNode& cheat,
                                              std::optional<LiarsDefence>& defence)>;

Outcome settle_lie(std::uint64_t seed, const Forge& forge) {
  Trial trial(seed);
  std::optional<LiarsDefence> defence;
  const Alter nothing = [](const auto&, auto, auto&) {};
  LiarsDefence honestly(trial.world.weights(), nothing, false);
  OperatorNode& cheat = trial.cheat([&](const auto& receipt, const auto& game, const auto& facts) {
    // Of a claim whose shape is impossible there is no trace to open.
    if (!referee::check_statement(facts.statement)) return dispute::Action(dispute::Concede{});
    return defence ? (*defence)(receipt, game, facts) : honestly(receipt, game, facts);
  });
  (void)trial.fisherman();
  const protocol::Receipt forged = forge(trial.world, cheat, defence);
  trial.strike();
  (void)trial.post(cheat, forged, false);
  (void)trial.until(EventKind::kRefuted);
  return trial.finish();
}

protocol::Receipt forge_by(World& world, OperatorNode& cheat, std::optional<LiarsDefence>& defence,
                           const Alter& alter) {
  defence.emplace(world.weights(), alter, true);
  return forge_execution(world.weights(), world.request(), world.prompt(), alter, cheat.signers);
}

Outcome sampler_cheat(std::uint64_t seed) {
  return settle_lie(seed, [seed](World& world, OperatorNode& cheat, auto& defence) {
    const auto request = world.request();
    const auto honest = *rollup::answer(world.weights(), request.request, world.prompt());
    const auto at = static_cast<std::uint32_t>(seed % 3);
    const std::uint32_t token = (honest[at] + 1) % 15;
    const auto t = static_cast<std::uint32_t>(world.prompt().size()) - 1 + at;
    defence.emplace(world.weights(), token_at(t, token), false);
    return forge_token(world.weights(), request, world.prompt(), at, token, cheat.signers);
  });
}

// The client asked for one seed; the worker chose another until it liked the answer.
Outcome wrong_seed(std::uint64_t seed) {
  return settle_lie(seed, [](World& world, OperatorNode& cheat, auto& defence) {
    protocol::SignedRequest request = world.request();
    request.request.sampling.inv_t = 65536;
    request.signature = world.client().sign(protocol::digest_of(request.request, world.state().id));
    const auto honest = *rollup::answer(world.weights(), request.request, world.prompt());
    protocol::Request other = request.request;
    std::vector<std::uint32_t> output = honest;
    while (output == honest) {
      ++other.sampling.seed[0];
      output = *rollup::answer(world.weights(), other, world.prompt());
    }
    defence.emplace(world.weights(),
                    tokens_are(static_cast<std::uint32_t>(world.prompt().size()), output), false);
    return forge_tokens(world.weights(), request, world.prompt(), output, cheat.signers);
  });
}

Outcome kv_tamper(std::uint64_t seed) {
  return settle_lie(seed, [seed](World& world, OperatorNode& cheat, auto& defence) {
    return forge_by(
        world, cheat, defence,
        element_changed({static_cast<std::uint32_t>(1 + seed % 3), 0}, Tensor::kK, 0, false));
  });
}

Outcome layer_skipped(std::uint64_t seed) {
  return settle_lie(seed, [](World& world, OperatorNode& cheat, auto& defence) {
    return forge_by(world, cheat, defence,
                    [](const auto&, referee::Position at, trace::MicroTensors& tensors) {
                      if (at.layer != 0) return;
                      tensors[static_cast<std::size_t>(Tensor::kXOut)] =
                          tensors[static_cast<std::size_t>(Tensor::kXIn)];
                    });
  });
}

Outcome forged_trace(std::uint64_t seed) {
  return settle_lie(seed, [seed](World& world, OperatorNode& cheat, auto& defence) {
    // The first position: its residual feeds no choice.
    return forge_by(world, cheat, defence, element_changed({0, 1}, Tensor::kXOut, seed % 10, true));
  });
}

// What another model computes, in the name of the one that was asked for.
Outcome of_substitute(std::uint64_t seed, const Substitute& other) {
  return settle_lie(seed, [&](World& world, OperatorNode& cheat, auto& defence) {
    const Alter by_other = [&other](const dispute::Execution& execution, referee::Position at,
                                    trace::MicroTensors& tensors) {
      const dispute::Execution its{other.weights().artifact.view(), execution.program,
                                   execution.sampling, execution.n_prompt, execution.trace};
      tensors = dispute::compute_position(its, at).tensors;
    };
    defence.emplace(world.weights(), by_other, true);
    return answer_honestly(other.weights(), world.request(), world.prompt(), cheat.signers);
  });
}

// The first weight from there on whose change is not lost in rounding.
Outcome weight_flipped(std::uint64_t seed) {
  World world({});
  const auto root_of = [request = world.request(), &world](const rollup::Weights& weights) {
    const Signers signers{{.key = world.new_key()}, world.new_key()};
    return answer_honestly(weights, request, world.prompt(), signers).claim.trace_root;
  };
  const Hash honest = root_of(world.weights());
  for (std::uint64_t index = seed;; ++index) {
    const Substitute other([index](auto& contents) { flip(contents, index); });
    if (root_of(other.weights()) != honest) return of_substitute(seed, other);
  }
}

Outcome quantised(std::uint64_t seed) {
  const Substitute other(quantise);
  return of_substitute(seed, other);
}

// The rows of a lie are committed, and the step is answered with what is true: no such answer fits
// the leaf (SPEC MTRC-5), and the clock runs.
Outcome honest_micro_trace(std::uint64_t seed) {
  Trial trial(seed);
  const Alter lie = element_changed({1, 0}, Tensor::kXOut, seed % 10, true);
  bool is_answering = false;
  const Alter forgetful = [&](const auto& execution, referee::Position at, auto& tensors) {
    if (!is_answering) lie(execution, at, tensors);
  };
  LiarsDefence defence(trial.world.weights(), forgetful, true);
  OperatorNode& cheat =
      trial.cheat([&](const auto& receipt, dispute::Game game, const auto& facts) {
        is_answering = game.leaf.has_value();
        return defence(receipt, game, facts);
      });
  (void)trial.fisherman();
  const auto forged = forge_execution(trial.world.weights(), trial.world.request(),
                                      trial.world.prompt(), lie, cheat.signers);
  trial.strike();
  (void)trial.post(cheat, forged, false);
  (void)trial.until(EventKind::kRefuted);
  trial.expect(cheat.role->gauges().refused > 0, "the true answer was taken for the false leaf");
  return trial.finish();
}

// The honest receipt with another claim.
Outcome other_claim(std::uint64_t seed, const std::function<void(protocol::Claim&)>& change) {
  return settle_lie(seed, [&](World& world, OperatorNode& cheat, auto&) {
    const auto request = world.request();
    const auto honest = answer_honestly(world.weights(), request, world.prompt(), cheat.signers);
    protocol::Claim claim = honest.claim;
    change(claim);
    return sign_anything(world.weights(), request, world.prompt(), honest.output_ids, claim,
                         honest.trace_path, cheat.signers);
  });
}

Outcome garbage_root(std::uint64_t seed) {
  return other_claim(seed, [seed](auto& claim) { claim.trace_root[seed % 32] ^= 1; });
}

Outcome wrong_finish(std::uint64_t seed) {
  return other_claim(seed, [](auto& claim) {
    claim.finish_reason = static_cast<std::uint8_t>(claim.finish_reason % 3 + 1);
  });
}

Outcome too_many_tokens(std::uint64_t seed) {
  return other_claim(seed, [](auto& claim) { claim.out_count += 1000; });
}

// The prompt that was asked for is served, and another one is under the trace.
Outcome prompt_swapped(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  std::vector<std::uint32_t> other = world.prompt();
  other[seed % other.size()] ^= 1;
  const Alter nothing = [](const auto&, auto, auto&) {};
  LiarsDefence defence(world.weights(), nothing, false);
  OperatorNode& cheat =
      trial.cheat([&](protocol::Receipt receipt, const auto& game, const auto& facts) {
        receipt.prompt_ids = other;
        return defence(receipt, game, facts);
      });
  (void)trial.fisherman();
  auto forged = answer_honestly(world.weights(), world.request(), other, cheat.signers);
  forged.prompt_ids = world.prompt();
  trial.strike();
  (void)trial.post(cheat, forged, false);
  (void)trial.until(EventKind::kRefuted);
  return trial.finish();
}

constexpr Demanded demanded(std::string_view how, std::string_view rule) {
  return {Tier::kOptimistic, how, "cheat", rule};
}

constexpr std::array kAttacks = {
    Attack{"sampler-cheat", "another token than the one chosen", demanded("STEP_MISMATCH", "REF-3"),
           sampler_cheat},
    Attack{"wrong-seed", "the answer of another seed", demanded("STEP_MISMATCH", "REF-3"),
           wrong_seed},
    Attack{"kv-tamper", "one element of a K row is changed, and all that follows",
           demanded("STEP_MISMATCH", "REF-3"), kv_tamper},
    Attack{"weight-flipped", "one weight differs by one", demanded("STEP_MISMATCH", "REF-3"),
           weight_flipped},
    Attack{"quantised-substitute", "the model with coarser weights",
           demanded("STEP_MISMATCH", "REF-3"), quantised},
    Attack{"layer-skipped", "a layer hands its input on", demanded("STEP_MISMATCH", "REF-3"),
           layer_skipped},
    Attack{"forged-trace", "the true output, and one false number in its trace",
           demanded("STEP_MISMATCH", "REF-3"), forged_trace},
    Attack{"honest-micro-trace", "a false leaf, answered with the true micro-trace",
           demanded("TIME", "MTRC-5"), honest_micro_trace},
    Attack{"garbage-root", "a trace root without preimage", demanded("TIME", "GAME-7"),
           garbage_root},
    Attack{"wrong-finish", "another finish reason", demanded("FINISH_MISMATCH", "REF-6"),
           wrong_finish},
    Attack{"prompt-swapped", "the answer to another prompt",
           demanded("PROMPT_ROOT_MISMATCH", "REF-5"), prompt_swapped},
    Attack{"too-many-tokens", "more tokens claimed than were asked for",
           demanded("COUNT_MISMATCH", "REF-4"), too_many_tokens},
};

}  // namespace

std::span<const Attack> attacks_on_traces() { return kAttacks; }

}  // namespace otr::sim
