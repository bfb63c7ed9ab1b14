#include "attest/bundle_kind.h"

#include <algorithm>
#include <array>

#include "attest/encoding.h"
#include "attest/simulated.h"

namespace otr::attest {
namespace {

constexpr std::size_t kSnpBytes = 1184;
// Intel's vendor id in the header of its quotes, at offset 12.
constexpr std::array<std::uint8_t, 16> kIntelQe = {0x93, 0x9A, 0x72, 0x33, 0xF7, 0x9C, 0x4C, 0xA9,
                                                   0x94, 0x0A, 0x0D, 0xB3, 0x95, 0x7F, 0x06, 0x07};

// Version, type of key, type of TEE; or the vendor id.
bool is_quote(ByteView bytes) {
  if (bytes.size() < 48) return false;
  if (std::ranges::equal(bytes.subspan(12, kIntelQe.size()), kIntelQe)) return true;
  const auto tee = load_le<std::uint32_t>(bytes.data() + 4);
  const auto key = load_le<std::uint16_t>(bytes.data() + 2);
  return bytes[0] >= 3 && bytes[0] < 16 && bytes[1] == 0 && key >= 1 && key < 8 &&
         (tee == 0 || tee == 0x81);
}

// Size, or version, VMPL and algorithm of a report that was cut or lengthened.
bool is_snp(ByteView bytes) {
  if (bytes.size() == kSnpBytes) return true;
  if (bytes.size() < 0x38) return false;
  const auto version = load_le<std::uint32_t>(bytes.data());
  return version >= 1 && version < 16 && load_le<std::uint32_t>(bytes.data() + 0x30) < 4 &&
         load_le<std::uint32_t>(bytes.data() + 0x34) == 1;
}

// A request GET_MEASUREMENTS of SPDM 1.x, or the answer MEASUREMENTS after 37 bytes of request.
bool is_gpu(ByteView bytes) {
  if (bytes.size() < 2) return false;
  if (bytes[0] >= 0x10 && bytes[0] < 0x14 && bytes[1] == 0xE0) return true;
  return bytes.size() > 39 && bytes[37] == 0x11 && bytes[38] == 0x60;
}

// An array of four, with or without the tag of COSE_Sign1, that begins with a short byte string.
bool is_cose(ByteView bytes) {
  if (bytes.size() > 1 && bytes[0] == 0xD2) bytes = bytes.subspan(1);
  return bytes.size() > 2 && bytes[0] == 0x84 && bytes[1] >> 5 == 2 && bytes[2] >> 5 == 5;
}

bool is_text(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    const auto byte = static_cast<std::uint8_t>(c);
    return (byte >= 0x20 && byte != 0x7F) || c == '\t' || c == '\r' || c == '\n';
  });
}

}  // namespace

Form form_of(ByteView bytes) {
  if (as_text(bytes).starts_with(kSimulatedMagic.substr(0, 6))) return Form::kSimulated;
  if (as_text(bytes).starts_with("HCLA")) return Form::kAzureHcl;
  std::string_view text = as_text(bytes);
  while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
  if (is_text(text)) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
    if (text.starts_with('{') || text.starts_with('[')) return Form::kJson;
    if (text.starts_with('<')) return Form::kXml;
    if (text.find("-----BEGIN") != text.npos) return Form::kPem;
    return text.empty() ? Form::kUnknown : Form::kText;
  }
  if (is_quote(bytes)) return Form::kQuote;
  if (is_gpu(bytes)) return Form::kGpu;
  if (is_cose(bytes)) return Form::kNitro;
  if (is_snp(bytes)) return Form::kSnp;
  if (bytes.size() > 2 && bytes[0] == 0x30 && (bytes[1] & 0x80) != 0) return Form::kDer;
  return Form::kUnknown;
}

std::optional<Bytes> decode_text(std::string_view text) {
  while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
  const std::string packed = without_space(text);
  const std::string_view digits =
      packed.starts_with("0x") ? std::string_view(packed).substr(2) : packed;
  if (digits.empty()) return std::nullopt;
  if (auto bytes = from_plain_hex(digits)) return bytes;
  if (auto bytes = from_base64(packed)) return bytes;
  return from_base64url(packed);
}

std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto byte =
        text[at] == '%' ? from_plain_hex(text.substr(at + 1, 2)) : std::optional<Bytes>();
    if (byte && byte->size() == 1) {
      decoded += static_cast<char>(byte->front());
      at += 2;
    } else {
      decoded += text[at];
    }
  }
  return decoded;
}

}  // namespace otr::attest
