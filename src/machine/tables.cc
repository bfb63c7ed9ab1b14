#include "machine/tables.h"

#include "machine/arith.h"

extern "C" {
extern const std::uint8_t otr_tables[];  // tables.S
}

namespace otr::machine {
namespace {

constexpr std::size_t kRopeAt = 256 * 2;
constexpr std::size_t kSiluAt = kRopeAt + 3 * 512 * 4;
constexpr std::size_t kGumbelAt = kSiluAt + 16 * 65536 * 2;
constexpr std::size_t kMassAt = kGumbelAt + 16 * 4096 * 4;

// The bytes are aligned to 64 in tables.S, and every offset above is a multiple of 4.
template <class T, std::size_t kSize>
std::span<const T, kSize> view(std::size_t at) {
  return std::span<const T, kSize>(reinterpret_cast<const T*>(otr_tables + at), kSize);
}

}  // namespace

std::span<const std::uint16_t, 256> exp2_table() { return view<std::uint16_t, 256>(0); }
std::span<const std::int32_t, 3 * 512> rope_table() { return view<std::int32_t, 3 * 512>(kRopeAt); }
std::span<const std::int16_t, 16 * 65536> silu_table() {
  return view<std::int16_t, 16 * 65536>(kSiluAt);
}
std::span<const std::int32_t, 16 * 4096> gumbel_table() {
  return view<std::int32_t, 16 * 4096>(kGumbelAt);
}
std::span<const std::uint32_t, 65536> mass_table() { return view<std::uint32_t, 65536>(kMassAt); }

std::int64_t table_entry(TableId id, std::uint64_t row, std::uint64_t column) {
  switch (id) {
    case TableId::kExp2:
      return exp2_table()[column];
    case TableId::kRope:
      return rope_table()[512 * row + column];
    case TableId::kSilu:
      return silu_table()[65536 * row + column];
    case TableId::kGumbel:
      return gumbel_table()[4096 * row + column];
    default:
      return mass_table()[column];
  }
}

// SPEC TAB-8; machine_test recomputes it from the tables that are linked in.
const std::array<std::uint8_t, 32> kSpecHash = {
    0xee, 0x8e, 0xe2, 0xd4, 0xae, 0xe4, 0x59, 0xd2, 0x52, 0x5e, 0x67, 0x71, 0x29, 0x3e, 0x81, 0x79,
    0x4f, 0x3b, 0x79, 0xc2, 0xa9, 0x52, 0x04, 0x95, 0x2b, 0x78, 0xa6, 0xb7, 0xda, 0xe9, 0x7c, 0x33,
};

Phase phase_of(std::uint32_t t, std::uint64_t step) {
  const std::uint64_t phase = t * step;  // modulo 2^64 by definition
  // Rounding may carry out of 64 bits: a whole turn, which the 24 bits drop as well.
  const std::uint64_t ph = ((phase + (std::uint64_t{1} << 39)) >> 40) & 0xffffff;
  return {{static_cast<std::uint32_t>(ph >> 16), static_cast<std::uint32_t>(ph >> 8 & 255),
           static_cast<std::uint32_t>(ph & 255)}};
}

Angle combine(Rotor r0, Rotor r1, Rotor r2) {
  const auto turned = [](Rotor a, Rotor b) {
    return Rotor{rsh(a.c * b.c - a.s * b.s, 30), rsh(a.s * b.c + a.c * b.s, 30)};
  };
  const Rotor sum = turned(turned(r0, r1), r2);
  return {static_cast<std::int32_t>(rsh(sum.c, 15)), static_cast<std::int32_t>(rsh(sum.s, 15))};
}

Angle angle(std::uint32_t t, std::uint64_t step) {
  const Phase phase = phase_of(t, step);
  const auto row = [&](int n) {
    const std::size_t at = 512 * static_cast<std::size_t>(n) + 2 * phase.index[n];
    return Rotor{rope_table()[at], rope_table()[at + 1]};
  };
  return combine(row(0), row(1), row(2));
}

}  // namespace otr::machine
