// The verifier of a whole pass (SPEC 18.4 to 18.7): it sees bytes, the model and the request, and
// nothing else.
#ifndef OTR_ZK_VERIFY_H_
#define OTR_ZK_VERIFY_H_

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "zk/argument.h"
#include "zk/evaluate.h"
#include "zk/rows.h"
#include "zk/transcript.h"

namespace otr::zk {

inline constexpr int kLookupGrindBits = 16;

// What the transcript is bound to (SPEC PS-1).
struct Statement {
  Hash spec_hash{}, model_root{}, request_digest{}, claim_digest{}, trace_root{};
  std::array<std::uint8_t, 20> signer{};
  Hash beacon{};
  std::uint32_t n_prompt = 0, n_out = 0;

  Bytes bytes() const;
};

// The three parts of a proof beside the receipt (SPEC PS-8).
struct ProofParts {
  ByteView rows, scalars, argument;
};

// Whether the parts prove the statement for the job. That the rows give the statement's trace root,
// and that receipt, request and model belong to it, is the caller's to check.
// Errors: kReject with MALFORMED or PROOF_INVALID.
[[nodiscard]] Status verify_pass(const Statement& statement, const Job& job,
                                 const ProofParts& parts);

// The last step of verify_pass: the argument's bytes, given rows that are computed and a transcript
// that has absorbed what they come from.
[[nodiscard]] Status verify_argument(Transcript& transcript, const Job& job,
                                     const PublicRows& publics, ByteView bytes);

// --- Shared with the prover ----------------------------------------------------------------------

// The transcript up to the commitment (SPEC PS-7).
[[nodiscard]] Transcript open_transcript(const Statement& statement, ByteView rows,
                                         ByteView scalars);
// Where a domain's sumcheck starts: r of its leaves as points of its dimensions.
[[nodiscard]] DimPoints split_point(const Circuit& circuit, const Dims& dims,
                                    std::span<const Ext> point);
// The summand of a domain without its factors eq and mask, as one polynomial (SPEC PR-2): monomials
// with their coefficients in K.
struct KTerm {
  Ext coefficient;
  std::vector<ColumnId> factors;
};
struct DomainChallenges {
  Ext alpha, beta, theta;
};
[[nodiscard]] std::vector<KTerm> domain_summand(const Circuit& circuit, std::size_t domain,
                                                std::span<const Ext> weights,
                                                const DomainChallenges& challenges);

}  // namespace otr::zk

#endif  // OTR_ZK_VERIFY_H_
