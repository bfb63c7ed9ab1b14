#include "attest/snp.h"

#include <algorithm>
#include <string_view>

#include "attest/encoding.h"

namespace otr::attest {
namespace {

constexpr std::size_t kReportBytes = 1184, kSignedBytes = 0x2a0, kScalarBytes = 72;
constexpr std::size_t kP384Bytes = 48;

std::unexpected<Error> malformed(std::size_t offset, std::string_view field, std::string_view why) {
  return fail(ErrorKind::kBadInput,
              "SNP report, offset " + std::to_string(offset) + ", " + std::string(field) + ": " +
                  std::string(why),
              "MALFORMED");
}

Status expect_zero(ByteView bytes, std::size_t from, std::size_t to, std::string_view field) {
  for (std::size_t at = from; at < to; ++at) {
    if (bytes[at] != 0) return malformed(at, field, "it must be zero");
  }
  return {};
}

// What is reserved in the signed part depends on the version: 3 gave bytes to the processor's
// family, 5 to the mitigation vectors. Bits of platform_info and policy that have no name yet are
// left to appraisal, because newer firmware gives them one without a new version.
Status check_reserved(ByteView bytes, std::uint32_t version) {
  if ((load_le<std::uint32_t>(bytes.data() + 0x48) & ~std::uint32_t{0x1f}) != 0) {
    return malformed(0x48, "key flags", "reserved bits are set");
  }
  OTR_TRY(expect_zero(bytes, 0x4c, 0x50, "reserved area"));
  OTR_TRY(expect_zero(bytes, version >= 3 ? 0x18b : 0x188, 0x1a0, "reserved area"));
  OTR_TRY(expect_zero(bytes, 0x1eb, 0x1ec, "reserved area"));
  OTR_TRY(expect_zero(bytes, 0x1ef, 0x1f0, "reserved area"));
  return expect_zero(bytes, version >= 5 ? 0x208 : 0x1f8, kSignedBytes, "reserved area");
}

// r and s stand little-endian in 72 bytes each, of which P-384 fills 48.
Status parse_signature(ByteView bytes, SnpReport& report) {
  for (std::size_t scalar = 0; scalar < 2; ++scalar) {
    const std::size_t at = kSignedBytes + scalar * kScalarBytes;
    OTR_TRY(expect_zero(bytes, at + kP384Bytes, at + kScalarBytes,
                        scalar == 0 ? "end of the signature's r" : "end of the signature's s"));
    std::reverse_copy(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                      bytes.begin() + static_cast<std::ptrdiff_t>(at + kP384Bytes),
                      report.r_s.begin() + static_cast<std::ptrdiff_t>(scalar * kP384Bytes));
  }
  return expect_zero(bytes, kSignedBytes + 2 * kScalarBytes, kReportBytes, "end of the signature");
}

template <std::size_t kSize>
void copy_field(ByteView bytes, std::size_t at, std::array<std::uint8_t, kSize>& to) {
  std::ranges::copy(bytes.subspan(at, kSize), to.begin());
}

}  // namespace

Result<SnpReport> parse_snp_report(ByteView bytes) {
  if (bytes.size() != kReportBytes) {
    return malformed(std::min(bytes.size(), kReportBytes), "length",
                     "a report has 1184 bytes, these are " + std::to_string(bytes.size()));
  }
  const auto u32 = [&](std::size_t at) { return load_le<std::uint32_t>(bytes.data() + at); };
  const auto u64 = [&](std::size_t at) { return load_le<std::uint64_t>(bytes.data() + at); };
  SnpReport report{.version = u32(0),
                   .guest_svn = u32(4),
                   .vmpl = u32(0x30),
                   .signature_algorithm = u32(0x34),
                   .key_flags = u32(0x48),
                   .policy = u64(8),
                   .platform_info = u64(0x40),
                   .current_tcb = u64(0x38),
                   .reported_tcb = u64(0x180),
                   .committed_tcb = u64(0x1e0),
                   .launch_tcb = u64(0x1f0)};
  if (report.version < 2 || report.version > 5) {
    return fail(ErrorKind::kBadInput,
                "SNP report, offset 0, version: " + std::to_string(report.version) +
                    " is not one of 2 to 5, which are known here",
                "UNSUPPORTED");
  }
  if (report.signature_algorithm != 1) {
    return fail(ErrorKind::kBadInput,
                "SNP report, offset 52, signature algorithm: " +
                    std::to_string(report.signature_algorithm) +
                    " is not 1, ECDSA over P-384 with SHA-384",
                "UNSUPPORTED");
  }
  OTR_TRY(check_reserved(bytes, report.version));
  OTR_TRY(parse_signature(bytes, report));
  copy_field(bytes, 0x10, report.family_id);
  copy_field(bytes, 0x20, report.image_id);
  copy_field(bytes, 0x50, report.report_data);
  copy_field(bytes, 0x90, report.measurement);
  copy_field(bytes, 0xc0, report.host_data);
  copy_field(bytes, 0xe0, report.id_key_digest);
  copy_field(bytes, 0x110, report.author_key_digest);
  copy_field(bytes, 0x140, report.report_id);
  copy_field(bytes, 0x160, report.report_id_ma);
  copy_field(bytes, 0x1a0, report.chip_id);
  if (report.version >= 3) {
    report.cpu_family = bytes[0x188];
    report.cpu_model = bytes[0x189];
    report.cpu_stepping = bytes[0x18a];
  }
  report.current_firmware = {bytes[0x1ea], bytes[0x1e9], bytes[0x1e8]};
  report.committed_firmware = {bytes[0x1ee], bytes[0x1ed], bytes[0x1ec]};
  if (report.version >= 5) {
    report.launch_mitigations = u64(0x1f8);
    report.current_mitigations = u64(0x200);
  }
  report.signed_part.assign(bytes.begin(), bytes.begin() + kSignedBytes);
  return report;
}

Json snp_facts(const SnpReport& report) {
  const auto version = [](const std::array<std::uint8_t, 3>& firmware) {
    return std::to_string(firmware[0]) + "." + std::to_string(firmware[1]) + "." +
           std::to_string(firmware[2]);
  };
  const auto number = [](std::uint64_t value) {
    Bytes bytes(sizeof value);
    store_le(bytes.data(), value);
    std::ranges::reverse(bytes);
    return "0x" + to_plain_hex(bytes);
  };
  Json facts = {{"report_version", report.version},
                {"guest_svn", report.guest_svn},
                {"policy", number(report.policy)},
                {"platform_info", number(report.platform_info)},
                {"vmpl", report.vmpl},
                {"key_flags", report.key_flags},
                {"family_id", to_plain_hex(report.family_id)},
                {"image_id", to_plain_hex(report.image_id)},
                {"report_data", to_plain_hex(report.report_data)},
                {"measurement", to_plain_hex(report.measurement)},
                {"host_data", to_plain_hex(report.host_data)},
                {"id_key_digest", to_plain_hex(report.id_key_digest)},
                {"author_key_digest", to_plain_hex(report.author_key_digest)},
                {"report_id", to_plain_hex(report.report_id)},
                {"migration_agent_report_id", to_plain_hex(report.report_id_ma)},
                {"chip_id", to_plain_hex(report.chip_id)},
                {"current_tcb", number(report.current_tcb)},
                {"reported_tcb", number(report.reported_tcb)},
                {"committed_tcb", number(report.committed_tcb)},
                {"launch_tcb", number(report.launch_tcb)},
                {"current_firmware", version(report.current_firmware)},
                {"committed_firmware", version(report.committed_firmware)}};
  if (report.cpu_family) {
    facts["cpu"] = "family " + std::to_string(*report.cpu_family) + ", model " +
                   std::to_string(*report.cpu_model) + ", stepping " +
                   std::to_string(*report.cpu_stepping);
  }
  if (report.current_mitigations) {
    facts["launch_mitigations"] = number(*report.launch_mitigations);
    facts["current_mitigations"] = number(*report.current_mitigations);
  }
  return facts;
}

}  // namespace otr::attest
