// Multilinear extensions over boxes (SPEC PF-2) and the verifier's half of a sumcheck (SPEC PF-5).
#ifndef OTR_ZK_MLE_H_
#define OTR_ZK_MLE_H_

#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "zk/field.h"
#include "zk/transcript.h"

namespace otr::zk {

using Point = std::vector<Ext>;  // lowest bit first

// The refusal of a proof: code PROOF_INVALID.
[[nodiscard]] std::unexpected<Error> reject_proof(std::string message);

// Bits of a dimension of n >= 1 indices.
constexpr int bits_of(std::uint64_t n) { return static_cast<int>(std::bit_width(n - 1)); }

// eq(a, b) of two points of one size.
[[nodiscard]] Ext eq(std::span<const Ext> a, std::span<const Ext> b);
// eq(a, x) for an index of a.size() bits.
[[nodiscard]] Ext eq_at(std::span<const Ext> a, std::uint64_t x);
// eq(a, x) for all x < n, n <= 2^a.size().
[[nodiscard]] std::vector<Ext> eq_table(std::span<const Ext> a, std::size_t n);
// Σ of eq(a, x)·eq(b, x) over x < n: the extension at b of eq(a, ·) cut off at n.
[[nodiscard]] Ext eq_prefix(std::span<const Ext> a, std::span<const Ext> b, std::uint64_t n);

// The value at x of the polynomial of degree values.size() - 1 with these values at 0, 1, 2, ….
[[nodiscard]] Ext interpolate(std::span<const Ext> values, Ext x);

// One sumcheck as the proof holds it: for each variable g(0), g(2), …, g(degree).
struct Sumcheck {
  std::vector<Ext> messages;
};

// SPEC PF-5. Runs the rounds: returns the point and leaves in `claim` what f must be there. `proof`
// must hold exactly degree·variables messages, else PROOF_INVALID; degree >= 1.
[[nodiscard]] Result<Point> check_sumcheck(Transcript& transcript, const Sumcheck& proof,
                                           std::size_t variables, std::size_t degree, Ext& claim);

}  // namespace otr::zk

#endif  // OTR_ZK_MLE_H_
