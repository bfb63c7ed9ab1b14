// Moves as bytes (SPEC GAME-8).
#include <string>

#include "base/reject.h"
#include "dispute/game.h"
#include "referee/encoding.h"

namespace otr::dispute {
namespace {

using referee::Decoder;
using referee::Place;

void append_action(Bytes& to, const Challenge& challenge) {
  append_le(to, challenge.leaf.t);
  referee::append(to, referee::tree_of(challenge.leaf.stream));
  append_le(to, challenge.leaf.tile);
}
void append_action(Bytes&, const Concede&) {}
void append_action(Bytes&, const Close&) {}
template <class T>
void append_action(Bytes& to, const T& action) {
  referee::append(to, action);
}

Result<Challenge> decode_challenge(Decoder& from) {
  Challenge challenge;
  OTR_TRY_ASSIGN(challenge.leaf.t, from.integer<std::uint64_t>("t"));
  OTR_TRY_ASSIGN(const referee::TreeId tree, referee::decode_tree(from));
  OTR_TRY_ASSIGN(challenge.leaf.tile, from.integer<std::uint64_t>("tile"));
  trace::StreamId& stream = challenge.leaf.stream;
  stream = {merkle::Kind::kTokenIds, tree.a, tree.b};
  switch (tree.place) {
    case Place::kTokens:
      break;
    case Place::kKey:
      stream.kind = merkle::Kind::kKey;
      break;
    case Place::kValue:
      stream.kind = merkle::Kind::kValue;
      break;
    case Place::kResidual:
      stream.kind = merkle::Kind::kResidual;
      break;
    default:
      return from.error(Reject::kMalformed, "leaf", "is in none of the trees 3 to 6.");
  }
  // What tree_of() drops must be zero, or two encodings would be one challenge.
  if (referee::tree_of(stream) != tree) {
    return from.error(Reject::kNotCanonical, "leaf", "has numbers that its tree does not have.");
  }
  return challenge;
}

template <class T>
Status assign(Action& action, Result<T> decoded) {
  OTR_TRY_ASSIGN(action, std::move(decoded));
  return {};
}

Status decode_action(Decoder& from, std::uint8_t kind, Action& action) {
  switch (kind) {
    case 1:
      return assign(action, decode_challenge(from));
    case 2:
      return assign(action, referee::decode_demand(from));
    case 3:
      return assign(action, referee::decode_proof(from));
    case 4:
      return assign(action, referee::decode_answer(from));
    case 5:
      return assign(action, referee::decode_opening(from));
    case 6:
      action = Concede{};
      return {};
    case 7:
      action = Close{};
      return {};
    default:
      return from.error(Reject::kMalformed, "action", "is none of 1 to 7.");
  }
}

}  // namespace

Bytes encode_move(const Move& move) {
  Bytes bytes;
  append_le(bytes, static_cast<std::uint8_t>(move.side));
  append(bytes, move.state);
  append_le(bytes, static_cast<std::uint8_t>(move.action.index() + 1));
  std::visit([&](const auto& action) { append_action(bytes, action); }, move.action);
  return bytes;
}

Result<Move> decode_move(ByteView bytes) {
  Decoder from(bytes);
  if (bytes.size() > kMaxMoveBytes) {
    return from.error(Reject::kLimitExceeded, "move", "is longer than 1 MiB and 8 KiB.");
  }
  Move move;
  OTR_TRY_ASSIGN(const auto side, from.integer<std::uint8_t>("side"));
  if (side != 1 && side != 2) return from.error(Reject::kMalformed, "side", "is neither 1 nor 2.");
  move.side = static_cast<Side>(side);
  OTR_TRY_ASSIGN(move.state, from.hash("state"));
  OTR_TRY_ASSIGN(const auto kind, from.integer<std::uint8_t>("action"));
  OTR_TRY(decode_action(from, kind, move.action));
  OTR_TRY(from.end());
  return move;
}

}  // namespace otr::dispute
