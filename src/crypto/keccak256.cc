#include "crypto/keccak256.h"

#include <algorithm>

namespace otr::crypto {
namespace {

constexpr int kRounds = 24;
constexpr std::size_t kRateBytes = 136;
constexpr int kLanes = 25;

// Lane (x, y) is state[x + 5 * y].
using State = std::array<std::uint64_t, kLanes>;

// The round constants are the output of an eight-bit shift register with the feedback polynomial
// x^8 + x^6 + x^5 + x^4 + 1 (FIPS 202, 3.2.5): round r puts bit j + 7r at position 2^j - 1.
constexpr std::array<std::uint64_t, kRounds> make_round_constants() {
  std::array<std::uint64_t, kRounds> constants{};
  std::uint32_t shift_register = 1;
  for (std::uint64_t& constant : constants) {
    for (int j = 0; j < 7; ++j) {
      if (shift_register & 1) constant |= std::uint64_t{1} << ((1 << j) - 1);
      shift_register <<= 1;
      if (shift_register & 0x100) shift_register ^= 0x171;
    }
  }
  return constants;
}
constexpr std::array<std::uint64_t, kRounds> kRoundConstants = make_round_constants();

void theta(State& state) {
  std::array<std::uint64_t, 5> column{};
  for (int i = 0; i < kLanes; ++i) column[i % 5] ^= state[i];
  for (int i = 0; i < kLanes; ++i) {
    state[i] ^= column[(i + 4) % 5] ^ std::rotl(column[(i + 1) % 5], 1);
  }
}

// Rotates every lane but (0, 0) and moves (x, y) to (y, 2x + 3y); the walk along the 24 moved lanes
// is one cycle, and its step t rotates by (t + 1)(t + 2) / 2.
void rho_and_pi(State& state) {
  int x = 1;
  int y = 0;
  std::uint64_t carried = state[x];
  for (int t = 0; t < 24; ++t) {
    const int next_y = (2 * x + 3 * y) % 5;
    x = y;
    y = next_y;
    const std::uint64_t rotated = std::rotl(carried, (t + 1) * (t + 2) / 2 % 64);
    carried = state[x + 5 * y];
    state[x + 5 * y] = rotated;
  }
}

void chi(State& state) {
  for (int y = 0; y < kLanes; y += 5) {
    std::array<std::uint64_t, 5> row;
    for (int x = 0; x < 5; ++x) row[x] = state[y + x];
    for (int x = 0; x < 5; ++x) state[y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
  }
}

void permute(State& state) {
  for (const std::uint64_t constant : kRoundConstants) {
    theta(state);
    rho_and_pi(state);
    chi(state);
    state[0] ^= constant;
  }
}

void absorb_block(State& state, const std::uint8_t* block) {
  for (std::size_t i = 0; i < kRateBytes / 8; ++i)
    state[i] ^= load_le<std::uint64_t>(block + 8 * i);
  permute(state);
}

}  // namespace

Hash keccak_sponge_256(ByteView data, std::uint8_t first_padding) {
  State state{};
  for (; data.size() >= kRateBytes; data = data.subspan(kRateBytes)) {
    absorb_block(state, data.data());
  }
  std::array<std::uint8_t, kRateBytes> last{};
  std::copy(data.begin(), data.end(), last.begin());
  last[data.size()] = first_padding;
  last.back() |= 0x80;
  absorb_block(state, last.data());

  Hash hash;
  for (int i = 0; i < 4; ++i) store_le(hash.data() + 8 * i, state[i]);
  return hash;
}

Hash keccak256(ByteView data) { return keccak_sponge_256(data, 0x01); }

}  // namespace otr::crypto
