#include "text/sentencepiece_encoder.h"

#include <sentencepiece_processor.h>

#include <exception>
#include <utility>

#include "text/normalizer.h"

namespace otr::text {
namespace {

TokenText text_of(const Piece& piece) {
  if (piece.type == PieceType::kControl || piece.type == PieceType::kUnknown) return {};
  if (piece.type == PieceType::kByte) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    const auto value = kDigits.find(piece.text[3]) << 4 | kDigits.find(piece.text[4]);
    return {std::string(1, static_cast<char>(value)), false};
  }
  std::string bytes = piece.text;
  replace_all(bytes, kSpaceMark, " ");
  return {std::move(bytes), false};
}

// Runs a call into the library, which may throw and returns a status of its own.
template <class Call>
Status guarded(Call call) {
  std::string reason;
  try {
    const auto status = call();
    if (status.ok()) return {};
    reason = status.ToString();
  } catch (const std::exception& error) {
    reason = error.what();
  }
  return fail(ErrorKind::kBadInput, "SentencePiece: " + reason.substr(0, 400));
}

}  // namespace

SentencePieceEncoder::SentencePieceEncoder()
    : processor_(std::make_unique<sentencepiece::SentencePieceProcessor>()) {}
SentencePieceEncoder::SentencePieceEncoder(SentencePieceEncoder&&) noexcept = default;
SentencePieceEncoder::~SentencePieceEncoder() = default;

Result<SentencePieceEncoder> SentencePieceEncoder::load(const SentencePieceModel& model,
                                                        std::vector<TokenText>& tokens) {
  SentencePieceEncoder encoder;
  const std::string file = serialize(model);
  OTR_TRY(guarded([&] { return encoder.processor_->LoadFromSerializedProto(file); }));
  std::vector<AddedToken> control;
  for (const Piece& piece : model.pieces) {
    const auto id = static_cast<std::uint32_t>(tokens.size());
    const bool is_control = piece.type == PieceType::kControl;
    if (is_control || piece.type == PieceType::kUnknown) {
      control.push_back({piece.text, id, is_control});
    }
    encoder.ids_.emplace(piece.text, id);
    tokens.push_back(text_of(piece));
  }
  encoder.control_ = AddedTokens(std::move(control));
  return encoder;
}

Status SentencePieceEncoder::append(std::string_view text, bool parse_special,
                                    std::string_view typed, std::vector<std::uint32_t>& ids) const {
  std::vector<Segment> segments = {{text, std::nullopt}};
  if (parse_special) segments = control_.split(text, typed);
  for (const Segment& segment : segments) {
    if (segment.id) {
      ids.push_back(*segment.id);
      continue;
    }
    std::vector<int> found;
    OTR_TRY(guarded([&] { return processor_->Encode(segment.text, &found); }));
    for (const int id : found) ids.push_back(static_cast<std::uint32_t>(id));
  }
  return {};
}

std::optional<std::string> SentencePieceEncoder::name(std::uint32_t id) const {
  for (const auto& [piece, other] : ids_) {
    if (other == id) return piece;
  }
  return std::nullopt;
}

std::optional<std::uint32_t> SentencePieceEncoder::find(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

}  // namespace otr::text
