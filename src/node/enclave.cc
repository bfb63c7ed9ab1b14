#include "node/enclave.h"

#include <openssl/crypto.h>

#include <array>
#include <span>

#include "attest/nitro.h"
#include "attest/nvidia.h"
#include "attest/quote.h"
#include "attest/simulated.h"
#include "attest/snp.h"
#include "base/hex.h"
#include "env/random.h"
#include "machine/tables.h"
#include "text/base64.h"

namespace otr::node {
namespace {

using protocol::EvidenceItem;

// A scalar is out of range with a chance of 2^-128: the error then is the right answer.
template <class Key>
Result<Key> new_key() {
  auto random = env::random_32_bytes();
  if (!random) return std::unexpected(std::move(random).error());
  Result<Key> key = Key::from_bytes(*random);
  OPENSSL_cleanse(random->data(), random->size());
  return key;
}

// What the machine measures, as its own evidence says it (SPEC SESS-4).
Result<Hash> runtime_of(const CollectedEvidence& evidence) {
  if (evidence.kind == "tdx") {
    OTR_TRY_ASSIGN(const attest::Quote quote, attest::parse_quote(evidence.report));
    const attest::TdReport& td = quote.td;
    const std::array<ByteView, 5> registers = {td.mrtd, td.rtmr[0], td.rtmr[1], td.rtmr[2],
                                               td.rtmr[3]};
    return protocol::runtime_hash("tdx", registers);
  }
  if (evidence.kind == "sev-snp") {
    OTR_TRY_ASSIGN(const auto report, attest::parse_snp_report(evidence.report));
    const std::array<ByteView, 2> registers = {report.measurement, report.host_data};
    return protocol::runtime_hash("sev-snp", registers);
  }
  OTR_TRY_ASSIGN(const auto report, attest::parse_simulated(evidence.report));
  const std::array<ByteView, 1> registers = {report.measurement};
  return protocol::runtime_hash("simulated", registers);
}

// The list of GPUs in the form that verifiers in the field read.
EvidenceItem gpu_item(std::span<const CollectedEvidence> gpus, std::span<const Hash> nonces) {
  Json list = Json::array();
  for (std::size_t i = 0; i < gpus.size(); ++i) {
    const Bytes chain = gpus[i].extra.empty() ? Bytes() : gpus[i].extra.front();
    list.push_back({{"certificate", text::to_base64(as_text(chain))},
                    {"evidence", text::to_base64(as_text(gpus[i].report))},
                    {"nonce", to_hex(nonces[i]).substr(2)}});
  }
  const std::string json = list.dump();
  const ByteView bytes = as_bytes(json);
  return {.name = "gpus.json", .data = Bytes(bytes.begin(), bytes.end())};
}

// Sets session.gpu_evidence and returns the item to ship; nothing where there are no GPUs.
Result<std::vector<EvidenceItem>> attest_gpus(GpuEvidenceSource* source, protocol::Session& session,
                                              const Hash& ledger) {
  std::vector<EvidenceItem> items;
  if (source == nullptr) return items;
  OTR_TRY_ASSIGN(const std::size_t count, source->count());
  if (count == 0) return items;
  if (count > protocol::kMaxSessionGpus) {
    return fail(ErrorKind::kUsage,
                "A session has at most 16 GPUs, this machine has " + std::to_string(count) + ".");
  }
  std::vector<Hash> nonces;
  for (std::uint32_t i = 0; i < count; ++i) {
    nonces.push_back(protocol::gpu_nonce(session, ledger, i));
  }
  OTR_TRY_ASSIGN(const auto gpus, source->collect(nonces));
  std::vector<Bytes> reports;
  for (const CollectedEvidence& gpu : gpus) reports.push_back(gpu.report);
  session.gpu_evidence = protocol::gpu_evidence_hash(reports);
  items.push_back(gpu_item(gpus, nonces));
  return items;
}

}  // namespace

Result<Enclave::Keys> Enclave::new_keys() {
  OTR_TRY_ASSIGN(auto session, new_key<crypto::PrivateKey>());
  OTR_TRY_ASSIGN(auto seal, new_key<crypto::X25519Key>());
  OTR_TRY_ASSIGN(auto receipt, new_key<crypto::Ed25519Key>());
  return Keys{std::move(session), std::move(seal), std::move(receipt)};
}

Result<std::unique_ptr<Enclave>> Enclave::create(EvidenceSource& tee, GpuEvidenceSource* gpus,
                                                 const EnclaveOptions& options) {
  OTR_TRY_ASSIGN(Keys keys, new_keys());
  OTR_TRY_ASSIGN(const CollectedEvidence probe, tee.collect({}));
  std::unique_ptr<Enclave> enclave(new Enclave(tee, std::move(keys)));
  protocol::Session& session = enclave->session_;
  const auto begin = static_cast<std::uint64_t>(options.not_before);
  session = {.key = enclave->keys_.session.address(),
             .seal_key = enclave->keys_.seal.public_key(),
             .receipt_key = enclave->keys_.receipt.public_key(),
             .operator_address = options.operator_address,
             .model_root = options.model_root,
             .spec_hash = machine::kSpecHash,
             .beacon = options.beacon,
             .epoch = options.epoch,
             .not_before = begin,
             .expiry = begin + options.lifetime_seconds};
  OTR_TRY_ASSIGN(session.runtime, runtime_of(probe));
  OTR_TRY_ASSIGN(enclave->gpus_, attest_gpus(gpus, session, options.ledger));
  enclave->collateral_ = options.collateral;
  enclave->ledger_ = options.ledger;
  enclave->id_ = protocol::session_id(session, options.ledger);
  enclave->signer_ = std::make_shared<const ClaimSigner>(ClaimSigner{
      .key = std::move(enclave->keys_.session), .session = enclave->id_, .ledger = options.ledger});
  OTR_TRY_ASSIGN(enclave->document_, enclave->fresh_document(Hash{}));
  OTR_TRY(protocol::check_session(enclave->document_, machine::kSpecHash));
  return enclave;
}

Result<protocol::SessionDocument> Enclave::fresh_document(const Hash& nonce) const {
  OTR_TRY_ASSIGN(const CollectedEvidence evidence, tee_.collect(protocol::report_data(id_, nonce)));
  protocol::SessionDocument document{.ledger = ledger_, .session = session_, .nonce = nonce};
  document.evidence.push_back({.name = evidence.kind, .data = evidence.report});
  for (const Bytes& certificate : evidence.extra) {
    document.evidence.push_back({.name = evidence.kind + " certificate", .data = certificate});
  }
  document.evidence.insert(document.evidence.end(), gpus_.begin(), gpus_.end());
  if (collateral_) {
    OTR_TRY_ASSIGN(const auto collateral, collateral_());
    document.evidence.insert(document.evidence.end(), collateral.begin(), collateral.end());
  }
  document.signature = signer_->key.sign(protocol::registration_digest(document));
  return document;
}

}  // namespace otr::node
