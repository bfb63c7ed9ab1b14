// What a quote says, as JSON for reports.
#include "attest/dcap.h"
#include "attest/dcap_pck.h"
#include "base/hex.h"

namespace otr::attest {
namespace {

std::string number_hex(std::uint64_t value) {
  Bytes bytes(8);  // big-endian, as people write numbers
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(value >> (56 - 8 * i));
  return to_hex(bytes);
}

Json td_facts(const TdReport& td) {
  Json facts = {{"tee_tcb_svn", to_hex(td.tee_tcb_svn)},
                {"mrseam", to_hex(td.mrseam)},
                {"mrsignerseam", to_hex(td.mrsignerseam)},
                {"seam_attributes", number_hex(td.seam_attributes)},
                {"td_attributes", number_hex(td.td_attributes)},
                {"xfam", number_hex(td.xfam)},
                {"mrtd", to_hex(td.mrtd)},
                {"mrconfigid", to_hex(td.mrconfigid)},
                {"mrowner", to_hex(td.mrowner)},
                {"mrownerconfig", to_hex(td.mrownerconfig)},
                {"report_data", to_hex(td.report_data)}};
  for (std::size_t i = 0; i < td.rtmr.size(); ++i) {
    facts["rtmr" + std::to_string(i)] = to_hex(td.rtmr[i]);
  }
  if (td.is_15) {
    facts["tee_tcb_svn2"] = to_hex(td.tee_tcb_svn2);
    facts["mrservicetd"] = to_hex(td.mrservicetd);
  }
  return facts;
}

Json sgx_facts(const SgxReport& report) {
  return {{"cpu_svn", to_hex(report.cpu_svn)},
          {"misc_select", report.misc_select},
          {"attributes", to_hex(report.attributes)},
          {"mrenclave", to_hex(report.mrenclave)},
          {"mrsigner", to_hex(report.mrsigner)},
          {"isv_prod_id", report.isv_prod_id},
          {"isv_svn", report.isv_svn},
          {"report_data", to_hex(report.report_data)}};
}

Json pck_facts(const Certificate& leaf) {
  Json facts = {{"serial", to_hex(leaf.serial())},
                {"issuer", leaf.issuer()},
                {"not_before", to_text(leaf.not_before())},
                {"not_after", to_text(leaf.not_after())}};
  const auto info = read_pck(leaf);
  if (!info) return facts;
  facts["ppid"] = to_hex(info->ppid);
  facts["fmspc"] = to_hex(info->fmspc);
  facts["pce_id"] = to_hex(info->pce_id);
  facts["pce_svn"] = info->pce_svn;
  facts["components"] = info->components;
  facts["sgx_type"] = info->sgx_type;
  if (!info->platform_instance.empty()) {
    facts["platform_instance"] = to_hex(info->platform_instance);
  }
  if (info->dynamic_platform) facts["dynamic_platform"] = *info->dynamic_platform;
  if (info->cached_keys) facts["cached_keys"] = *info->cached_keys;
  if (info->smt) facts["smt"] = *info->smt;
  return facts;
}

}  // namespace

Json quote_facts(const Quote& quote) {
  Json facts = quote.kind == Kind::kTdx ? td_facts(quote.td) : sgx_facts(quote.enclave);
  facts["quote_version"] = quote.version;
  facts["qe_vendor_id"] = to_hex(quote.qe_vendor_id);
  facts["user_data"] = to_hex(quote.user_data);
  facts["attestation_key"] = to_hex(quote.attestation_key);
  facts["qe"] = sgx_facts(quote.qe);
  facts["trailing_bytes"] = quote.trailing_bytes;
  if (!quote.pck_chain.empty()) facts["pck"] = pck_facts(quote.pck_chain.front());
  return facts;
}

}  // namespace otr::attest
