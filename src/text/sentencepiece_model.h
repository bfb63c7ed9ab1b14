// The SentencePiece model file (a protobuf message), read and written strictly.
//
// The library checks some of its inputs by ending the process, and trusts others. So a stranger's
// file is read here, and the library is given only what this module writes.
#ifndef OTR_TEXT_SENTENCEPIECE_MODEL_H_
#define OTR_TEXT_SENTENCEPIECE_MODEL_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace otr::text {

// The values are those of the file format.
enum class PieceType : std::uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};
enum class PieceModel : std::uint8_t { kUnigram = 1, kBpe = 2 };

struct Piece {
  std::string text;              // not empty, UTF-8, at most 1024 bytes, no NUL
  std::uint32_t score_bits = 0;  // of a binary32: is_supported_score
  PieceType type = PieceType::kNormal;
};

struct SentencePieceModel {
  std::vector<Piece> pieces = {};  // index: id
  PieceModel model = PieceModel::kUnigram;
  bool byte_fallback = false;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  std::string bos_piece = "<s>";
  std::string eos_piece = "</s>";
};

inline constexpr std::size_t kMaxPieceBytes = 1024;

// Whether `bits` are a number of magnitude below 2^40.
[[nodiscard]] constexpr bool is_supported_score(std::uint32_t bits) {
  // An exponent field of 127 + 40 or more is 2^40 and up, infinite, or not a number.
  return (bits >> 23 & 0xFF) < 127 + 40;
}

// Refuses, by name, what is not supported: word and character models, normalization by a character
// map, white space as a suffix. Guarantees what the fields above promise, that pieces differ, that
// exactly one is unknown, and that byte pieces are complete where byte_fallback is set.
[[nodiscard]] Result<SentencePieceModel> parse_sentencepiece(std::string_view file);

[[nodiscard]] std::string serialize(const SentencePieceModel& model);

}  // namespace otr::text

#endif  // OTR_TEXT_SENTENCEPIECE_MODEL_H_
