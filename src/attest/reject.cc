#include "attest/reject.h"

namespace otr::attest {
namespace {

constexpr std::array<std::string_view, 29> kNames = {"MALFORMED",
                                                     "UNSUPPORTED",
                                                     "NONCE_MISMATCH",
                                                     "CHAIN_INVALID",
                                                     "ANCHOR_UNKNOWN",
                                                     "TIME_INVALID",
                                                     "REVOKED",
                                                     "REVOCATION_UNKNOWN",
                                                     "SIGNATURE_INVALID",
                                                     "KEY_LINK_INVALID",
                                                     "COLLATERAL_INVALID",
                                                     "COLLATERAL_MISSING",
                                                     "COLLATERAL_ROLLBACK",
                                                     "IDENTITY_MISMATCH",
                                                     "TCB_UNSUPPORTED",
                                                     "TCB_REFUSED",
                                                     "REFERENCE_MISSING",
                                                     "REFERENCE_INVALID",
                                                     "VERSION_MISMATCH",
                                                     "MEASUREMENT_MISMATCH",
                                                     "DEBUG",
                                                     "POLICY_REFUSED",
                                                     "BINDING_MISMATCH",
                                                     "DEVICE_REFUSED",
                                                     "SIMULATED",
                                                     "TOKEN_INVALID",
                                                     "MIGRATABLE",
                                                     "TAMPERED",
                                                     "TOKEN_KEY_UNKNOWN"};
static_assert(kNames.size() == std::to_underlying(Code::kTokenKeyUnknown) - 100);

}  // namespace

std::string_view name_of(Code code) { return kNames[std::to_underlying(code) - 101]; }

std::optional<Code> code_named(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Code>(101 + i);
  }
  return std::nullopt;
}

}  // namespace otr::attest
