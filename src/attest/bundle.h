// Files of any kind in, sorted into evidence and collateral by what they are (SPEC ATT-4): the one
// door for `otr attest verify` and for sessions.
//
// A kind is found by content, never by name: quotes, SNP reports, GPU reports (raw, hexadecimal or
// base64), COSE, certificates and lists in DER or PEM, TCB info and QE identity documents,
// collateral objects of PCCS clients, RIM XML, OCSP answers, NRAS answers and key sets, JSON
// documents that hold evidence of several kinds. What is none of these is an error that names it.
#ifndef OTR_ATTEST_BUNDLE_H_
#define OTR_ATTEST_BUNDLE_H_

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "attest/dcap.h"
#include "attest/nitro.h"
#include "attest/nras.h"
#include "attest/nvidia.h"
#include "attest/policy.h"
#include "attest/simulated.h"
#include "attest/snp.h"
#include "attest/verdict.h"
#include "attest/verified_cache.h"

namespace otr::attest {

inline constexpr std::size_t kMaxItemBytes = std::size_t{4} << 20;
inline constexpr std::size_t kMaxItems = 256;
// Of one kind of evidence, and of loose certificates: joins compare each with each.
inline constexpr std::size_t kMaxPieces = 1024;

struct Item {
  std::string name;  // for errors and reports: a file's name
  Bytes bytes;
};

// A report of one GPU or switch, with the chain that came with it.
struct GpuItem {
  std::string name;
  Bytes report;
  std::vector<Certificate> chain;
  std::optional<Bytes> stated_nonce;  // what the JSON beside it says
};

// A document that ties CPU and GPU evidence together (attest/composite.h).
struct Binding {
  std::string format;
  Json report_data;  // its stated inputs
  // Exact bytes that were hashed; empty where there are none.
  std::string gpu_evidence_text, switch_evidence_text;
};

struct Bundle {
  std::vector<Item> quotes, snp_reports, nitro_documents, simulated_reports;
  std::vector<GpuItem> gpus;
  std::vector<Item> nras_tokens;
  std::vector<Certificate> certificates;  // loose ones, in order of appearance
  DcapCollateral dcap;
  std::optional<RevocationList> amd_crl;
  std::vector<Rim> rims;
  std::vector<OcspResponse> ocsp;
  std::string jwks;
  std::optional<Binding> binding;
  std::vector<Item> event_logs;
};

// kBadInput, with the item's name: MALFORMED where something known is broken or there twice in
// different forms, UNSUPPORTED where it is nothing known.
[[nodiscard]] Result<Bundle> sort_items(std::span<const Item> items);

struct Appraisal {
  std::vector<Verdict> verdicts;   // one for each piece of evidence
  std::vector<std::string> names;  // where each piece came from
  // Checks of the whole: binding, number of devices, no device twice, logs, collateral of no use.
  std::vector<Check> composite;
  Json facts = Json::object();  // of the whole: keys that are bound, events
  // What even an accepted verdict leaves open, a sentence each; for people.
  std::vector<std::string> not_proven;

  [[nodiscard]] bool accepted() const;         // every piece, and nothing failed of the whole
  [[nodiscard]] bool hardware() const;         // of every piece, and there is one
  [[nodiscard]] const Check* failure() const;  // the first that failed
};

// Parse, verify and appraise everything; never fails, because what is bad is in the verdicts. No
// evidence at all is a failed check. `cache` may remember signatures from one call to the next.
[[nodiscard]] Appraisal appraise(const Bundle& bundle, const Policy& policy,
                                 const Expected& expected, const Anchors& anchors, Time at,
                                 VerifiedCache* cache = nullptr);

}  // namespace otr::attest

#endif  // OTR_ATTEST_BUNDLE_H_
