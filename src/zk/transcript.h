// The Fiat-Shamir transcript (SPEC PF-3): all that the prover says is hashed before the verifier
// answers, and both sides run this one class.
#ifndef OTR_ZK_TRANSCRIPT_H_
#define OTR_ZK_TRANSCRIPT_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "zk/field.h"

namespace otr::zk {

// What a message is (SPEC PF-3). The numbers are hashed.
enum class Label : std::uint32_t {
  kSumcheck = 1,
  kRootFraction = 2,
  kLayer = 3,
  kStatement = 4,
  kScalars = 5,
  kCommitment = 6,
  kGrind = 7,
  kDomainSums = 8,
  kColumnValues = 9,
  kFactorValues = 10,
  kOpened = 11,
  kCombined = 12,
};

class Transcript {
 public:
  explicit Transcript(ByteView id);
  void absorb(Label label, ByteView bytes);
  void absorb(Label label, std::span<const Ext> elements);
  [[nodiscard]] Ext challenge();
  [[nodiscard]] std::vector<Ext> challenges(std::size_t count);
  // The state after the next challenge, as bits for the choice of places (SPEC PO-3).
  [[nodiscard]] Hash challenge_bytes();

  // SPEC PF-4. check_grind absorbs the nonce; grind finds one and absorbs it.
  [[nodiscard]] bool check_grind(std::uint64_t nonce, int bits);
  [[nodiscard]] std::uint64_t grind(int bits);

 private:
  Hash state_;
};

}  // namespace otr::zk

#endif  // OTR_ZK_TRANSCRIPT_H_
