#include "zk/transcript.h"

#include "crypto/sha256.h"

namespace otr::zk {
namespace {

template <class T>
std::array<std::uint8_t, sizeof(T)> le(T value) {
  std::array<std::uint8_t, sizeof(T)> bytes;
  store_le(bytes.data(), value);
  return bytes;
}

Felt wide(const std::uint8_t* from) {
  unsigned __int128 x = load_le<std::uint64_t>(from + 8);
  return reduce128(x << 64 | load_le<std::uint64_t>(from));
}

Hash absorbed(const Hash& state, Label label, ByteView bytes) {
  return crypto::sha256({as_bytes("OTR.absb"), state, le(static_cast<std::uint32_t>(label)),
                         le(std::uint64_t{bytes.size()}), bytes});
}

bool starts_with_zeros(const Hash& state, int bits) {
  return (load_le<std::uint64_t>(state.data()) & ((std::uint64_t{1} << bits) - 1)) == 0;
}

}  // namespace

Transcript::Transcript(ByteView id) : state_(crypto::sha256({as_bytes("OTR.tr00"), id})) {}

void Transcript::absorb(Label label, ByteView bytes) { state_ = absorbed(state_, label, bytes); }

void Transcript::absorb(Label label, std::span<const Ext> elements) {
  static_assert(sizeof(Ext) == 16);
  absorb(label, {reinterpret_cast<const std::uint8_t*>(elements.data()), elements.size_bytes()});
}

Hash Transcript::challenge_bytes() {
  state_ = crypto::sha256({as_bytes("OTR.chal"), state_});
  return state_;
}

Ext Transcript::challenge() {
  const Hash bytes = challenge_bytes();
  return {wide(bytes.data()), wide(bytes.data() + 16)};
}

std::vector<Ext> Transcript::challenges(std::size_t count) {
  std::vector<Ext> list(count);
  for (Ext& x : list) x = challenge();
  return list;
}

bool Transcript::check_grind(std::uint64_t nonce, int bits) {
  absorb(Label::kGrind, le(nonce));
  return starts_with_zeros(state_, bits);
}

std::uint64_t Transcript::grind(int bits) {
  std::uint64_t nonce = 0;
  while (!starts_with_zeros(absorbed(state_, Label::kGrind, le(nonce)), bits)) ++nonce;
  absorb(Label::kGrind, le(nonce));
  return nonce;
}

}  // namespace otr::zk
