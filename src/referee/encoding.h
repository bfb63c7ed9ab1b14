// Openings, witnesses, answers and proofs as bytes (SPEC MTRC-3, MTRC-4, MTRC-5, REF-2, REF-4).
//
// Strict: one encoding for each value. A Decoder never allocates more than the bytes it was given
// could fill; its errors are kBadInput with MALFORMED, NOT_CANONICAL or LIMIT_EXCEEDED and name
// field and offset.
#ifndef OTR_REFEREE_ENCODING_H_
#define OTR_REFEREE_ENCODING_H_

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/reject.h"
#include "base/result.h"
#include "referee/adjudicate.h"
#include "referee/opening.h"

namespace otr::referee {

class Decoder {
 public:
  explicit Decoder(ByteView bytes) : rest_(bytes), size_(bytes.size()) {}

  template <std::integral T>
  Result<T> integer(std::string_view field) {
    OTR_TRY_ASSIGN(const ByteView bytes, take(sizeof(T), field));
    return load_le<T>(bytes.data());
  }
  Result<ByteView> take(std::uint64_t count, std::string_view field);
  // u8 count and the hashes.
  Result<std::vector<Hash>> hashes(std::string_view field);
  Result<Hash> hash(std::string_view field);
  // Nothing may follow.
  [[nodiscard]] Status end() const;

  [[nodiscard]] std::unexpected<Error> error(Reject code, std::string_view field,
                                             std::string_view what) const;

 private:
  ByteView rest_;
  std::size_t size_;
};

void append(Bytes& to, std::span<const Hash> hashes);  // u8 count; requires at most 255
void append(Bytes& to, const TreeId& tree);
void append(Bytes& to, const Opening& opening);
void append(Bytes& to, const Demand& demand);
void append(Bytes& to, const Witness& witness);  // requires at most kMaxOpenings
void append(Bytes& to, const Answer& answer);
void append(Bytes& to, const Proof& proof);

[[nodiscard]] Result<TreeId> decode_tree(Decoder& from);
[[nodiscard]] Result<Opening> decode_opening(Decoder& from);
[[nodiscard]] Result<Demand> decode_demand(Decoder& from);
[[nodiscard]] Result<Witness> decode_witness(Decoder& from);
[[nodiscard]] Result<Answer> decode_answer(Decoder& from);
[[nodiscard]] Result<Proof> decode_proof(Decoder& from);

}  // namespace otr::referee

#endif  // OTR_REFEREE_ENCODING_H_
