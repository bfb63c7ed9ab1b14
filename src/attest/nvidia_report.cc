// The bytes of SPDM 1.1 GET_MEASUREMENTS and MEASUREMENTS as NVIDIA's devices send them.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "attest/nvidia.h"

namespace otr::attest {
namespace {

constexpr std::size_t kNonceAt = 4, kNonceBytes = 32, kSignatureBytes = 96;
constexpr std::size_t kBlocksAt = 45, kBlockBytes = 55, kValueBytes = 48;
constexpr std::uint8_t kSpdm11 = 0x11, kGetMeasurements = 0xE0, kMeasurements = 0x60;
constexpr std::uint8_t kSignatureRequested = 1, kAllMeasurements = 0xFF, kDmtf = 1;
constexpr std::size_t kMaxReportBytes = 16384, kMaxOpaqueFields = 64;

std::unexpected<Error> bad(std::size_t offset, std::string what,
                           std::string_view code = "MALFORMED") {
  return fail(ErrorKind::kBadInput,
              "the GPU report " + std::move(what) + " (offset " + std::to_string(offset) + ")",
              std::string(code));
}

std::string number(std::size_t value) { return std::to_string(value); }

// What must stand at a fixed place, whatever was measured.
Status check_fixed(ByteView bytes) {
  struct Fixed {
    std::size_t at;
    std::uint8_t value;
    std::string_view name, code;
  };
  constexpr std::array<Fixed, 9> kFixed = {{
      {0, kSpdm11, "SPDM version of the request", "UNSUPPORTED"},
      {1, kGetMeasurements, "request code", "MALFORMED"},
      {2, kSignatureRequested, "request for a signature", "UNSUPPORTED"},
      {3, kAllMeasurements, "request for all measurements", "UNSUPPORTED"},
      {36, 0, "slot of the certificate chain", "UNSUPPORTED"},
      {37, kSpdm11, "SPDM version of the response", "UNSUPPORTED"},
      {38, kMeasurements, "response code", "MALFORMED"},
      {39, 0, "first parameter of the response", "UNSUPPORTED"},
      {40, 0, "second parameter of the response", "UNSUPPORTED"},
  }};
  for (const Fixed& fixed : kFixed) {
    if (bytes[fixed.at] != fixed.value) {
      return bad(fixed.at,
                 "has " + number(bytes[fixed.at]) + " as " + std::string(fixed.name) + ", not " +
                     number(fixed.value),
                 fixed.code);
    }
  }
  return {};
}

// The measurement record; returns where it ends.
Result<std::size_t> parse_blocks(ByteView bytes, GpuReport& report) {
  const std::size_t count = bytes[41];
  const std::size_t length = bytes[42] | static_cast<std::size_t>(bytes[43]) << 8 |
                             static_cast<std::size_t>(bytes[44]) << 16;
  if (count == 0 || length != count * kBlockBytes) {
    return bad(42, "states " + number(length) + " bytes of measurements for " + number(count) +
                       " blocks of 55");
  }
  if (bytes.size() - kBlocksAt < length) return bad(bytes.size(), "ends inside its measurements");
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = kBlocksAt + i * kBlockBytes;
    const std::uint8_t* block = bytes.data() + at;
    const unsigned index = block[0];
    if (index == 0) return bad(at, "has a measurement block of index 0");
    if (block[1] != kDmtf || load_le<std::uint16_t>(block + 2) != kValueBytes + 3 ||
        load_le<std::uint16_t>(block + 5) != kValueBytes) {
      return bad(at, "has a measurement block of another format than DMTF with 48 bytes");
    }
    Bytes value(block + 7, block + kBlockBytes);
    if (!report.measurements.emplace(index, std::move(value)).second) {
      return bad(at, "has measurement " + number(index) + " twice");
    }
    report.value_types[index] = block[4];
  }
  return kBlocksAt + length;
}

Status parse_opaque(ByteView opaque, std::size_t offset, GpuReport& report) {
  std::size_t at = 0;
  while (at < opaque.size()) {
    if (opaque.size() - at < 4) return bad(offset + at, "has an opaque field without a header");
    const auto type = load_le<std::uint16_t>(opaque.data() + at);
    const std::size_t size = load_le<std::uint16_t>(opaque.data() + at + 2);
    if (opaque.size() - at - 4 < size) {
      return bad(offset + at, "has opaque field " + number(type) + " beyond the opaque data");
    }
    if (report.field(type) != nullptr) {
      return bad(offset + at, "has opaque field " + number(type) + " twice");
    }
    if (report.opaque.size() == kMaxOpaqueFields) {
      return bad(offset + at, "has more than 64 opaque fields");
    }
    const ByteView value = opaque.subspan(at + 4, size);
    report.opaque.emplace_back(type, Bytes(value.begin(), value.end()));
    at += 4 + size;
  }
  return {};
}

// Printable ASCII, NULs at the end dropped; empty if it holds anything else.
std::string ascii(ByteView bytes) {
  while (!bytes.empty() && bytes.back() == 0) bytes = bytes.first(bytes.size() - 1);
  const bool printable =
      std::ranges::all_of(bytes, [](std::uint8_t b) { return b > 0x20 && b < 0x7F; });
  return printable ? std::string(as_text(bytes)) : std::string();
}

// "96.00.9F.00.01": the first four bytes are a little-endian word, most significant byte first.
std::string vbios_of_gpu(ByteView bytes) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string text;
  for (const std::size_t i : {3, 2, 1, 0, 4}) {
    if (!text.empty()) text += '.';
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

Status parse_versions(GpuReport& report, std::size_t opaque_at) {
  const Bytes* vbios = report.field(GpuReport::kVbiosVersion);
  const Bytes* driver = report.field(GpuReport::kDriverVersion);
  report.is_switch = driver == nullptr;
  if (vbios == nullptr) return bad(opaque_at, "does not state a VBIOS version (opaque field 6)");
  if (report.is_switch) {
    report.vbios_version = ascii(*vbios);
  } else {
    report.driver_version = ascii(*driver);
    if (report.driver_version.empty()) {
      return bad(opaque_at, "states a driver version that is no text (opaque field 3)");
    }
    if (vbios->size() != 8) {
      return bad(opaque_at, "states a VBIOS version of " + number(vbios->size()) +
                                " bytes, not 8 (opaque field 6)");
    }
    report.vbios_version = vbios_of_gpu(*vbios);
  }
  if (report.vbios_version.empty()) {
    return bad(opaque_at, "states a BIOS version that is no text (opaque field 6)");
  }
  return {};
}

}  // namespace

const Bytes* GpuReport::field(std::uint16_t type) const {
  const auto found = std::ranges::find(opaque, type, &std::pair<std::uint16_t, Bytes>::first);
  return found == opaque.end() ? nullptr : &found->second;
}

std::string GpuReport::text(std::uint16_t type) const {
  const Bytes* value = field(type);
  return value == nullptr ? std::string() : ascii(*value);
}

std::string GpuReport::mode() const {
  constexpr std::uint8_t kOn = 0xAA, kOff = 0x55;
  constexpr std::array<std::string_view, 3> kModes = {"single", "multi-passthrough",
                                                      "protected-pcie"};
  if (is_switch) return {};
  const Bytes* status = field(kProtectedPcie);
  const Bytes* flag = field(kFeatureFlag);
  const bool on = status != nullptr && *status == Bytes{kOn};
  const bool known = status == nullptr || on || *status == Bytes{kOff};
  if (flag == nullptr) return known ? (on ? "protected-pcie" : "single") : "contradictory";
  if (!known || flag->size() != 2 || (*flag)[1] != 0 || (*flag)[0] >= kModes.size()) {
    return "contradictory";
  }
  const std::string_view named = kModes[(*flag)[0]];
  return status != nullptr && on != (named == "protected-pcie") ? "contradictory"
                                                                : std::string(named);
}

Result<GpuReport> parse_gpu_report(ByteView bytes) {
  if (bytes.size() < kBlocksAt) return bad(bytes.size(), "ends inside its header");
  if (bytes.size() > kMaxReportBytes) return bad(kMaxReportBytes, "is longer than 16 KiB");
  OTR_TRY(check_fixed(bytes));
  GpuReport report;
  std::copy_n(bytes.begin() + kNonceAt, kNonceBytes, report.nonce.begin());
  OTR_TRY_ASSIGN(std::size_t at, parse_blocks(bytes, report));
  if (bytes.size() - at < kNonceBytes + 2) {
    return bad(bytes.size(), "ends inside the nonce of the response");
  }
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), kNonceBytes,
              report.responder_nonce.begin());
  at += kNonceBytes;
  const std::size_t opaque_size = load_le<std::uint16_t>(bytes.data() + at);
  at += 2;
  if (bytes.size() - at < opaque_size) return bad(bytes.size(), "ends inside its opaque data");
  OTR_TRY(parse_opaque(bytes.subspan(at, opaque_size), at, report));
  OTR_TRY(parse_versions(report, at));
  at += opaque_size;
  if (bytes.size() - at != kSignatureBytes) {
    return bad(at, "has " + number(bytes.size() - at) +
                       " bytes after its opaque data, where a signature of 96 bytes must end it");
  }
  report.signed_part.assign(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
  std::ranges::copy(bytes.subspan(at), report.r_s.begin());
  return report;
}

}  // namespace otr::attest
