// The judgement of a bundle: every piece through parse, verify and appraise, then the whole.
#include <algorithm>
#include <map>
#include <utility>

#include "attest/bundle.h"
#include "attest/composite.h"

namespace otr::attest {
namespace {

class Judge {
 public:
  Judge(const Bundle& bundle, const Policy& policy, const Expected& expected,
        const Anchors& anchors, Time at, VerifiedCache* cache)
      : bundle_(bundle),
        policy_(policy),
        expected_(expected),
        anchors_(anchors),
        at_(at),
        cache_(cache != nullptr ? cache : &own_cache_) {}

  Appraisal run();

 private:
  void judge_quote(const Item& item);
  void judge_snp(const Item& item);
  void judge_nitro(const Item& item);
  void judge_simulated(const Item& item);
  void judge_gpu(const GpuItem& item, std::size_t index);
  void judge_nras(const Item& item);
  void judge_whole();
  void check_required(Checks& checks) const;
  void check_loose_rims(Checks& checks) const;
  void name_unused(Checks& checks) const;
  // What CPU evidence is held against: where a document explains the report data, the nonce is in
  // its hash, and check_binding looks at it there.
  [[nodiscard]] Expected expected_of_cpu() const;
  Verdict& begin(Kind kind, const std::string& name);
  // No verdict ends without a reason: a verifier that found nothing has said why, or this does.
  static void close(Verdict& verdict);

  const Bundle& bundle_;
  const Policy& policy_;
  const Expected& expected_;
  const Anchors& anchors_;
  const Time at_;
  VerifiedCache own_cache_;  // pieces of one bundle share chains and responders
  VerifiedCache* cache_;
  Appraisal appraisal_;
  std::vector<Quote> quotes_;
  std::vector<CpuPiece> cpus_;
  std::vector<GpuPiece> gpus_;
  std::vector<TokenPiece> tokens_;
};

constexpr std::string_view kFormat = "format";

// A parser's answer as the first check of a verdict.
template <class T>
bool check_parsed(Verdict& verdict, const Result<T>& parsed) {
  Checks checks(verdict, Stage::kParse);
  if (parsed) {
    checks.pass(kFormat, "read to its last byte");
    return true;
  }
  return checks.fail(code_named(parsed.error().code).value_or(Code::kMalformed), kFormat,
                     parsed.error().message);
}

template <class Array>
Bytes bytes_of(const Array& array) {
  return Bytes(array.begin(), array.end());
}

// VBIOS versions are written in either case.
bool same_version(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return lower(x) == lower(y);
  });
}

Expected Judge::expected_of_cpu() const {
  Expected expected = expected_;
  if (bundle_.binding) expected.nonce.reset();
  return expected;
}

Verdict& Judge::begin(Kind kind, const std::string& name) {
  appraisal_.names.push_back(name);
  Verdict& verdict = appraisal_.verdicts.emplace_back();
  verdict.kind = kind;
  return verdict;
}

void Judge::close(Verdict& verdict) {
  const auto is_open = [](const Check& check) { return check.outcome == Outcome::kNotChecked; };
  if (!verdict.accepted() && verdict.failure() == nullptr &&
      std::ranges::none_of(verdict.checks, is_open)) {
    Checks(verdict, Stage::kAppraise)
        .fail(Code::kPolicyRefused, "appraisal", "this evidence was not appraised");
  }
  if (!verdict.accepted()) verdict.assurance.clear();
}

void Judge::judge_quote(const Item& item) {
  const bool sgx = item.bytes.size() > 8 && load_le<std::uint32_t>(item.bytes.data() + 4) == 0;
  Verdict& verdict = begin(sgx ? Kind::kSgx : Kind::kTdx, item.name);
  const auto quote = parse_quote(item.bytes);
  if (check_parsed(verdict, quote)) {
    verdict.kind = quote->kind;
    const auto found = verify_quote(verdict, *quote, bundle_.dcap, anchors_, at_);
    if (found) appraise_quote(verdict, *quote, *found, policy_, expected_of_cpu(), at_);
    quotes_.push_back(*quote);
    const bool tdx = quote->kind == Kind::kTdx;
    cpus_.push_back({item.name, bytes_of(tdx ? quote->td.report_data : quote->enclave.report_data),
                     tdx ? &quotes_.back() : nullptr});
  }
  close(verdict);
}

void Judge::judge_snp(const Item& item) {
  Verdict& verdict = begin(Kind::kSevSnp, item.name);
  const auto report = parse_snp_report(item.bytes);
  if (check_parsed(verdict, report)) {
    const auto found =
        verify_snp(verdict, *report, {.certificates = bundle_.certificates, .crl = bundle_.amd_crl},
                   anchors_, at_);
    if (found) appraise_snp(verdict, *report, *found, policy_, expected_of_cpu());
    cpus_.push_back({item.name, bytes_of(report->report_data)});
  }
  close(verdict);
}

void Judge::judge_nitro(const Item& item) {
  Verdict& verdict = begin(Kind::kNitro, item.name);
  const auto document = parse_nitro(item.bytes);
  if (check_parsed(verdict, document)) {
    if (verify_nitro(verdict, *document, anchors_.nitro, at_)) {
      appraise_nitro(verdict, *document, policy_, expected_of_cpu());
    }
    cpus_.push_back({item.name, document->user_data.value_or(Bytes())});
  }
  close(verdict);
}

void Judge::judge_simulated(const Item& item) {
  Verdict& verdict = begin(Kind::kSimulated, item.name);
  const auto report = parse_simulated(item.bytes);
  if (check_parsed(verdict, report)) {
    verify_simulated(verdict, *report, at_);
    if (verdict.failure() == nullptr) {
      appraise_simulated(verdict, *report, policy_, expected_of_cpu());
    }
    cpus_.push_back({item.name, bytes_of(report->report_data)});
  }
  close(verdict);
}

void Judge::judge_gpu(const GpuItem& item, std::size_t index) {
  Verdict& verdict = begin(Kind::kNvidiaGpu, item.name);
  auto report = parse_gpu_report(item.report);
  if (check_parsed(verdict, report)) {
    if (report->is_switch) verdict.kind = Kind::kNvidiaSwitch;
    const auto& table = report->is_switch ? policy_.nvswitch : policy_.gpu;
    const GpuPolicy none = {.require_rims = false, .require_ocsp = false};
    auto found = verify_gpu(verdict, *report,
                            {.chain = item.chain, .rims = bundle_.rims, .ocsp = bundle_.ocsp},
                            anchors_, table ? *table : none, at_, cache_);
    Expected expected = expected_;
    if (!expected_.gpu_nonces.empty()) {
      expected.nonce = index < expected_.gpu_nonces.size() ? expected_.gpu_nonces[index] : Bytes();
    }
    if (!table) {
      Checks(verdict, Stage::kAppraise)
          .fail(Code::kPolicyRefused, "policy speaks of this kind of evidence",
                std::string("the policy has no table ") +
                    (report->is_switch ? "[nvidia_switch]" : "[nvidia]"));
    } else if (found) {
      appraise_gpu(verdict, *report, *found, *table, expected);
    }
    gpus_.push_back({item.name, std::move(*report), std::move(found), item.stated_nonce});
  }
  close(verdict);
}

void Judge::judge_nras(const Item& item) {
  Verdict& verdict = begin(Kind::kNrasToken, item.name);
  const auto token = parse_nras(as_text(item.bytes));
  if (check_parsed(verdict, token)) {
    const std::vector<Hash> none;
    verify_nras(verdict, *token, bundle_.jwks, anchors_.nvidia_nras,
                policy_.nras ? policy_.nras->roots : none, at_);
    if (!policy_.nras) {
      Checks(verdict, Stage::kAppraise)
          .fail(Code::kPolicyRefused, "policy speaks of this kind of evidence",
                "the policy has no table [nras]");
    } else if (verdict.failure() == nullptr) {
      appraise_nras(verdict, *token, *policy_.nras, expected_, at_);
    }
    tokens_.push_back({item.name, token->nonce(), token->ueids()});
  }
  close(verdict);
}

void Judge::name_unused(Checks& checks) const {
  constexpr std::string_view kUnused = "given, but of no use here";
  const bool dcap = !bundle_.dcap.tcb_info.empty() || !bundle_.dcap.qe_identity.empty() ||
                    bundle_.dcap.pck_crl || bundle_.dcap.root_crl;
  if (dcap && bundle_.quotes.empty()) {
    checks.not_applicable(kUnused, "Intel collateral: there is no quote");
  }
  if (bundle_.amd_crl && bundle_.snp_reports.empty()) {
    checks.not_applicable(kUnused, "a revocation list of AMD: there is no SNP report");
  }
  if (bundle_.gpus.empty() && !bundle_.rims.empty()) {
    checks.not_applicable(
        kUnused, "reference values (" + bundle_.rims.front().tag_id + "): there is no GPU report");
  }
  if (bundle_.gpus.empty() && !bundle_.ocsp.empty()) {
    checks.not_applicable(kUnused, "OCSP answers: there is no GPU report");
  }
  if (!bundle_.jwks.empty() && bundle_.nras_tokens.empty()) {
    checks.not_applicable(kUnused, "a key set: there is no NRAS token");
  }
  for (const Rim& rim : bundle_.rims) {
    const bool used = std::ranges::any_of(gpus_, [&](const GpuPiece& gpu) {
      return same_version(rim.version, gpu.report.driver_version) ||
             same_version(rim.version, gpu.report.vbios_version);
    });
    if (!used && !bundle_.gpus.empty()) {
      checks.not_applicable(kUnused, "reference values of version " + rim.version);
    }
  }
}

// Reference values without a report are about nothing, but whether they are genuine can be said.
void Judge::check_loose_rims(Checks& checks) const {
  if (!bundle_.gpus.empty()) return;
  for (const Rim& rim : bundle_.rims) {
    verify_rim(checks, "RIM of version " + rim.version + " of " + rim.product, rim,
               anchors_.nvidia_rim, at_, cache_);
  }
}

void Judge::check_required(Checks& checks) const {
  static const std::map<std::string_view, Kind> kTables = {{"tdx", Kind::kTdx},
                                                           {"sgx", Kind::kSgx},
                                                           {"snp", Kind::kSevSnp},
                                                           {"nvidia", Kind::kNvidiaGpu},
                                                           {"nvidia_switch", Kind::kNvidiaSwitch},
                                                           {"nras", Kind::kNrasToken},
                                                           {"nitro", Kind::kNitro},
                                                           {"simulated", Kind::kSimulated}};
  for (const std::string& table : policy_.required) {
    const auto kind = kTables.find(table);
    const bool there = kind != kTables.end() &&
                       std::ranges::find(appraisal_.verdicts, kind->second, &Verdict::kind) !=
                           appraisal_.verdicts.end();
    checks.require(there, Code::kPolicyRefused, "the evidence that the policy requires is there",
                   there ? table : "there is none of kind '" + table + "'");
  }
}

void Judge::judge_whole() {
  Verdict whole;
  Checks checks(whole, Stage::kAppraise);
  check_loose_rims(checks);
  if (appraisal_.verdicts.empty()) {
    checks.fail(Code::kCollateralMissing, "there is evidence",
                "only certificates, lists or reference values were given: no quote, report or "
                "token that they could be about");
  }
  check_required(checks);
  check_devices(checks, gpus_, policy_);
  const auto protected_pcie = [](const GpuPiece& piece) {
    return !piece.report.is_switch && piece.report.mode() == "protected-pcie";
  };
  std::vector<GpuReport> gpus, switches;
  for (const GpuPiece& piece : gpus_) {
    (piece.report.is_switch ? switches : gpus).push_back(piece.report);
  }
  if (!switches.empty() && std::ranges::any_of(gpus_, protected_pcie)) {
    check_topology(checks, gpus, switches);
  }
  const Pieces pieces{.cpus = cpus_, .gpus = gpus_, .tokens = tokens_};
  check_binding(checks, bundle_.binding, pieces, expected_);
  check_event_logs(checks, bundle_.event_logs, cpus_, appraisal_.facts);
  if (bundle_.binding) appraisal_.facts["binding"] = bundle_.binding->report_data;
  name_unused(checks);
  appraisal_.not_proven =
      left_open(appraisal_.verdicts, bundle_.binding, pieces, policy_, expected_);
  appraisal_.composite = std::move(whole.checks);
}

Appraisal Judge::run() {
  quotes_.reserve(bundle_.quotes.size());  // cpus_ points into it
  for (const Item& item : bundle_.quotes) judge_quote(item);
  for (const Item& item : bundle_.snp_reports) judge_snp(item);
  for (const Item& item : bundle_.nitro_documents) judge_nitro(item);
  for (const Item& item : bundle_.simulated_reports) judge_simulated(item);
  for (std::size_t i = 0; i < bundle_.gpus.size(); ++i) judge_gpu(bundle_.gpus[i], i);
  for (const Item& item : bundle_.nras_tokens) judge_nras(item);
  judge_whole();
  return std::move(appraisal_);
}

}  // namespace

bool Appraisal::accepted() const {
  const auto is_bad = [](const Check& check) {
    return check.outcome == Outcome::kFail || check.outcome == Outcome::kNotChecked;
  };
  return !verdicts.empty() && std::ranges::all_of(verdicts, &Verdict::accepted) &&
         std::ranges::none_of(composite, is_bad);
}

bool Appraisal::hardware() const {
  return !verdicts.empty() && std::ranges::all_of(verdicts, &Verdict::hardware);
}

const Check* Appraisal::failure() const {
  for (const Verdict& verdict : verdicts) {
    if (const Check* check = verdict.failure()) return check;
  }
  return first_failure(composite);
}

Appraisal appraise(const Bundle& bundle, const Policy& policy, const Expected& expected,
                   const Anchors& anchors, Time at, VerifiedCache* cache) {
  return Judge(bundle, policy, expected, anchors, at, cache).run();
}

}  // namespace otr::attest
