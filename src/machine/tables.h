// The constant tables of the arithmetic (SPEC TAB), made at build time by gen_tables.cc in exact
// integer arithmetic and linked in as bytes. The spec hash commits to their Merkle roots.
#ifndef OTR_MACHINE_TABLES_H_
#define OTR_MACHINE_TABLES_H_

#include <array>
#include <cstdint>
#include <span>

namespace otr::machine {

enum class TableId : std::uint8_t { kExp2, kRope, kSilu, kGumbel, kMass };

inline constexpr std::uint32_t kSiluRows = 16;
inline constexpr std::uint32_t kGumbelRows = 16;

std::span<const std::uint16_t, 256> exp2_table();
std::span<const std::int32_t, 3 * 512> rope_table();
std::span<const std::int16_t, 16 * 65536> silu_table();
std::span<const std::int32_t, 16 * 4096> gumbel_table();
std::span<const std::uint32_t, 65536> mass_table();
// One entry. Requires that the table has that row and column.
std::int64_t table_entry(TableId id, std::uint64_t row, std::uint64_t column);

// SPEC TAB-8: names this arithmetic and these formats. A test recomputes it from the tables.
inline constexpr std::uint32_t kSpecVersion = 6;
extern const std::array<std::uint8_t, 32> kSpecHash;

// SPEC TAB-7. The three digits of the turn that position t has made at `step` turns·2^-64 each.
struct Phase {
  std::array<std::uint32_t, 3> index{};
};
Phase phase_of(std::uint32_t t, std::uint64_t step);

// A cosine and a sine in Q30, a row of the table; combined and rounded to Q15.
struct Rotor {
  std::int64_t c = 0;
  std::int64_t s = 0;
};
struct Angle {
  std::int32_t c = 0;
  std::int32_t s = 0;
};
Angle combine(Rotor r0, Rotor r1, Rotor r2);

Angle angle(std::uint32_t t, std::uint64_t step);

}  // namespace otr::machine

#endif  // OTR_MACHINE_TABLES_H_
