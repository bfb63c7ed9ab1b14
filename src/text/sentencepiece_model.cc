#include "text/sentencepiece_model.h"

#include <bitset>
#include <set>

#include "base/bytes.h"
#include "text/encoder.h"
#include "text/utf8.h"

namespace otr::text {
namespace {

// Field numbers of sentencepiece_model.proto.
enum ModelField : std::uint32_t { kPieces = 1, kTrainer = 2, kNormalizer = 3, kDenormalizer = 5 };
enum PieceField : std::uint32_t { kText = 1, kScore = 2, kType = 3 };
enum TrainerField : std::uint32_t {
  kModelType = 3,
  kSuffixSpaces = 24,
  kByteFallback = 35,
  kBosPiece = 46,
  kEosPiece = 47,
};
enum NormalizerField : std::uint32_t {
  kCharacterMap = 2,
  kDummyPrefix = 3,
  kRemoveSpaces = 4,
  kEscapeSpaces = 5,
};

enum class Wire : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  std::uint32_t number;
  Wire wire;
  std::uint64_t value;     // kVarint, kFixed32
  std::string_view bytes;  // kBytes
};

std::unexpected<Error> bad(std::string message) {
  return fail(ErrorKind::kBadInput, "SentencePiece model: " + std::move(message));
}

// Reads the fields of one message.
class Reader {
 public:
  // `file` is only for the offset in errors; `message` lies within it.
  Reader(std::string_view file, std::string_view message) : file_(file), rest_(message) {}

  [[nodiscard]] bool done() const { return rest_.empty(); }

  Result<Field> next() {
    OTR_TRY_ASSIGN(const std::uint64_t key, varint());
    const auto wire = static_cast<Wire>(key & 7);
    if (key >> 3 == 0 || key >> 3 > 0x1FFFFFFF) return cut_off();
    Field field{static_cast<std::uint32_t>(key >> 3), wire, 0, {}};
    switch (wire) {
      case Wire::kVarint: {
        OTR_TRY_ASSIGN(field.value, varint());
        return field;
      }
      case Wire::kBytes: {
        OTR_TRY_ASSIGN(const std::uint64_t size, varint());
        OTR_TRY_ASSIGN(field.bytes, take(size));
        return field;
      }
      case Wire::kFixed32: {
        OTR_TRY_ASSIGN(const std::string_view four, take(4));
        field.value = load_le<std::uint32_t>(as_bytes(four).data());
        return field;
      }
      case Wire::kFixed64: {
        OTR_TRY(take(8));
        return field;
      }
    }
    return cut_off();
  }

 private:
  Result<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<std::uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    return cut_off();
  }

  Result<std::string_view> take(std::uint64_t size) {
    if (size > rest_.size()) return cut_off();
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

  std::unexpected<Error> cut_off() const {
    return bad("not a well-formed protobuf message near byte " +
               std::to_string(rest_.data() - file_.data()) + "; give the file tokenizer.model");
  }

  std::string_view file_;
  std::string_view rest_;
};

Status expect(const Field& field, Wire wire, std::string_view what) {
  if (field.wire == wire) return {};
  return bad(std::string(what) + " has the wrong wire type");
}

Status check_score(std::uint32_t bits, std::size_t id) {
  if (is_supported_score(bits)) return {};
  return bad("the score of piece " + std::to_string(id) + " is not below 2^40 in magnitude");
}

Result<Piece> parse_piece(std::string_view file, std::string_view message, std::size_t id) {
  Piece piece;
  for (Reader reader(file, message); !reader.done();) {
    OTR_TRY_ASSIGN(const Field field, reader.next());
    if (field.number == kText) {
      OTR_TRY(expect(field, Wire::kBytes, "a piece"));
      piece.text = field.bytes;
    } else if (field.number == kScore) {
      OTR_TRY(expect(field, Wire::kFixed32, "a score"));
      piece.score_bits = static_cast<std::uint32_t>(field.value);
    } else if (field.number == kType) {
      OTR_TRY(expect(field, Wire::kVarint, "a piece type"));
      if (field.value < 1 || field.value > 6) {
        return bad("piece " + std::to_string(id) + " has an unknown type");
      }
      piece.type = static_cast<PieceType>(field.value);
    }
  }
  if (piece.text.empty() || piece.text.size() > kMaxPieceBytes || utf8_error(piece.text) ||
      piece.text.contains('\0')) {
    return bad("piece " + std::to_string(id) + " must be 1 to 1024 bytes of UTF-8 without NUL");
  }
  OTR_TRY(check_score(piece.score_bits, id));
  return piece;
}

Status parse_trainer(std::string_view file, std::string_view message, SentencePieceModel& model) {
  for (Reader reader(file, message); !reader.done();) {
    OTR_TRY_ASSIGN(const Field field, reader.next());
    switch (field.number) {
      case kModelType:
        OTR_TRY(expect(field, Wire::kVarint, "trainer_spec.model_type"));
        if (field.value != 1 && field.value != 2) {
          return bad("only unigram and BPE models are supported");
        }
        model.model = static_cast<PieceModel>(field.value);
        break;
      case kSuffixSpaces:
        OTR_TRY(expect(field, Wire::kVarint, "trainer_spec.treat_whitespace_as_suffix"));
        if (field.value != 0) return bad("treat_whitespace_as_suffix is not supported");
        break;
      case kByteFallback:
        OTR_TRY(expect(field, Wire::kVarint, "trainer_spec.byte_fallback"));
        model.byte_fallback = field.value != 0;
        break;
      case kBosPiece:
        OTR_TRY(expect(field, Wire::kBytes, "trainer_spec.bos_piece"));
        model.bos_piece = field.bytes;
        break;
      case kEosPiece:
        OTR_TRY(expect(field, Wire::kBytes, "trainer_spec.eos_piece"));
        model.eos_piece = field.bytes;
        break;
      default:  // The rest says how the model was trained.
        break;
    }
  }
  return {};
}

Status parse_normalizer(std::string_view file, std::string_view message,
                        SentencePieceModel& model) {
  for (Reader reader(file, message); !reader.done();) {
    OTR_TRY_ASSIGN(const Field field, reader.next());
    if (field.number == kCharacterMap) {
      OTR_TRY(expect(field, Wire::kBytes, "normalizer_spec.precompiled_charsmap"));
      if (!field.bytes.empty()) {
        return bad(
            "normalization by a character map (nfkc, nmt_nfkc) is not supported, only "
            "'identity'");
      }
    } else if (field.number >= kDummyPrefix && field.number <= kEscapeSpaces) {
      OTR_TRY(expect(field, Wire::kVarint, "normalizer_spec"));
      const bool set = field.value != 0;
      if (field.number == kDummyPrefix) model.add_dummy_prefix = set;
      if (field.number == kRemoveSpaces) model.remove_extra_whitespaces = set;
      if (field.number == kEscapeSpaces && !set) {
        return bad("normalizer_spec.escape_whitespaces must be set");
      }
    }
  }
  return {};
}

// What the library would otherwise find out, some of it by ending the process.
Status check_pieces(const SentencePieceModel& model) {
  std::set<std::string_view> texts;
  std::bitset<256> bytes;
  std::size_t unknown_count = 0;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& piece = model.pieces[id];
    const std::string name = "piece " + std::to_string(id);
    if (!texts.insert(piece.text).second) return bad(name + " is there twice");
    if (piece.type == PieceType::kUnknown) ++unknown_count;
    if (piece.type != PieceType::kByte) continue;
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    const auto high = piece.text.size() == 6 ? kDigits.find(piece.text[3]) : kDigits.npos;
    const auto low = piece.text.size() == 6 ? kDigits.find(piece.text[4]) : kDigits.npos;
    if (!model.byte_fallback || high == kDigits.npos || low == kDigits.npos ||
        !piece.text.starts_with("<0x") || !piece.text.ends_with('>')) {
      return bad(name + " of type byte must read <0x00> to <0xFF>, and byte_fallback be set");
    }
    bytes.set(high << 4 | low);
  }
  if (unknown_count != 1) return bad("there must be exactly one piece of type unknown");
  if (model.byte_fallback && !bytes.all()) return bad("byte_fallback needs all 256 byte pieces");
  return {};
}

void put_varint(std::string& to, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) to += static_cast<char>(value | 0x80);
  to += static_cast<char>(value);
}

void put_number(std::string& to, std::uint32_t field, std::uint64_t value) {
  put_varint(to, field << 3 | static_cast<std::uint32_t>(Wire::kVarint));
  put_varint(to, value);
}

void put_bytes(std::string& to, std::uint32_t field, std::string_view bytes) {
  put_varint(to, field << 3 | static_cast<std::uint32_t>(Wire::kBytes));
  put_varint(to, bytes.size());
  to += bytes;
}

}  // namespace

Result<SentencePieceModel> parse_sentencepiece(std::string_view file) {
  SentencePieceModel model;
  for (Reader reader(file, file); !reader.done();) {
    OTR_TRY_ASSIGN(const Field field, reader.next());
    if (field.number == kPieces || field.number == kTrainer || field.number == kNormalizer ||
        field.number == kDenormalizer) {
      OTR_TRY(expect(field, Wire::kBytes, "field " + std::to_string(field.number)));
    }
    if (field.number == kPieces) {
      if (model.pieces.size() == kMaxVocabulary) return bad("more than 262144 pieces");
      OTR_TRY_ASSIGN(Piece piece, parse_piece(file, field.bytes, model.pieces.size()));
      model.pieces.push_back(std::move(piece));
    } else if (field.number == kTrainer) {
      OTR_TRY(parse_trainer(file, field.bytes, model));
    } else if (field.number == kNormalizer) {
      OTR_TRY(parse_normalizer(file, field.bytes, model));
    } else if (field.number == kDenormalizer) {
      // The library would use its character map only to decode, which is done here; but a model
      // with one means other text than we would show.
      SentencePieceModel ignored;
      OTR_TRY(parse_normalizer(file, field.bytes, ignored));
    }
  }
  OTR_TRY(check_pieces(model));
  return model;
}

std::string serialize(const SentencePieceModel& model) {
  std::string file;
  for (const Piece& piece : model.pieces) {
    std::string message;
    put_bytes(message, kText, piece.text);
    put_varint(message, kScore << 3 | static_cast<std::uint32_t>(Wire::kFixed32));
    for (int shift = 0; shift < 32; shift += 8) {
      message += static_cast<char>(piece.score_bits >> shift & 0xFF);
    }
    put_number(message, kType, static_cast<std::uint64_t>(piece.type));
    put_bytes(file, kPieces, message);
  }
  std::string trainer;
  put_number(trainer, kModelType, static_cast<std::uint64_t>(model.model));
  put_number(trainer, kByteFallback, model.byte_fallback ? 1 : 0);
  put_bytes(trainer, kBosPiece, model.bos_piece);
  put_bytes(trainer, kEosPiece, model.eos_piece);
  put_bytes(file, kTrainer, trainer);
  std::string normalizer;
  put_number(normalizer, kDummyPrefix, model.add_dummy_prefix ? 1 : 0);
  put_number(normalizer, kRemoveSpaces, model.remove_extra_whitespaces ? 1 : 0);
  put_number(normalizer, kEscapeSpaces, 1);
  put_bytes(file, kNormalizer, normalizer);
  return file;
}

}  // namespace otr::text
