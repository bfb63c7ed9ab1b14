#include "protocol/claim.h"

#include "base/hex.h"
#include "protocol/eip712.h"

namespace otr::protocol {
namespace {

constexpr std::string_view kClaimType =
    "Claim(bytes32 requestHash,bytes32 traceRoot,uint32 promptCount,uint32 outCount,"
    "uint8 finishReason,bytes32 session,uint64 checkpoint,bytes32 checkpointHash)";
constexpr std::string_view kCountersignatureType = "Countersignature(bytes32 claimHash)";

}  // namespace

Hash struct_hash(const Claim& claim) {
  return StructHasher(kClaimType)
      .word(claim.request_hash)
      .word(claim.trace_root)
      .number(claim.prompt_count)
      .number(claim.out_count)
      .number(claim.finish_reason)
      .word(claim.session)
      .number(claim.checkpoint)
      .word(claim.checkpoint_hash)
      .finish();
}

Hash digest_of(const Claim& claim, const Hash& ledger) {
  return signing_digest(ledger, struct_hash(claim));
}

Hash countersignature_struct_hash(const Hash& claim_hash) {
  return StructHasher(kCountersignatureType).word(claim_hash).finish();
}

Hash countersignature_digest(const Hash& claim_hash, const Hash& ledger) {
  return signing_digest(ledger, countersignature_struct_hash(claim_hash));
}

Status check_signer(const Hash& digest, const crypto::Signature& signature,
                    const crypto::Address& signer, std::string_view code) {
  const Result<crypto::Address> recovered = crypto::recover(digest, signature);
  if (!recovered) return fail(ErrorKind::kReject, recovered.error().message, std::string(code));
  if (*recovered == signer) return {};
  return fail(ErrorKind::kReject,
              "The signature was made by " + to_hex(*recovered) + ", not by " + to_hex(signer) +
                  ", or over something else.",
              std::string(code));
}

}  // namespace otr::protocol
