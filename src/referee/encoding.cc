#include "referee/encoding.h"

#include <algorithm>

#include "base/check.h"

namespace otr::referee {
namespace {

void append_sized(Bytes& to, ByteView bytes) {
  append_le(to, static_cast<std::uint32_t>(bytes.size()));
  otr::append(to, bytes);
}

}  // namespace

std::unexpected<Error> Decoder::error(Reject code, std::string_view field,
                                      std::string_view what) const {
  return fail(ErrorKind::kBadInput,
              "field " + std::string(field) + " at offset " + std::to_string(size_ - rest_.size()) +
                  " " + std::string(what),
              std::string(name_of(code)));
}

Result<ByteView> Decoder::take(std::uint64_t count, std::string_view field) {
  if (count > rest_.size()) return error(Reject::kMalformed, field, "goes beyond the end.");
  const ByteView bytes = rest_.first(count);
  rest_ = rest_.subspan(count);
  return bytes;
}

Result<Hash> Decoder::hash(std::string_view field) {
  OTR_TRY_ASSIGN(const ByteView bytes, take(sizeof(Hash), field));
  Hash hash;
  std::ranges::copy(bytes, hash.begin());
  return hash;
}

Result<std::vector<Hash>> Decoder::hashes(std::string_view field) {
  OTR_TRY_ASSIGN(const auto count, integer<std::uint8_t>(field));
  OTR_TRY_ASSIGN(const ByteView bytes, take(count * sizeof(Hash), field));
  std::vector<Hash> list(count);
  if (count != 0) std::memcpy(list.data(), bytes.data(), bytes.size());
  return list;
}

Status Decoder::end() const {
  if (!rest_.empty()) return error(Reject::kMalformed, "end", "is followed by more bytes.");
  return {};
}

void append(Bytes& to, std::span<const Hash> hashes) {
  OTR_CHECK(hashes.size() <= 255);
  append_le(to, static_cast<std::uint8_t>(hashes.size()));
  for (const Hash& hash : hashes) otr::append(to, hash);
}

void append(Bytes& to, const TreeId& tree) {
  append_le(to, static_cast<std::uint8_t>(tree.place));
  append_le(to, tree.a);
  append_le(to, tree.b);
}

// SPEC MTRC-3.
void append(Bytes& to, const Opening& opening) {
  append(to, opening.tree);
  append_le(to, opening.begin);
  append_le(to, opening.end);
  append_sized(to, opening.tiles);
  append(to, std::span<const Hash>(opening.path));
  append(to, std::span<const Hash>(opening.list_path));
}

void append(Bytes& to, const Demand& demand) {
  append(to, demand.tree);
  append_le(to, demand.level);
  append_le(to, demand.begin);
  append_le(to, demand.end);
}

// SPEC MTRC-4.
void append(Bytes& to, const Witness& witness) {
  OTR_CHECK(witness.size() <= kMaxOpenings);
  append_le(to, static_cast<std::uint8_t>(witness.size()));
  for (const Opening& opening : witness) append(to, opening);
}

// SPEC MTRC-5.
void append(Bytes& to, const Answer& answer) {
  append(to, std::span<const Hash>(answer.tensor_roots));
  append(to, answer.outputs);
}

// SPEC REF-2, REF-4.
void append(Bytes& to, const Proof& proof) {
  append_le(to, static_cast<std::uint8_t>(proof.kind));
  append_le(to, proof.t);
  append_le(to, static_cast<std::uint8_t>(proof.tensor));
  append_le(to, proof.index);
  append(to, proof.witness);
}

Result<TreeId> decode_tree(Decoder& from) {
  OTR_TRY_ASSIGN(const auto place, from.integer<std::uint8_t>("tree"));
  if (place < static_cast<std::uint8_t>(Place::kPrompt) ||
      place > static_cast<std::uint8_t>(Place::kMicro)) {
    return from.error(Reject::kMalformed, "tree", "names none of the trees 1 to 8.");
  }
  OTR_TRY_ASSIGN(const auto a, from.integer<std::uint32_t>("a"));
  OTR_TRY_ASSIGN(const auto b, from.integer<std::uint32_t>("b"));
  return TreeId{static_cast<Place>(place), a, b};
}

Result<Opening> decode_opening(Decoder& from) {
  Opening opening;
  OTR_TRY_ASSIGN(opening.tree, decode_tree(from));
  OTR_TRY_ASSIGN(opening.begin, from.integer<std::uint64_t>("begin"));
  OTR_TRY_ASSIGN(opening.end, from.integer<std::uint64_t>("end"));
  OTR_TRY_ASSIGN(const auto size, from.integer<std::uint32_t>("size"));
  OTR_TRY_ASSIGN(const ByteView tiles, from.take(size, "tiles"));
  opening.tiles.assign(tiles.begin(), tiles.end());
  OTR_TRY_ASSIGN(opening.path, from.hashes("path"));
  OTR_TRY_ASSIGN(opening.list_path, from.hashes("list path"));
  return opening;
}

Result<Demand> decode_demand(Decoder& from) {
  Demand demand;
  OTR_TRY_ASSIGN(demand.tree, decode_tree(from));
  OTR_TRY_ASSIGN(demand.level, from.integer<std::uint32_t>("level"));
  OTR_TRY_ASSIGN(demand.begin, from.integer<std::uint64_t>("begin"));
  OTR_TRY_ASSIGN(demand.end, from.integer<std::uint64_t>("end"));
  return demand;
}

Result<Witness> decode_witness(Decoder& from) {
  OTR_TRY_ASSIGN(const auto count, from.integer<std::uint8_t>("witness count"));
  if (count > kMaxOpenings) {
    return from.error(Reject::kLimitExceeded, "witness count", "is above 64.");
  }
  Witness witness;
  for (int i = 0; i < count; ++i) {
    OTR_TRY_ASSIGN(Opening opening, decode_opening(from));
    witness.push_back(std::move(opening));
  }
  return witness;
}

Result<Answer> decode_answer(Decoder& from) {
  Answer answer;
  OTR_TRY_ASSIGN(answer.tensor_roots, from.hashes("tensor roots"));
  OTR_TRY_ASSIGN(answer.outputs, decode_witness(from));
  return answer;
}

Result<Proof> decode_proof(Decoder& from) {
  Proof proof;
  OTR_TRY_ASSIGN(const auto kind, from.integer<std::uint8_t>("proof kind"));
  if (kind < static_cast<std::uint8_t>(ProofKind::kRequest) ||
      kind > static_cast<std::uint8_t>(ProofKind::kStep)) {
    return from.error(Reject::kMalformed, "proof kind", "is none of 1 to 5.");
  }
  proof.kind = static_cast<ProofKind>(kind);
  OTR_TRY_ASSIGN(proof.t, from.integer<std::uint32_t>("t"));
  OTR_TRY_ASSIGN(const auto tensor, from.integer<std::uint8_t>("tensor"));
  if (tensor >= machine::kTensorCount) {
    return from.error(Reject::kMalformed, "tensor", "is none of 0 to 98.");
  }
  proof.tensor = static_cast<machine::Tensor>(tensor);
  OTR_TRY_ASSIGN(proof.index, from.integer<std::uint64_t>("index"));
  const bool has_t = proof.kind == ProofKind::kPrompt || proof.kind == ProofKind::kFinish;
  const bool has_step = proof.kind == ProofKind::kStep;
  if ((!has_t && proof.t != 0) || (!has_step && (tensor != 0 || proof.index != 0))) {
    return from.error(Reject::kNotCanonical, "t, tensor or index",
                      "is not 0 in a proof that does not use it.");
  }
  OTR_TRY_ASSIGN(proof.witness, decode_witness(from));
  return proof;
}

}  // namespace otr::referee
