// What a worker says about an execution, and who signs it (SPEC CLAIM).
#ifndef OTR_PROTOCOL_CLAIM_H_
#define OTR_PROTOCOL_CLAIM_H_

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secp256k1.h"

namespace otr::protocol {

// "The model of the request, on the request, gives this trace."
struct Claim {
  Hash request_hash{};  // digest of the request
  Hash trace_root{};
  std::uint32_t prompt_count = 0;
  std::uint32_t out_count = 0;
  std::uint8_t finish_reason = 0;  // FinishReason
  // Zero where no session is registered and no ledger exists.
  Hash session{};
  std::uint64_t checkpoint = 0;
  Hash checkpoint_hash{};
};

// SPEC CLAIM-1 and CLAIM-3: hashStruct of EIP-712.
[[nodiscard]] Hash struct_hash(const Claim& claim);
[[nodiscard]] Hash countersignature_struct_hash(const Hash& claim_hash);

// SPEC CLAIM-1: what the session key signs.
[[nodiscard]] Hash digest_of(const Claim& claim, const Hash& ledger);

// SPEC CLAIM-3: what the operator's key signs, `claim_hash` being the digest of the claim.
[[nodiscard]] Hash countersignature_digest(const Hash& claim_hash, const Hash& ledger);

// That the key of `signer` signed `digest`; kReject with `code` otherwise.
[[nodiscard]] Status check_signer(const Hash& digest, const crypto::Signature& signature,
                                  const crypto::Address& signer, std::string_view code);

}  // namespace otr::protocol

#endif  // OTR_PROTOCOL_CLAIM_H_
