#include "attest/test_quotes.h"

#include <algorithm>

#include "attest/der.h"
#include "attest/encoding.h"
#include "base/check.h"
#include "crypto/sha256.h"

namespace otr::attest::test {
namespace {

constexpr std::string_view kSgx = "1.2.840.113741.1.13.1";
const std::string kZero48(96, '0');

template <class T>
void put(Bytes& body, std::size_t offset, const T& bytes) {
  std::ranges::copy(bytes, body.begin() + static_cast<std::ptrdiff_t>(offset));
}

Bytes td_body(const TdReport& td) {
  Bytes body(td.is_15 ? 648 : 584);
  put(body, 0, td.tee_tcb_svn);
  put(body, 16, td.mrseam);
  put(body, 64, td.mrsignerseam);
  store_le(&body[112], td.seam_attributes);
  store_le(&body[120], td.td_attributes);
  store_le(&body[128], td.xfam);
  put(body, 136, td.mrtd);
  put(body, 184, td.mrconfigid);
  put(body, 232, td.mrowner);
  put(body, 280, td.mrownerconfig);
  for (std::size_t i = 0; i < 4; ++i) put(body, 328 + 48 * i, td.rtmr[i]);
  put(body, 520, td.report_data);
  if (td.is_15) {
    put(body, 584, td.tee_tcb_svn2);
    put(body, 600, td.mrservicetd);
  }
  return body;
}

Bytes sgx_body(const SgxReport& report) {
  Bytes body(384);
  put(body, 0, report.cpu_svn);
  store_le(&body[16], report.misc_select);
  put(body, 48, report.attributes);
  put(body, 64, report.mrenclave);
  put(body, 128, report.mrsigner);
  store_le(&body[256], report.isv_prod_id);
  store_le(&body[258], report.isv_svn);
  put(body, 320, report.report_data);
  return body;
}

Bytes member(std::string_view number, Bytes value) {
  return sequence({oid(std::string(kSgx) + "." + std::string(number)), std::move(value)});
}

Json components(std::array<std::uint32_t, 16> values) {
  Json list = Json::array();
  for (const std::uint32_t value : values) list.push_back({{"svn", value}});
  return list;
}

Json with_advisories(Json level, const std::vector<std::string>& advisories) {
  if (!advisories.empty()) level["advisoryIDs"] = advisories;
  return level;
}

Json module(const char* id, Json levels) {
  return {{"id", id},
          {"mrsigner", kZero48},
          {"attributes", "0000000000000000"},
          {"attributesMask", "FFFFFFFFFFFFFFFF"},
          {"tcbLevels", std::move(levels)}};
}

std::string signed_text(const char* name, std::string_view text, const SigningKey& key) {
  return std::string("{\"") + name + "\":" + std::string(text) + ",\"signature\":\"" +
         to_plain_hex(key.sign(Digest::kSha256, as_bytes(text))) + "\"}";
}

}  // namespace

Bytes sgx_extension(const PlatformSpec& spec) {
  std::vector<Bytes> tcb;
  for (std::size_t i = 0; i < 16; ++i) {
    tcb.push_back(member("2." + std::to_string(i + 1), integer(spec.components[i])));
  }
  tcb.push_back(member("2.17", integer(spec.pce_svn)));
  const std::uint8_t yes[] = {0xff}, scalable[] = {1};
  return sequence(
      {member("1", octets(spec.ppid)), member("2", sequence(tcb)), member("3", octets(spec.pce_id)),
       member("4", octets(spec.fmspc)), member("5", tlv(kDerEnumerated, scalable)),
       member("6", octets(spec.platform_instance)),
       member("7", sequence({member("7.1", tlv(0x01, yes)), member("7.2", tlv(0x01, yes)),
                             member("7.3", tlv(0x01, yes))}))});
}

Intel Intel::make(const PlatformSpec& platform) {
  const Authority root = Authority::root("Intel SGX Root CA", KeyKind::kP256);
  const Authority ca = root.issue(
      {.subject = "Intel SGX PCK Platform CA", .serial = {0x11}, .ca = true, .path_length = 0},
      KeyKind::kP256);
  const Authority pck = ca.issue({.subject = "Intel SGX PCK Certificate",
                                  .serial = platform.serial,
                                  .not_before = platform.not_before,
                                  .not_after = platform.not_after,
                                  .extensions = {{std::string(kSgx), sgx_extension(platform)}}},
                                 KeyKind::kP256);
  const Authority signer =
      root.issue({.subject = "Intel SGX TCB Signing", .serial = {0x22}}, KeyKind::kP256);
  return {root, ca, pck, signer, SigningKey::make(KeyKind::kP256)};
}

QuoteSpec Intel::good(std::uint16_t version, Kind kind, std::uint16_t body_type) {
  QuoteSpec spec = {.version = version, .kind = kind, .body_type = body_type};
  spec.td.is_15 = version == 5 && body_type == 3;
  spec.td.tee_tcb_svn = {6, 1, 3};
  spec.td.tee_tcb_svn2 = {6, 1, 3};
  spec.td.td_attributes = std::uint64_t{1} << 28;
  spec.td.xfam = 0xe718;
  spec.td.mrtd.fill(0xa0);
  for (std::size_t i = 0; i < 4; ++i) {
    spec.td.rtmr[i].fill(static_cast<std::uint8_t>(0xb0 + i));
  }
  spec.td.report_data.fill(0x42);
  spec.enclave.attributes[0] = 0x05;
  spec.enclave.mrenclave.fill(0xe1);
  spec.enclave.mrsigner.fill(0xe2);
  spec.enclave.isv_prod_id = 7;
  spec.enclave.isv_svn = 3;
  spec.enclave.report_data.fill(0x42);
  spec.qe.attributes[0] = 0x15;  // bit 2 is outside the mask
  spec.qe.mrsigner.fill(0xdc);
  spec.qe.isv_prod_id = kind == Kind::kTdx ? 2 : 1;
  spec.qe.isv_svn = 4;
  return spec;
}

Bytes Intel::quote(const QuoteSpec& spec) const {
  Bytes quote;
  const bool tdx = spec.kind == Kind::kTdx;
  append_le(quote, spec.version);
  append_le(quote, std::uint16_t{2});
  append_le(quote, std::uint32_t{tdx ? 0x81U : 0U});
  append_le(quote, std::uint32_t{0});
  append(quote, Bytes{0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95,
                      0x7f, 0x06, 0x07});
  quote.resize(48);
  const Bytes body = tdx ? td_body(spec.td) : sgx_body(spec.enclave);
  if (spec.version == 5) {
    append_le(quote, spec.body_type);
    append_le(quote, static_cast<std::uint32_t>(body.size()));
  }
  append(quote, body);
  Bytes rest = attestation_key.sign(Digest::kSha256, quote);
  append(rest, attestation_key.point());
  SgxReport qe = spec.qe;
  const Hash bound = crypto::sha256({attestation_key.point(), spec.auth_data});
  std::ranges::copy(bound, qe.report_data.begin());
  Bytes certified = sgx_body(qe);
  append(certified, pck.key.sign(Digest::kSha256, sgx_body(qe)));
  append_le(certified, static_cast<std::uint16_t>(spec.auth_data.size()));
  append(certified, spec.auth_data);
  Bytes chain;
  if (spec.der_chain) {
    for (const Authority* one : {&root, &platform_ca, &pck}) append(chain, one->certificate.der());
  } else {
    append(chain, as_bytes(to_pem({pck.certificate, platform_ca.certificate, root.certificate})));
    chain.push_back(0);
  }
  append_le(certified, std::uint16_t{5});
  append_le(certified, static_cast<std::uint32_t>(chain.size()));
  append(certified, chain);
  if (spec.version > 3) {
    append_le(rest, std::uint16_t{6});
    append_le(rest, static_cast<std::uint32_t>(certified.size()));
  }
  append(rest, certified);
  append_le(quote, static_cast<std::uint32_t>(rest.size()));
  append(quote, rest);
  append(quote, spec.trailing);
  return quote;
}

Json platform_level(std::string_view status, std::uint32_t first_component,
                    std::uint32_t tdx_microcode, std::string_view date,
                    const std::vector<std::string>& advisories) {
  return with_advisories(
      {{"tcb",
        {{"sgxtcbcomponents", components({first_component, 5, 2, 2, 4, 1, 0, 5})},
         {"pcesvn", 13},
         {"tdxtcbcomponents", components({6, 0, tdx_microcode})}}},
       {"tcbDate", date},
       {"tcbStatus", status}},
      advisories);
}

Json isv_level(std::string_view status, std::uint32_t isv_svn, std::string_view date,
               const std::vector<std::string>& advisories) {
  return with_advisories({{"tcb", {{"isvsvn", isv_svn}}}, {"tcbDate", date}, {"tcbStatus", status}},
                         advisories);
}

Json Intel::tcb_info(Kind kind) {
  Json info = {{"id", kind == Kind::kTdx ? "TDX" : "SGX"},
               {"version", 3},
               {"issueDate", to_text(kTestNow - 86400)},
               {"nextUpdate", to_text(kTestNow + 29 * 86400)},
               {"fmspc", "90C06F000000"},
               {"pceId", "0000"},
               {"tcbType", 0},
               {"tcbEvaluationDataNumber", 18}};
  info["tcbLevels"] = {platform_level("UpToDate", 5, 3, "2025-11-12T00:00:00Z"),
                       platform_level("OutOfDate", 4, 2, "2025-05-14T00:00:00Z",
                                      {"INTEL-SA-00002", "INTEL-SA-00001"}),
                       platform_level("Revoked", 1, 1, "2024-05-14T00:00:00Z")};
  if (kind != Kind::kTdx) return info;
  info["tdxModule"] = {{"mrsigner", kZero48},
                       {"attributes", "0000000000000000"},
                       {"attributesMask", "FFFFFFFFFFFFFFFF"}};
  info["tdxModuleIdentities"] = {
      module("TDX_03", Json::array({isv_level("UpToDate", 3, "2025-11-12T00:00:00Z")})),
      module("TDX_01", {isv_level("UpToDate", 6, "2025-11-12T00:00:00Z"),
                        isv_level("OutOfDate", 4, "2025-05-14T00:00:00Z", {"INTEL-SA-00003"}),
                        isv_level("Revoked", 2, "2024-05-14T00:00:00Z")})};
  return info;
}

Json Intel::qe_identity(Kind kind) {
  const bool tdx = kind == Kind::kTdx;
  std::string mrsigner;
  for (int i = 0; i < 32; ++i) mrsigner += "DC";
  return {{"id", tdx ? "TD_QE" : "QE"},
          {"version", 2},
          {"issueDate", to_text(kTestNow - 2 * 86400)},
          {"nextUpdate", to_text(kTestNow + 28 * 86400)},
          {"tcbEvaluationDataNumber", 18},
          {"miscselect", "00000000"},
          {"miscselectMask", "FFFFFFFF"},
          {"attributes", "11000000000000000000000000000000"},
          {"attributesMask", "FBFFFFFFFFFFFFFF0000000000000000"},
          {"mrsigner", mrsigner},
          {"isvprodid", tdx ? 2 : 1},
          {"tcbLevels",
           {isv_level("UpToDate", 4, "2025-11-12T00:00:00Z"),
            isv_level("OutOfDate", 3, "2025-05-14T00:00:00Z", {"INTEL-SA-00004"}),
            isv_level("Revoked", 2, "2024-05-14T00:00:00Z")}}};
}

std::string Intel::signed_tcb_info(std::string_view text) const {
  return signed_text("tcbInfo", text, signer.key);
}
std::string Intel::signed_qe_identity(std::string_view text) const {
  return signed_text("enclaveIdentity", text, signer.key);
}

DcapCollateral Intel::collateral(Kind kind) const {
  return {.tcb_info = signed_tcb_info(tcb_info(kind).dump()),
          .qe_identity = signed_qe_identity(qe_identity(kind).dump()),
          .tcb_signing_chain = {signer.certificate, root.certificate},
          .pck_crl_chain = {platform_ca.certificate, root.certificate},
          .pck_crl = platform_ca.list({}),
          .root_crl = root.list({.next_update = kTestNow + 300 * 86400})};
}

Anchors Intel::anchors() const { return {.intel = {root.certificate}}; }

Policy good_policy() {
  const auto same = [](std::size_t size, std::uint8_t byte) {
    return AllowList{.values = {Bytes(size, byte)}};
  };
  Policy policy;
  const TcbPolicy tcb = {.min_evaluation_number = 18};
  policy.tdx = {.tcb = tcb,
                .mrtd = same(48, 0xa0),
                .rtmr0 = same(48, 0xb0),
                .rtmr1 = same(48, 0xb1),
                .rtmr2 = same(48, 0xb2),
                .rtmr3 = same(48, 0xb3),
                .mrconfigid = same(48, 0),
                .mrowner = same(48, 0),
                .mrownerconfig = same(48, 0)};
  policy.sgx = {.tcb = tcb,
                .mrenclave = same(32, 0xe1),
                .mrsigner = same(32, 0xe2),
                .isv_prod_id = {.values = {"7"}},
                .min_isv_svn = 3};
  return policy;
}

}  // namespace otr::attest::test
