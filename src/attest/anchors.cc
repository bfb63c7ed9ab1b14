#include "attest/anchors.h"

#include "base/check.h"

// Defined in anchors.S.
#define OTR_ANCHOR(name) \
  extern "C" const std::uint8_t otr_anchor_##name[], otr_anchor_##name##_end[]
OTR_ANCHOR(intel_root);
OTR_ANCHOR(intel_signing_2018);
OTR_ANCHOR(intel_signing_2025);
OTR_ANCHOR(amd_ark_milan);
OTR_ANCHOR(amd_ask_milan);
OTR_ANCHOR(amd_asvk_milan);
OTR_ANCHOR(amd_ark_genoa);
OTR_ANCHOR(amd_ask_genoa);
OTR_ANCHOR(amd_asvk_genoa);
OTR_ANCHOR(amd_ark_turin);
OTR_ANCHOR(amd_ask_turin);
OTR_ANCHOR(amd_asvk_turin);
OTR_ANCHOR(nvidia_device);
OTR_ANCHOR(nvidia_rim);
OTR_ANCHOR(nvidia_nras_004);
OTR_ANCHOR(nitro_root);
#undef OTR_ANCHOR

namespace otr::attest {
namespace {

Certificate read(const std::uint8_t* begin, const std::uint8_t* end) {
  auto certificate = Certificate::from_der(ByteView(begin, end));
  OTR_CHECK(certificate.has_value());  // our own constant
  return *std::move(certificate);
}

#define OTR_READ(name) read(otr_anchor_##name, otr_anchor_##name##_end)
Anchors read_all() {
  return {.intel = {OTR_READ(intel_root)},
          .intel_intermediates = {OTR_READ(intel_signing_2018), OTR_READ(intel_signing_2025)},
          .amd = {{"Milan", OTR_READ(amd_ark_milan)},
                  {"Genoa", OTR_READ(amd_ark_genoa)},
                  {"Turin", OTR_READ(amd_ark_turin)}},
          .amd_intermediates = {OTR_READ(amd_ask_milan), OTR_READ(amd_asvk_milan),
                                OTR_READ(amd_ask_genoa), OTR_READ(amd_asvk_genoa),
                                OTR_READ(amd_ask_turin), OTR_READ(amd_asvk_turin)},
          .nvidia_device = {OTR_READ(nvidia_device)},
          .nvidia_rim = {OTR_READ(nvidia_rim)},
          .nvidia_nras = {OTR_READ(nvidia_nras_004)},
          .nitro = {OTR_READ(nitro_root)}};
}
#undef OTR_READ

}  // namespace

const Anchors& vendor_anchors() {
  static const Anchors anchors = read_all();
  return anchors;
}

}  // namespace otr::attest
