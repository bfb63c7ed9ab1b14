#include "apps/attest_files.h"

#include <algorithm>
#include <filesystem>

#include "attest/anchors.h"
#include "attest/bundle_json.h"
#include "attest/encoding.h"
#include "attest/event_log.h"
#include "env/file.h"

namespace otr::apps {
namespace {

namespace fs = std::filesystem;

Result<std::vector<fs::path>> files_of(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return std::vector<fs::path>{path};
  std::vector<fs::path> files;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (at->is_regular_file(ignored) && !at->path().filename().string().starts_with('.')) {
      files.push_back(at->path());
    }
  }
  if (error) return fail(ErrorKind::kIo, path.string() + ": " + error.message());
  if (files.empty()) {
    return fail(ErrorKind::kUsage,
                path.string() + " is a folder without files (folders inside it are not read)");
  }
  std::ranges::sort(files);
  return files;
}

Json certificate_facts(const attest::Certificate& certificate) {
  return {{"subject", certificate.subject()},
          {"issuer", certificate.issuer()},
          {"serial", attest::to_plain_hex(certificate.serial())},
          {"not_before", attest::to_text(certificate.not_before())},
          {"not_after", attest::to_text(certificate.not_after())},
          {"ca", certificate.is_ca()},
          {"sha256", attest::to_plain_hex(certificate.fingerprint())}};
}

Json list_facts(const attest::RevocationList& list) {
  return {{"issuer", list.issuer()},
          {"this_update", attest::to_text(list.this_update())},
          {"next_update", attest::to_text(list.next_update())}};
}

Json rim_facts(const attest::Rim& rim) {
  return {{"id", rim.tag_id},
          {"version", rim.version},
          {"product", rim.product},
          {"platform_model", rim.platform_model},
          {"active_measurements", rim.measurements.size()},
          {"signer", rim.chain.empty() ? "" : rim.chain.front().subject()}};
}

// Intel's signed text, as it is; what is no JSON is shown as text.
Json document_facts(const std::string& text) {
  auto json = attest::parse_document(text, "document");
  return json ? std::move(*json) : Json(text);
}

void describe_collateral(Json& facts, const attest::Bundle& bundle) {
  const attest::DcapCollateral& dcap = bundle.dcap;
  if (!dcap.tcb_info.empty()) facts["tcb_info"] = document_facts(dcap.tcb_info);
  if (!dcap.qe_identity.empty()) facts["qe_identity"] = document_facts(dcap.qe_identity);
  if (dcap.pck_crl) facts["pck_revocation_list"] = list_facts(*dcap.pck_crl);
  if (dcap.root_crl) facts["root_revocation_list"] = list_facts(*dcap.root_crl);
  if (bundle.amd_crl) facts["amd_revocation_list"] = list_facts(*bundle.amd_crl);
  for (const attest::Certificate& one : bundle.certificates) {
    facts["certificates"].push_back(certificate_facts(one));
  }
  for (const attest::Rim& rim : bundle.rims) facts["reference_values"].push_back(rim_facts(rim));
  for (const attest::OcspResponse& one : bundle.ocsp) {
    facts["ocsp_answers"].push_back({{"this_update", attest::to_text(one.this_update())}});
  }
  if (!bundle.jwks.empty()) {
    const Json keys = document_facts(bundle.jwks);
    facts["key_set"] = {{"keys", keys.is_object() ? keys["keys"].size() : 0}};
  }
}

// One file by itself. The facts of evidence are those that its verifier collects; the verdict it
// comes to, without collateral and policy, is thrown away.
Json describe(const attest::Bundle& bundle) {
  const attest::Appraisal appraisal =
      attest::appraise(bundle, attest::Policy(), attest::Expected(), attest::vendor_anchors(), 0);
  Json facts = Json::object();
  for (std::size_t i = 0; i < appraisal.verdicts.size(); ++i) {
    const attest::Verdict& verdict = appraisal.verdicts[i];
    Json piece = verdict.facts;
    const attest::Check* format = verdict.checks.empty() ? nullptr : &verdict.checks.front();
    if (format != nullptr && format->outcome == attest::Outcome::kFail) {
      piece["unreadable"] = format->value;
    }
    facts["evidence"].push_back(
        {{"kind", attest::name_of(verdict.kind)}, {"name", appraisal.names[i]}, {"facts", piece}});
  }
  for (const attest::GpuItem& gpu : bundle.gpus) {
    for (const attest::Certificate& one : gpu.chain) {
      facts["gpu_certificates"].push_back(certificate_facts(one));
    }
  }
  for (const attest::Item& log : bundle.event_logs) {
    if (const auto events = attest::parse_event_log(as_text(log.bytes), log.name)) {
      facts["events"] = attest::event_facts(*events);
    }
  }
  describe_collateral(facts, bundle);
  return facts;
}

}  // namespace

Result<std::vector<attest::Item>> read_items(const std::vector<std::string>& paths) {
  std::vector<attest::Item> items;
  for (const std::string& path : paths) {
    OTR_TRY_ASSIGN(const std::vector<fs::path> files, files_of(path));
    for (const fs::path& file : files) {
      OTR_TRY_ASSIGN(Bytes bytes, env::read_file(file, attest::kMaxItemBytes));
      items.push_back({file.string(), std::move(bytes)});
      if (items.size() > attest::kMaxItems) {
        return fail(ErrorKind::kUsage, "there are more than 256 files");
      }
    }
  }
  return items;
}

Result<Json> describe_items(std::span<const attest::Item> items) {
  Json facts = Json::object();
  for (const attest::Item& item : items) {
    OTR_TRY_ASSIGN(const attest::Bundle bundle, attest::sort_items(std::span(&item, 1)));
    facts[item.name] = describe(bundle);
  }
  return facts;
}

}  // namespace otr::apps
