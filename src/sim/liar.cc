#include "sim/liar.h"

#include <utility>

#include "base/check.h"
#include "dispute/recompute.h"
#include "dispute/worker.h"
#include "machine/tables.h"
#include "machine/tensors.h"
#include "protocol/finish.h"

namespace otr::sim {
namespace {

using machine::kHeadLayer;
using machine::Tensor;

// The pass of a forger: its trace and its tokens.
struct Forged {
  explicit Forged(const rollup::Weights& weights)
      : trace(weights.artifact.view().shape, trace::TraceBuilder::Keep::kRows) {}
  trace::TraceBuilder trace;
  std::vector<std::uint32_t> output_ids;
  protocol::FinishReason reason = protocol::FinishReason::kLength;
};

protocol::Receipt signed_receipt(const rollup::Weights& weights,
                                 const protocol::SignedRequest& request,
                                 std::span<const std::uint32_t> prompt_ids, Forged forged,
                                 const Signing& signers) {
  node::Finished finished = node::sign_claim(request.request, std::move(forged.output_ids),
                                             forged.reason, forged.trace, signers.session);
  return node::make_receipt(request, prompt_ids, std::move(finished), weights.artifact.view(),
                            signers.operator_key, signers.session.ledger);
}

protocol::Receipt of_tokens(const rollup::Weights& weights, const protocol::SignedRequest& request,
                            std::span<const std::uint32_t> prompt_ids,
                            std::vector<std::uint32_t> output_ids, const Signing& signers) {
  Forged forged(weights);
  protocol::FinishDetector finish(weights.artifact.view(), request.request);
  for (std::size_t i = 0; i < output_ids.size(); ++i) {
    if (const auto reason = finish.push(output_ids[i])) {
      forged.reason = *reason;
      output_ids.resize(i + 1);
    }
  }
  std::vector<std::uint32_t> tokens(prompt_ids.begin(), prompt_ids.end());
  tokens.insert(tokens.end(), output_ids.begin(), output_ids.end());
  forged.trace =
      rollup::compute_pass(weights, request.request.sampling, request.request.prompt_count, tokens)
          .trace;
  forged.output_ids = std::move(output_ids);
  return signed_receipt(weights, request, prompt_ids, std::move(forged), signers);
}

}  // namespace

protocol::SignedRequest make_request(const rollup::Weights& weights,
                                     const crypto::PrivateKey& client, std::uint64_t counter,
                                     std::span<const std::uint32_t> prompt_ids,
                                     std::uint32_t max_tokens, const Hash& ledger) {
  protocol::SignedRequest request;
  protocol::Request& body = request.request;
  body.client = client.address();
  body.counter = counter;
  body.task_id = protocol::task_id(body.client, counter);
  body.model_root = weights.artifact.root();
  body.prompt_root = trace::token_root(prompt_ids);
  body.prompt_count = static_cast<std::uint32_t>(prompt_ids.size());
  body.max_tokens = max_tokens;
  body.sampling.top_p = 65536;
  body.price = protocol::uint256(1000);
  body.deadline = 4'000'000'000;
  request.signature = client.sign(protocol::digest_of(body, ledger));
  return request;
}

protocol::Receipt answer_honestly(const rollup::Weights& weights,
                                  const protocol::SignedRequest& request,
                                  std::span<const std::uint32_t> prompt_ids,
                                  const Signing& signers) {
  auto output = rollup::answer(weights, request.request, prompt_ids);
  OTR_CHECK(output.has_value());
  return of_tokens(weights, request, prompt_ids, *std::move(output), signers);
}

protocol::Receipt forge_token(const rollup::Weights& weights,
                              const protocol::SignedRequest& request,
                              std::span<const std::uint32_t> prompt_ids, std::uint32_t at,
                              std::uint32_t token, const Signing& signers) {
  auto output = rollup::answer(weights, request.request, prompt_ids);
  OTR_CHECK(output.has_value() && at < output->size());
  output->resize(at);
  output->push_back(token);
  std::vector<std::uint32_t> known(prompt_ids.begin(), prompt_ids.end());
  known.insert(known.end(), output->begin(), output->end());
  protocol::Request rest = request.request;
  rest.max_tokens -= static_cast<std::uint32_t>(output->size());
  if (rest.max_tokens > 0) {
    const auto more = rollup::answer(weights, rest, known);
    OTR_CHECK(more.has_value());
    output->insert(output->end(), more->begin(), more->end());
  }
  return of_tokens(weights, request, prompt_ids, *std::move(output), signers);
}

protocol::Receipt forge_tokens(const rollup::Weights& weights,
                               const protocol::SignedRequest& request,
                               std::span<const std::uint32_t> prompt_ids,
                               std::vector<std::uint32_t> output_ids, const Signing& signers) {
  return of_tokens(weights, request, prompt_ids, std::move(output_ids), signers);
}

protocol::Receipt forge_execution(const rollup::Weights& weights,
                                  const protocol::SignedRequest& request,
                                  std::span<const std::uint32_t> prompt_ids, const Alter& alter,
                                  const Signing& signers) {
  const machine::Model& model = weights.artifact.view();
  const referee::ModelFacts facts = referee::model_facts(
      weights.artifact.root(), weights.artifact.config(), model.token_bytes.size());
  Forged forged(weights);
  std::vector<std::uint32_t> tokens(prompt_ids.begin(), prompt_ids.end());
  const dispute::Execution execution{model, facts.program, request.request.sampling,
                                     request.request.prompt_count, forged.trace};
  protocol::FinishDetector finish(model, request.request);
  for (std::uint32_t t = 0, is_over = 0;; ++t) {
    forged.trace.append_token(tokens[t]);
    if (is_over != 0) break;  // the last token has no rows (SPEC TRACE-2)
    for (std::uint32_t l = 0; l <= model.shape.layers; ++l) {
      const bool is_head = l == model.shape.layers;
      if (is_head && t + 1 < prompt_ids.size()) continue;
      const referee::Position position{t, is_head ? kHeadLayer : l};
      trace::MicroTensors tensors = dispute::compute_position(execution, position).tensors;
      alter(execution, position, tensors);
      if (!is_head) {
        dispute::append_rows(forged.trace, l, tensors);
        continue;
      }
      const auto id =
          static_cast<std::uint32_t>(tensors[static_cast<std::size_t>(Tensor::kToken)][0]);
      tokens.push_back(id);
      forged.output_ids.push_back(id);
      if (id >= model.shape.vocabulary) {
        is_over = 1;
      } else if (const auto reason = finish.push(id)) {
        forged.reason = *reason;
        is_over = 1;
      }
    }
  }
  return signed_receipt(weights, request, prompt_ids, std::move(forged), signers);
}

protocol::Receipt sign_anything(const rollup::Weights& weights,
                                const protocol::SignedRequest& request,
                                std::span<const std::uint32_t> prompt_ids,
                                std::vector<std::uint32_t> output_ids, protocol::Claim claim,
                                std::vector<Hash> trace_path, const Signing& signers) {
  claim.session = signers.session.session;
  node::Finished finished{.claim = claim,
                          .signer = signers.session.key.address(),
                          .output_ids = std::move(output_ids),
                          .trace_path = std::move(trace_path)};
  finished.claim_signature =
      signers.session.key.sign(protocol::digest_of(claim, signers.session.ledger));
  return node::make_receipt(request, prompt_ids, std::move(finished), weights.artifact.view(),
                            signers.operator_key, signers.session.ledger);
}

dispute::Action LiarsDefence::operator()(const protocol::Receipt& receipt,
                                         const dispute::Game& game, const dispute::Facts& facts) {
  std::shared_ptr<rollup::Case>& committed = cases_[receipt.claim.trace_root];
  if (!committed) {
    // The same lie again, step by step, gives the same trace.
    const protocol::Request& request = receipt.request.request;
    std::vector<std::uint32_t> tokens = receipt.prompt_ids;
    tokens.insert(tokens.end(), receipt.output_ids.begin(), receipt.output_ids.end());
    rollup::Pass pass = alter_pass(request, tokens);
    committed = std::make_shared<rollup::Case>(weights_, request, receipt.claim, receipt.prompt_ids,
                                               std::move(pass));
  }
  if (!game.leaf) return dispute::respond(committed->archive(), game, facts);
  dispute::Archive& archive = committed->archive();
  const referee::Position position = *referee::position_of(facts.statement, *game.leaf);
  trace::MicroTensors tensors = dispute::compute_position(archive.execution(), position).tensors;
  alter_(archive.execution(), position, tensors);
  archive.take(position, std::move(tensors));
  if (game.phase == dispute::Phase::kAnswering) {
    if (facts.bound) return referee::Answer{};
    return archive.answer(*game.leaf);
  }
  return archive.reveal(*game.demand);
}

rollup::Pass LiarsDefence::alter_pass(const protocol::Request& request,
                                      std::span<const std::uint32_t> tokens) const {
  if (!is_in_rows_) {
    return rollup::compute_pass(weights_, request.sampling, request.prompt_count, tokens);
  }
  const machine::Model& model = weights_.artifact.view();
  const referee::ModelFacts facts = referee::model_facts(
      weights_.artifact.root(), weights_.artifact.config(), model.token_bytes.size());
  rollup::Pass pass{
      .trace = {model.shape, trace::TraceBuilder::Keep::kRows}, .choices = {}, .broken = {}};
  const dispute::Execution execution{model, facts.program, request.sampling, request.prompt_count,
                                     pass.trace};
  for (std::uint32_t t = 0; t < tokens.size(); ++t) {
    pass.trace.append_token(tokens[t]);
    if (t + 1 == tokens.size()) break;
    for (std::uint32_t l = 0; l < model.shape.layers; ++l) {
      trace::MicroTensors tensors = dispute::compute_position(execution, {t, l}).tensors;
      alter_(execution, {t, l}, tensors);
      dispute::append_rows(pass.trace, l, tensors);
    }
  }
  return pass;
}

Alter token_at(std::uint32_t t, std::uint32_t token) {
  return [t, token](const dispute::Execution&, referee::Position position,
                    trace::MicroTensors& tensors) {
    if (position != referee::Position{t, kHeadLayer}) return;
    tensors[static_cast<std::size_t>(Tensor::kToken)][0] = token;
  };
}

Alter tokens_are(std::uint32_t prompt_count, std::vector<std::uint32_t> output_ids) {
  return [prompt_count, ids = std::move(output_ids)](
             const dispute::Execution&, referee::Position position, trace::MicroTensors& tensors) {
    if (position.layer != kHeadLayer || position.t + 1 < prompt_count) return;
    const std::uint32_t at = position.t + 1 - prompt_count;
    if (at < ids.size()) tensors[static_cast<std::size_t>(Tensor::kToken)][0] = ids[at];
  };
}

Alter element_changed(referee::Position at, Tensor tensor, std::uint64_t index, bool is_alone) {
  return [=](const dispute::Execution& execution, referee::Position position,
             trace::MicroTensors& tensors) {
    if (position != at) return;
    trace::MicroTensors changed = tensors;
    std::int64_t& value = changed[static_cast<std::size_t>(tensor)][index];
    value += value < machine::info(tensor).hi ? 1 : -1;
    if (is_alone) {
      tensors = std::move(changed);
      return;
    }
    const auto next = static_cast<Tensor>(static_cast<int>(tensor) + 1);
    dispute::Computed forced = dispute::compute_from(execution, at, next, std::move(changed));
    if (!forced.stop) tensors = std::move(forced.tensors);
  };
}

}  // namespace otr::sim
