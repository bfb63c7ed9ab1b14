// Tier 1: what whoever holds a receipt refuses at once, with the audit of `otr verify`.
#include <array>

#include "protocol/verify.h"
#include "sim/desk.h"

namespace otr::sim {
namespace {

// An honest receipt of an attested (SIMULATED) session, to be bent.
struct Honest {
  explicit Honest(std::uint64_t seed)
      : desk(seed),
        session(desk.enclave(desk.model.weights().artifact.root())),
        receipt(desk.answer(desk.model.weights(), desk.request(), *session)) {}
  [[nodiscard]] Outcome against(const protocol::Receipt& forged) const {
    return desk.compare(receipt, forged);
  }
  Desk desk;
  std::unique_ptr<node::Enclave> session;
  protocol::Receipt receipt;
};

const Substitute& small_model() {
  static const Substitute model({}, {.layers = 1});
  return model;
}

// An honest enclave of the small model: its session cannot speak for the big one.
Outcome model_downgrade(std::uint64_t seed) {
  Honest honest(seed);
  const auto other = honest.desk.enclave(small_model().weights().artifact.root());
  return honest.against(honest.desk.answer(small_model().weights(), honest.desk.request(), *other));
}

// A broken enclave: it says the big model's root and runs the small one.
Outcome model_downgrade_inside(std::uint64_t seed) {
  Honest honest(seed);
  return honest.against(
      honest.desk.answer(small_model().weights(), honest.desk.request(), *honest.session));
}

Outcome quantised_inside(std::uint64_t seed) {
  Honest honest(seed);
  const Substitute cheap(quantise);
  return honest.against(
      honest.desk.answer(cheap.weights(), honest.desk.request(), *honest.session));
}

Outcome wrong_template(std::uint64_t seed) {
  Honest honest(seed);
  const Substitute other([](auto& contents) { contents.chat_template += "{# another #}"; });
  const auto session = honest.desk.enclave(other.weights().artifact.root());
  const auto request =
      make_request(other.weights(), honest.desk.client, 1, honest.desk.prompt, 6, Hash{});
  return honest.against(honest.desk.answer(other.weights(), request, *session));
}

Outcome output_edited(std::uint64_t seed) {
  Honest honest(seed);
  protocol::Receipt forged = honest.receipt;
  std::uint32_t& id = forged.output_ids[seed % forged.output_ids.size()];
  id = (id + 1) % 16;
  return honest.against(forged);
}

Outcome text_edited(std::uint64_t seed) {
  Honest honest(seed);
  protocol::Receipt forged = honest.receipt;
  forged.output_text += "!";
  return honest.against(forged);
}

Outcome truncated_stream(std::uint64_t seed) {
  Honest honest(seed);
  protocol::Receipt forged = honest.receipt;
  forged.output_ids.pop_back();
  return honest.against(forged);
}

// The session itself signs that the answer ended where nothing ends it.
Outcome early_stop(std::uint64_t seed) {
  Honest honest(seed);
  std::vector<std::uint32_t> output = honest.receipt.output_ids;
  output.resize(2);
  return honest.against(Desk::of_session(
      forge_tokens(honest.desk.model.weights(), honest.receipt.request, honest.desk.prompt, output,
                   Signing(*honest.session->signer(), honest.desk.operator_key)),
      *honest.session));
}

Outcome replayed_receipt(std::uint64_t seed) {
  Honest honest(seed);
  protocol::Receipt forged = honest.receipt;
  forged.request = honest.desk.request();
  return honest.against(forged);
}

// The answer to an older request, signed again for a new one with another prompt.
Outcome cached_answer(std::uint64_t seed) {
  Honest honest(seed);
  protocol::Receipt forged = honest.receipt;
  forged.prompt_ids = {3, 1, 5};
  forged.prompt_text = "dbf";
  forged.request = honest.desk.request(forged.prompt_ids);
  forged.claim.request_hash = protocol::digest_of(forged.request.request, Hash{});
  honest.desk.sign(forged, *honest.session);
  return honest.against(forged);
}

// Tokens that the model would not choose, under a trace of the true model over them.
Outcome sampled_at_will(std::uint64_t seed) {
  Honest honest(seed);
  std::vector<std::uint32_t> output = honest.receipt.output_ids;
  std::uint32_t& id = output[seed % 2];
  id = (id + 1) % 15;
  return honest.against(
      Desk::of_session(forge_token(honest.desk.model.weights(), honest.receipt.request,
                                   honest.desk.prompt, static_cast<std::uint32_t>(seed % 2), id,
                                   Signing(*honest.session->signer(), honest.desk.operator_key)),
                       *honest.session));
}

// The model's own tokens under a trace root that is not theirs, everything signed.
Outcome forged_root(std::uint64_t seed) {
  Honest honest(seed);
  protocol::Receipt forged = honest.receipt;
  forged.claim.trace_root[seed % 32] ^= 1;
  honest.desk.sign(forged, *honest.session);
  return honest.against(forged);
}

// A gateway asks for something else than the user and shows the user its own prompt.
Outcome lying_gateway(std::uint64_t seed) {
  Honest honest(seed);
  honest.desk.prompt = {3, 1, 5};
  protocol::Receipt forged = honest.desk.answer(honest.desk.model.weights(),
                                                honest.desk.request({3, 1, 5}), *honest.session);
  forged.prompt_ids = honest.receipt.prompt_ids;
  forged.prompt_text = honest.receipt.prompt_text;
  return honest.against(forged);
}

// A thief with the enclave's key, without the operator's.
Outcome stolen_key(std::uint64_t seed) {
  Honest honest(seed);
  protocol::Receipt forged = honest.receipt;
  forged.claim.trace_root[0] ^= 1;
  honest.desk.sign(forged, *honest.session);
  const Hash digest = protocol::digest_of(forged.claim, Hash{});
  forged.countersignature =
      honest.session->signer()->key.sign(protocol::countersignature_digest(digest, Hash{}));
  return honest.against(forged);
}

// The same with a stranger that countersigns.
Outcome strangers_countersignature(std::uint64_t seed) {
  Honest honest(seed);
  protocol::Receipt forged = honest.receipt;
  const crypto::PrivateKey& stranger = honest.desk.client;
  forged.operator_address = stranger.address();
  const Hash digest = protocol::digest_of(forged.claim, Hash{});
  forged.countersignature = stranger.sign(protocol::countersignature_digest(digest, Hash{}));
  return honest.against(forged);
}

constexpr Demanded demanded(std::string_view how, std::string_view rule) {
  return {Tier::kAttested, how, "", rule};
}

constexpr std::array kAttacks = {
    Attack{"model-downgrade", "a small model's enclave (SIMULATED) answers for the big model",
           demanded("SESSION_MISMATCH", "RCPT-6"), model_downgrade},
    Attack{"model-downgrade-inside", "a broken enclave (SIMULATED) runs a smaller model",
           demanded("TOKEN_PATH_MISMATCH", "RCPT-3"), model_downgrade_inside},
    Attack{"quantised-inside", "a broken enclave (SIMULATED) runs coarser weights",
           demanded("TRACE_ROOT_MISMATCH", "RCPT-4"), quantised_inside},
    Attack{"wrong-template", "the model with another chat template, named by its own root",
           demanded("MODEL_ROOT_MISMATCH", "RCPT-3"), wrong_template},
    Attack{"output-edited", "a token is changed after signing",
           demanded("TOKEN_PATH_MISMATCH", "RCPT-3"), output_edited},
    Attack{"text-edited", "the text is changed after signing, the ids are not",
           demanded("TEXT_MISMATCH", "RCPT-3"), text_edited},
    Attack{"truncated-stream", "the last token is held back", demanded("COUNT_MISMATCH", "RCPT-2"),
           truncated_stream},
    Attack{"early-stop", "the worker stops early and signs that",
           demanded("FINISH_MISMATCH", "RCPT-3"), early_stop},
    Attack{"replayed-receipt", "an old receipt for a new request",
           demanded("REQUEST_HASH_MISMATCH", "RCPT-2"), replayed_receipt},
    Attack{"cached-answer", "the answer to another prompt, signed again",
           demanded("TOKEN_PATH_MISMATCH", "RCPT-3"), cached_answer},
    Attack{"sampled-at-will", "a token that the model does not choose, in a fitting trace",
           demanded("TOKEN_MISMATCH", "RCPT-4"), sampled_at_will},
    Attack{"forged-root", "a trace root that is not the answer's",
           demanded("TOKEN_PATH_MISMATCH", "RCPT-3"), forged_root},
    Attack{"lying-gateway", "a gateway asks the worker for something else than the user",
           demanded("PROMPT_ROOT_MISMATCH", "RCPT-2"), lying_gateway},
    Attack{"stolen-key", "a thief with the enclave's key, without a countersignature",
           demanded("COUNTERSIGNATURE", "RCPT-2"), stolen_key},
    Attack{"strangers-countersignature", "a stolen enclave key and a stranger that countersigns",
           demanded("SESSION_MISMATCH", "RCPT-6"), strangers_countersignature},
};

}  // namespace

std::span<const Attack> attacks_on_receipts() { return kAttacks; }

}  // namespace otr::sim
