#include "sim/desk.h"

#include <stdlib.h>

#include <utility>

#include "base/check.h"
#include "crypto/sha256.h"
#include "env/clock.h"
#include "node/audit.h"

namespace otr::sim {
namespace {

constexpr std::uint64_t kLifetimeSeconds = 3600;

crypto::PrivateKey key_of(std::uint64_t seed, std::string_view who) {
  Bytes bytes;
  append_le(bytes, seed);
  return crypto::PrivateKey::from_bytes(
             crypto::sha256({as_bytes("SIMULATED desk key"), bytes, as_bytes(who)}))
      .value();
}

const Substitute& model_asked_for() {
  static const Substitute model({});
  return model;
}

}  // namespace

Desk::Desk(std::uint64_t seed)
    : client(key_of(seed, "client")),
      operator_key(key_of(seed, "operator")),
      at(env::unix_seconds()),
      model(model_asked_for()) {
  std::string name = (std::filesystem::temp_directory_path() / "otr-desk-XXXXXX").string();
  OTR_CHECK(::mkdtemp(name.data()) != nullptr);
  folder_ = name;
  policy.name = "accepts the SIMULATED TEE of this desk";
  policy.simulated.emplace();
  policy.simulated->measurement.any = true;
}

Desk::~Desk() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::unique_ptr<node::Enclave> Desk::enclave(const Hash& model_root, std::uint8_t measurement) {
  node::SimulatedOptions options{.folder = folder_};
  options.measurement[0] = measurement;
  auto tee = node::SimulatedTee::open(options);
  OTR_CHECK(tee.has_value());
  machines_.push_back(*std::move(tee));
  policy.simulated->roots = {machines_.back()->root_hash()};
  auto made = node::Enclave::create(*machines_.back(), nullptr,
                                    {.operator_address = operator_key.address(),
                                     .model_root = model_root,
                                     .not_before = at,
                                     .lifetime_seconds = kLifetimeSeconds,
                                     .beacon = {3}});
  OTR_CHECK(made.has_value());
  return *std::move(made);
}

protocol::SignedRequest Desk::request(std::vector<std::uint32_t> ids) {
  return make_request(model.weights(), client, ++counter_, ids, 6, Hash{});
}

protocol::Receipt Desk::of_session(protocol::Receipt receipt, const node::Enclave& session) {
  receipt.evidence_kind = protocol::kSession;
  receipt.session = session.document();
  return receipt;
}

protocol::Receipt Desk::answer(const rollup::Weights& weights,
                               const protocol::SignedRequest& request,
                               const node::Enclave& session) {
  return of_session(
      answer_honestly(weights, request, prompt, Signing(*session.signer(), operator_key)), session);
}

void Desk::sign(protocol::Receipt& receipt, const node::Enclave& session) const {
  const Hash digest = protocol::digest_of(receipt.claim, receipt.ledger);
  receipt.claim_signature = session.signer()->key.sign(digest);
  receipt.countersignature =
      operator_key.sign(protocol::countersignature_digest(digest, receipt.ledger));
}

std::string Desk::judge(const protocol::Receipt& receipt) const {
  const auto text = protocol::encode_receipt(receipt);
  OTR_CHECK(text.has_value());
  const rollup::Weights& own = model.weights();
  const node::Audit audit =
      node::audit(*text, own.artifact,
                  {.policy = &policy, .at = at, .recompute_with = &own.packed, .threads = 1});
  const protocol::Check* const failed = audit.report.failure();
  if (failed == nullptr) return audit.recomputed ? "" : "INCONCLUSIVE";
  return failed->reject ? std::string(name_of(*failed->reject)) : "FAILED";
}

Outcome Desk::compare(const protocol::Receipt& honest, const protocol::Receipt& forged) const {
  Outcome outcome{.tier = Tier::kAttested, .how = judge(forged)};
  outcome.is_caught = !outcome.how.empty();
  const std::string of_honest = judge(honest);
  if (!of_honest.empty()) outcome.wrong = "an honest receipt is refused with " + of_honest;
  return outcome;
}

}  // namespace otr::sim
