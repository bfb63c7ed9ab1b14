#include "protocol/attested_session.h"

#include <algorithm>
#include <vector>

#include "base/hex.h"

namespace otr::protocol {
namespace {

using attest::Bundle;

std::unexpected<Error> refused(std::string message) {
  return fail(ErrorKind::kReject, std::move(message), "EVIDENCE_REFUSED");
}

Status check_one_cpu(const Bundle& bundle) {
  const std::size_t count = bundle.quotes.size() + bundle.snp_reports.size() +
                            bundle.nitro_documents.size() + bundle.simulated_reports.size();
  if (count == 1) return {};
  return refused("A session has the evidence of exactly one CPU, this one has that of " +
                 std::to_string(count) + ".");
}

// SPEC SESS-4, of evidence that was parsed before.
Result<Hash> runtime_of(const Bundle& bundle) {
  if (!bundle.quotes.empty()) {
    OTR_TRY_ASSIGN(const attest::Quote quote, attest::parse_quote(bundle.quotes[0].bytes));
    if (quote.kind != attest::Kind::kTdx) return refused("An SGX quote is no evidence of a guest.");
    const attest::TdReport& td = quote.td;
    const std::array<ByteView, 5> registers = {td.mrtd, td.rtmr[0], td.rtmr[1], td.rtmr[2],
                                               td.rtmr[3]};
    return runtime_hash("tdx", registers);
  }
  if (!bundle.snp_reports.empty()) {
    OTR_TRY_ASSIGN(const auto report, attest::parse_snp_report(bundle.snp_reports[0].bytes));
    const std::array<ByteView, 2> registers = {report.measurement, report.host_data};
    return runtime_hash("sev-snp", registers);
  }
  if (!bundle.nitro_documents.empty()) {
    OTR_TRY_ASSIGN(const auto document, attest::parse_nitro(bundle.nitro_documents[0].bytes));
    std::vector<ByteView> registers;
    for (const unsigned i : {0U, 1U, 2U}) {
      const auto pcr = document.pcrs.find(i);
      registers.push_back(pcr == document.pcrs.end() ? ByteView() : ByteView(pcr->second));
    }
    return runtime_hash("nitro", registers);
  }
  OTR_TRY_ASSIGN(const auto report, attest::parse_simulated(bundle.simulated_reports[0].bytes));
  const std::array<ByteView, 1> registers = {report.measurement};
  return runtime_hash("simulated", registers);
}

Status check_runtime(const Bundle& bundle, const Session& session) {
  OTR_TRY_ASSIGN(const Hash runtime, runtime_of(bundle));
  if (runtime == session.runtime) return {};
  return refused("The session names the runtime " + to_hex(session.runtime) +
                 ", the evidence measures " + to_hex(runtime) + ".");
}

// SPEC SESS-3.
Status check_gpus(const Bundle& bundle, const SessionDocument& document) {
  if (bundle.gpus.size() > kMaxSessionGpus) return refused("A session has at most 16 GPUs.");
  std::vector<Bytes> reports;
  for (const attest::GpuItem& gpu : bundle.gpus) {
    OTR_TRY_ASSIGN(const auto report, attest::parse_gpu_report(gpu.report));
    const auto i = static_cast<std::uint32_t>(reports.size());
    if (report.nonce != gpu_nonce(document.session, document.ledger, i)) {
      return refused("The evidence of GPU " + std::to_string(i) +
                     " was not made for this session: it has another nonce.");
    }
    reports.push_back(gpu.report);
  }
  if (gpu_evidence_hash(reports) == document.session.gpu_evidence) return {};
  return refused("The session names other GPU evidence than the document holds.");
}

// AWS puts no report data of 64 bytes into its documents, but user data.
Status check_nitro(const Bundle& bundle, const std::array<std::uint8_t, 64>& bound) {
  if (bundle.nitro_documents.empty()) return {};
  OTR_TRY_ASSIGN(const auto document, attest::parse_nitro(bundle.nitro_documents[0].bytes));
  if (document.user_data && std::ranges::equal(*document.user_data, bound)) return {};
  return refused("The Nitro document's user data does not name this session.");
}

Status check_appraisal(const attest::Appraisal& appraisal) {
  if (appraisal.accepted()) return {};
  const attest::Check* failure = appraisal.failure();
  if (failure == nullptr) return refused("Some check of the evidence could not be made.");
  return refused((failure->code ? std::string(attest::name_of(*failure->code)) + ": " : "") +
                 failure->name + (failure->value.empty() ? "" : ": " + failure->value));
}

Status appraise_items(const SessionDocument& document, const attest::Policy& policy,
                      const attest::Anchors& anchors, attest::Time at, SessionVerdict& verdict) {
  std::vector<attest::Item> items;
  for (const EvidenceItem& item : document.evidence) items.push_back({item.name, item.data});
  const Result<Bundle> bundle = attest::sort_items(items);
  if (!bundle) return refused(bundle.error().message);
  OTR_TRY(check_one_cpu(*bundle));
  const auto bound = report_data(session_id(document.session, document.ledger), document.nonce);
  attest::Expected expected;
  if (bundle->nitro_documents.empty()) expected.report_data = Bytes(bound.begin(), bound.end());
  for (std::uint32_t i = 0; i < bundle->gpus.size() && i < kMaxSessionGpus; ++i) {
    const Hash nonce = gpu_nonce(document.session, document.ledger, i);
    expected.gpu_nonces.emplace_back(nonce.begin(), nonce.end());
  }
  verdict.appraisal = attest::appraise(*bundle, policy, expected, anchors, at);
  OTR_TRY(check_appraisal(verdict.appraisal));
  OTR_TRY(check_nitro(*bundle, bound));
  OTR_TRY(check_gpus(*bundle, document));
  return check_runtime(*bundle, document.session);
}

std::string description_of(const attest::Appraisal& appraisal) {
  std::string text;
  for (const attest::Verdict& verdict : appraisal.verdicts) {
    text += (text.empty() ? "" : ", ") + std::string(attest::name_of(verdict.kind));
    if (!verdict.assurance.empty()) text += " (" + verdict.assurance + ")";
  }
  return appraisal.hardware() ? text : text + ": SIMULATED, proves nothing about the machine";
}

}  // namespace

SessionVerdict appraise_session(const SessionDocument& document, const attest::Policy& policy,
                                const attest::Anchors& anchors, attest::Time at) {
  SessionVerdict verdict;
  const Status status = appraise_items(document, policy, anchors, at, verdict);
  if (!status) {
    verdict.error = {ErrorKind::kReject, status.error().message, "EVIDENCE_REFUSED"};
    return verdict;
  }
  verdict.hardware = verdict.appraisal.hardware();
  verdict.description = description_of(verdict.appraisal);
  return verdict;
}

}  // namespace otr::protocol
