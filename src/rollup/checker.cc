// The flow of a checker, top to bottom: step() says what it does, in this order.
#include "rollup/checker.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "crypto/sha256.h"
#include "node/proof.h"
#include "rollup/batch_data.h"
#include "rollup/clocks.h"
#include "rollup/suit.h"

namespace otr::rollup {
namespace {

using ledger::ClaimKey;

constexpr std::uint8_t kLaneProof = 1;
// After data that could not be had, or a refusal, nothing is tried again for so long.
constexpr std::uint64_t kPatienceMs = 2'000;
// Positions verified in one step, so that whoever steps it has time for others; at least one claim
// is.
constexpr std::uint64_t kPositionsAtOnce = 2048;

// What it thinks of an answer to a draw.
struct Opinion {
  std::optional<ledger::CheckDraw> body;  // signed; nothing where it disagrees
  std::uint64_t not_before = 0;           // when it is sent, again
};

}  // namespace

struct Checker::Body {
  Mirror& mirror;
  const CheckerOptions options;
  CheckerGauges gauges = {};
  std::map<ClaimKey, Opinion> opinions = {};
  std::map<ClaimKey, std::uint64_t> ask_again = {};  // claims seen answered, and when to look
  Patience patience{options.stopwatch_ms};
  std::uint64_t now = 0;             // of this step
  std::uint64_t positions_left = 0;  // that this step may still verify
  // The claims of one batch, for this step.
  std::optional<std::uint64_t> shown_batch = {};
  std::vector<ClaimData> shown = {};

  [[nodiscard]] const ledger::State& state() const { return mirror.state(); }
  [[nodiscard]] std::size_t place() const;
  [[nodiscard]] bool is_due(const ledger::ClaimEntry& entry) const;
  [[nodiscard]] std::vector<ClaimKey> due_claims() const;
  void forget_what_is_over();
  Status look_at(const ClaimKey& key);
  Status form_opinion(const ClaimKey& key, const ledger::ClaimEntry& answer);
  Status fetch(std::uint64_t number, DataPort& data);
  Status verify(const ClaimKey& key, const ledger::ClaimEntry& answer, const Weights& weights,
                DataPort& data);
  Status verify_proof(const ledger::Batch& batch, const Hash& claim, ByteView proof,
                      const Weights& weights);
  Status send(Opinion& opinion);
};

Checker::Checker(Mirror& mirror, CheckerOptions options)
    : body_(std::make_unique<Body>(Body{mirror, std::move(options)})) {}
Checker::~Checker() = default;

CheckerGauges Checker::gauges() const { return body_->gauges; }

bool Checker::is_appointed() const {
  return body_->place() < body_->state().genesis.checkers.size();
}

Status Checker::step(std::uint64_t now) {
  Body& body = *body_;
  // 1. What has happened, by its own replay.
  OTR_TRY(body.mirror.catch_up());
  body.forget_what_is_over();
  if (!is_appointed()) return {};
  // 2. Every answer to a draw that it has not signed: fetch, verify, sign what is right.
  body.now = now;
  body.positions_left = kPositionsAtOnce;
  for (const ClaimKey& key : body.due_claims()) OTR_TRY(body.look_at(key));
  body.shown_batch.reset();
  body.shown.clear();
  return {};
}

// --- 1. What has happened

// Among the checkers of the genesis; their number where it is none of them.
std::size_t Checker::Body::place() const {
  const auto& checkers = state().genesis.checkers;
  return static_cast<std::size_t>(std::ranges::find(checkers, options.key.address()) -
                                  checkers.begin());
}

bool Checker::Body::is_due(const ledger::ClaimEntry& entry) const {
  return entry.lane != 0 && !entry.checked && !entry.refuted &&
         (entry.checkers >> place() & 1) == 0;
}

std::vector<ClaimKey> Checker::Body::due_claims() const {
  std::vector<ClaimKey> due;
  for (const std::uint64_t number : mirror.open_batches()) {
    for (auto at = state().claims.lower_bound({number, 0});
         at != state().claims.end() && at->first.batch == number; ++at) {
      if (is_due(at->second) && is_asked_for(state(), at->first)) due.push_back(at->first);
    }
  }
  return due;
}

void Checker::Body::forget_what_is_over() {
  const auto is_over = [&](const auto& entry) {
    return !mirror.open_batches().contains(entry.first.batch);
  };
  std::erase_if(opinions, is_over);
  std::erase_if(ask_again, is_over);
}

// --- 2. Fetch, verify, sign

Status Checker::Body::look_at(const ClaimKey& key) {
  const auto [waits_until, is_new] = ask_again.try_emplace(key, now);
  gauges.answered += is_new;
  const auto known = opinions.find(key);
  if (known != opinions.end()) return send(known->second);
  const ledger::Batch& batch = state().batches.at(key.batch);
  if (now < waits_until->second || positions_left == 0) return {};
  // Of a batch that is shown already, only a proof is still to be asked for.
  const ledger::ClaimEntry& answer = state().claims.at(key);
  const bool is_here = shown_batch == key.batch && answer.lane != kLaneProof;
  if (!is_here && !patience.may_ask(batch, now)) return {};
  const Status formed = form_opinion(key, answer);
  // What could not be had is asked for again.
  if (!formed) {
    patience.leave_alone(state(), batch, now);
    waits_until->second = now + kPatienceMs;
    return {};
  }
  return send(opinions.at(key));
}

// An error where there is none yet.
Status Checker::Body::form_opinion(const ClaimKey& key, const ledger::ClaimEntry& answer) {
  const ledger::Batch& batch = state().batches.at(key.batch);
  const Weights* const weights =
      options.weights(state().sessions.at(batch.session).session.model_root);
  if (weights == nullptr) {
    ++gauges.unknown_model;
    opinions[key];
    return {};
  }
  DataPort* const data = options.data ? options.data(batch.operator_address) : nullptr;
  if (data == nullptr) return fail(ErrorKind::kNetwork, "Nobody serves this operator's data.");
  const Status verified = verify(key, answer, *weights, *data);
  if (!verified && verified.error().kind != ErrorKind::kReject) {
    ++gauges.withheld;
    return verified;
  }
  Opinion& opinion = opinions[key];
  if (!verified) {
    ++gauges.disagreed;
    gauges.last_disagreement = verified.error().message;
    return {};
  }
  ++(answer.lane == kLaneProof ? gauges.proven : gauges.executed);
  std::vector<Hash> hashes;
  for (const ClaimData& one : shown) {
    hashes.push_back(protocol::digest_of(one.claim, ledger::claims_ledger(state())));
  }
  ledger::CheckDraw body{.batch = key.batch,
                         .index = key.index,
                         .claim_hash = hashes[key.index],
                         .path = batch_path(hashes, key.index),
                         .lane = answer.lane,
                         .digest = answer.digest,
                         .signatures = {}};
  body.signatures = {options.key.sign(ledger::check_digest(state().id, body, batch.round))};
  opinion.body = std::move(body);
  return {};
}

Status Checker::Body::fetch(std::uint64_t number, DataPort& data) {
  if (shown_batch == number) return {};
  shown_batch.reset();
  const ledger::Batch& batch = state().batches.at(number);
  OTR_TRY_ASSIGN(shown, patience.ask(state(), batch, now, [&] {
    return fetch_batch(data, batch, ledger::claims_ledger(state()));
  }));
  shown_batch = number;
  return {};
}

// kReject where the claim is false or the answer does not show it; other errors where what it takes
// cannot be had.
Status Checker::Body::verify(const ClaimKey& key, const ledger::ClaimEntry& answer,
                             const Weights& weights, DataPort& data) {
  const ledger::Batch& batch = state().batches.at(key.batch);
  const protocol::Session& session = state().sessions.at(batch.session).session;
  OTR_TRY(fetch(key.batch, data));
  const ClaimData& claim = shown[key.index];
  const auto count_work = [&] {
    positions_left -=
        std::min(positions_left, std::uint64_t{claim.claim.prompt_count} + claim.claim.out_count);
  };
  if (claim.claim.session != batch.session || claim.request.model_root != session.model_root) {
    return fail(ErrorKind::kReject, "The claim is of another session or model than its batch.");
  }
  if (answer.lane == kLaneProof) {
    OTR_TRY_ASSIGN(const Bytes proof,
                   patience.ask(state(), batch, now, [&] { return data.proof(answer.digest); }));
    if (crypto::sha256({proof}) != answer.digest) {
      return fail(ErrorKind::kBadInput, "What is shown is not the proof that was named.");
    }
    count_work();
    const Hash hash = protocol::digest_of(claim.claim, ledger::claims_ledger(state()));
    return verify_proof(batch, hash, proof, weights);
  }
  if (claim.receipt != answer.digest || claim.prompt_ids.empty()) {
    return fail(ErrorKind::kBadInput, "What is shown is not the receipt that was named, or bare.");
  }
  count_work();
  Suit suit(weights, state().models.at(session.model_root).facts, claim.request, claim.claim,
            claim.prompt_ids, claim.output_ids);
  if (!suit.has_case()) return {};
  return fail(ErrorKind::kReject, "The claim is false: computed again, the answer is another.");
}

Status Checker::Body::verify_proof(const ledger::Batch& batch, const Hash& claim, ByteView proof,
                                   const Weights& weights) {
  const auto wrong = [](std::string what) { return fail(ErrorKind::kReject, std::move(what)); };
  const node::ProofAudit proven = node::audit_proof(proof, weights.artifact);
  if (const auto* const failed = proven.audit.report.failure()) return wrong(failed->detail);
  if (!proven.audit.proven) return wrong("The proof came to no verdict.");
  const protocol::Receipt& receipt = *proven.audit.receipt;
  const Hash ledger = ledger::claims_ledger(state());
  if (receipt.ledger != ledger || protocol::digest_of(receipt.claim, ledger) != claim) {
    return wrong("The proof is of another claim.");
  }
  const auto round = state().beacon.find(batch.round);
  if (round == state().beacon.end() || proven.beacon != round->second.value) {
    return wrong("The proof is bound to another beacon value.");
  }
  return {};
}

// The ledger's refusal is no reason to stop: it is sent again until the batch is over.
Status Checker::Body::send(Opinion& opinion) {
  if (!opinion.body || now < opinion.not_before) return {};
  const Status sent = mirror.send(options.key, *opinion.body);
  gauges.signed_count += sent.has_value();
  if (sent || sent.error().kind != ErrorKind::kReject) return sent;
  opinion.not_before = now + kPatienceMs;
  ++gauges.refused;
  gauges.last_refusal = sent.error().message;
  return {};
}

}  // namespace otr::rollup
