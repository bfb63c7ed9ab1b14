// What came in pieces is joined: reports with their chains, Intel's items with those that issued
// them. A join is a proposal by names and keys; the verifiers check everything again.
#include <algorithm>

#include "attest/bundle_sort.h"
#include "attest/encoding.h"

namespace otr::attest {
namespace {

bool has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

bool is_vendor(const Certificate& certificate, std::string_view name) {
  return has(certificate.subject(), name) || has(certificate.issuer(), name);
}

// A chain of an NVIDIA device, or one that belongs to none of the other vendors, as tests make it.
bool is_device_chain(const CertificateGroup& group) {
  return std::ranges::all_of(group.certificates, [](const Certificate& one) {
    return !is_vendor(one, "Intel") && !is_vendor(one, "Advanced Micro Devices") &&
           !is_vendor(one, "Amazon") && !is_vendor(one, "CoRIM") &&
           !is_vendor(one, "Reference Value");
  });
}

bool is_nvidia(const CertificateGroup& group) {
  return std::ranges::any_of(group.certificates,
                             [](const Certificate& one) { return is_vendor(one, "NVIDIA"); });
}

// A root alone is an anchor that somebody gave along, no chain.
bool is_root_alone(const CertificateGroup& group) {
  return group.certificates.size() == 1 &&
         group.certificates[0].subject() == group.certificates[0].issuer();
}

bool signed_by(const GpuItem& gpu, const CertificateGroup& group) {
  const auto report = parse_gpu_report(gpu.report);
  return report && group.certificates.front().key().verify_ecdsa(Digest::kSha384,
                                                                 report->signed_part, report->r_s);
}

// The chain whose leaf signed `document`, a body of Intel's service; the first where none did.
std::vector<Certificate> signing_chain(const std::vector<std::vector<Certificate>>& chains,
                                       const std::string& document) {
  if (chains.empty()) return {};
  if (chains.size() == 1 || document.empty()) return chains.front();
  const auto value = parse_document(document, "document");
  if (!value) return chains.front();
  for (const auto& [key, part] : written(document, *value).parts()) {
    const auto signature = value->find("signature");
    if (!part.value->is_object() || signature == value->end() || !signature->is_string()) continue;
    const auto r_s = from_plain_hex(signature->get_ref<const std::string&>());
    for (const auto& chain : chains) {
      if (r_s && chain.front().key().verify_ecdsa(Digest::kSha256, as_bytes(part.text), *r_s)) {
        return chain;
      }
    }
  }
  return chains.front();
}

std::unexpected<Error> too_many(std::string_view what) {
  return fail(ErrorKind::kBadInput,
              "there are more than " + std::to_string(kMaxPieces) + " " + std::string(what),
              "MALFORMED");
}

}  // namespace

Status Sorter::join_gpus() {
  std::vector<const CertificateGroup*> chains;
  for (const bool nvidia : {true, false}) {
    for (const CertificateGroup& group : groups_) {
      if (!is_device_chain(group) || is_root_alone(group)) continue;
      if (nvidia ? is_nvidia(group) : chains.empty()) chains.push_back(&group);
    }
  }
  std::vector<GpuItem*> without;
  for (GpuItem& gpu : bundle_.gpus) {
    if (gpu.chain.empty()) without.push_back(&gpu);
  }
  if (without.size() * chains.size() > kMaxPieces) {  // each is a signature to be tried
    return fail(ErrorKind::kBadInput,
                "there are too many GPU reports apart from their chains; give each report with its "
                "own chain",
                "MALFORMED");
  }
  if (without.size() > 1 || chains.size() > 1) {
    std::erase_if(without, [&](GpuItem* gpu) {
      const auto chain = std::ranges::find_if(
          chains, [&](const CertificateGroup* one) { return signed_by(*gpu, *one); });
      if (chain == chains.end()) return false;
      gpu->chain = (*chain)->certificates;
      chains.erase(chain);
      return true;
    });
  }
  if (without.empty() || chains.empty()) return {};  // the verifier says that a chain is missing
  if (without.size() > 1 || chains.size() > 1) {
    std::string found;
    for (const CertificateGroup* chain : chains) found += (found.empty() ? "" : ", ") + chain->name;
    return fail(ErrorKind::kBadInput,
                "there are " + std::to_string(without.size()) +
                    " GPU reports (first: " + without.front()->name + ") and " +
                    std::to_string(chains.size()) + " chains that signed none of them (" + found +
                    "); give each report with its own chain",
                "MALFORMED");
  }
  without.front()->chain = chains.front()->certificates;
  return {};
}

void Sorter::join_intel() {
  std::vector<std::vector<Certificate>> signing;
  for (const Certificate& one : bundle_.certificates) {
    if (has(one.subject_common_name(), "TCB Sign")) {
      signing.push_back(chain_from(one, bundle_.certificates));
    }
  }
  bundle_.dcap.tcb_signing_chain = signing_chain(signing, bundle_.dcap.tcb_info);
  if (signing.size() > 1) {
    bundle_.dcap.qe_identity_chain = signing_chain(signing, bundle_.dcap.qe_identity);
  }
  if (!bundle_.dcap.pck_crl) return;
  for (const Certificate& one : bundle_.certificates) {
    if (one.subject() == bundle_.dcap.pck_crl->issuer() && bundle_.dcap.pck_crl_chain.empty()) {
      bundle_.dcap.pck_crl_chain = chain_from(one, bundle_.certificates);
    }
  }
}

Status Sorter::join_lists() {
  // Intel has one list for each of two CAs: the one of the first quote's PCK certificate is meant.
  std::string pck_issuer;
  if (!bundle_.quotes.empty()) {
    const auto quote = parse_quote(bundle_.quotes.front().bytes);
    if (quote && !quote->pck_chain.empty()) pck_issuer = quote->pck_chain.front().issuer();
  }
  for (RevocationList& list : lists_) {
    const std::string issuer = list.issuer();
    std::optional<RevocationList>* to = nullptr;
    if (has(issuer, "PCK")) {
      to = &bundle_.dcap.pck_crl;
      const bool better = *to && (*to)->issuer() != pck_issuer && issuer == pck_issuer;
      const bool worse = *to && (*to)->issuer() == pck_issuer && issuer != pck_issuer;
      if (better) to->reset();
      if (worse) continue;
    } else if (has(issuer, "ARK-") || has(issuer, "Advanced Micro Devices")) {
      to = &bundle_.amd_crl;
    } else if (has(issuer, "Root CA")) {
      to = &bundle_.dcap.root_crl;
    } else {
      return fail(ErrorKind::kBadInput,
                  "a revocation list is of " + issuer +
                      ", which issues none of Intel's or AMD's certificates",
                  "UNSUPPORTED");
    }
    if (*to && (*to)->this_update() >= list.this_update()) continue;  // the newest counts
    *to = std::move(list);
  }
  return {};
}

Result<Bundle> Sorter::finish() {
  for (const CertificateGroup& group : groups_) {
    for (const Certificate& one : group.certificates) {
      if (std::ranges::find(bundle_.certificates, one) != bundle_.certificates.end()) continue;
      if (bundle_.certificates.size() == kMaxPieces) return too_many("certificates");
      bundle_.certificates.push_back(one);
    }
  }
  for (const auto* list : {&bundle_.quotes, &bundle_.snp_reports, &bundle_.nitro_documents,
                           &bundle_.simulated_reports, &bundle_.nras_tokens, &bundle_.event_logs}) {
    if (list->size() > kMaxPieces) return too_many("pieces of evidence");
  }
  if (bundle_.gpus.size() > kMaxPieces) return too_many("GPU reports");
  if (bundle_.rims.size() > kMaxPieces) return too_many("reference values");
  if (bundle_.ocsp.size() > kMaxPieces) return too_many("OCSP answers");
  OTR_TRY(join_gpus());
  OTR_TRY(join_lists());
  join_intel();
  return std::move(bundle_);
}

Result<Bundle> sort_items(std::span<const Item> items) {
  if (items.size() > kMaxItems) {
    return fail(ErrorKind::kBadInput, "there are more than 256 files", "MALFORMED");
  }
  Sorter sorter;
  const auto readable = [](Error error) {
    error.message = one_line(error.message);  // it may quote what was read
    return std::unexpected(std::move(error));
  };
  for (const Item& item : items) {
    if (Status status = sorter.add(item); !status) return readable(std::move(status).error());
  }
  auto bundle = sorter.finish();
  if (!bundle) return readable(std::move(bundle).error());
  return bundle;
}

}  // namespace otr::attest
