// The shifts and factors of every row, computed and checked from what is in clear (SPEC PS-3,
// PS-5).
#ifndef OTR_ZK_ROW_LINES_H_
#define OTR_ZK_ROW_LINES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "machine/arith.h"
#include "zk/rows.h"
#include "zk/scalars.h"

namespace otr::zk {

inline constexpr int kLimbBits = 19;

constexpr std::int64_t half_of(int s) { return (std::int64_t{1} << s) >> 1; }
// SPEC PS-6.
constexpr int limb_width(int s, int limb) {
  return std::min(kLimbBits, std::max(0, s - kLimbBits * limb));
}

// OP-5 of one head.
struct HeadNormLine {
  int shift = 0;  // s_y
  std::int64_t r = 0;
};

// Bits of y' and its sign that the lookups leave room for: more would wrap modulo p (SPEC PT-2).
constexpr int head_norm_bits(int shift) { return std::min(24, 64 - shift); }

struct HeadLine {
  int s_r = 0;  // of the q row
  std::int64_t m = 0, x = 0;
  int s_a = 0;
  std::int64_t r = 0;
  int exponent = 0;  // F_h
  int s_o = 0;       // as clamped
};

// One position of one layer.
struct RowLine {
  NormRow a;
  int s_q = 0, s_k = 0;
  std::vector<HeadLine> heads;
  std::vector<int> s_rk, s_v;                  // [kv head]
  std::vector<HeadNormLine> q_norms, k_norms;  // by head; empty without q/k norms
  int s_w = 0, s_n = 0, s_m = 0, s_d = 0;
  std::int64_t r_norm = 0;
  int s_g = 0, s_h = 0;
};

struct OutputLine {
  NormRow final_row;
  int s_l = 0;
  std::int64_t best = 0;  // the token's noise less its distance; sampled only
};

struct Lines {
  std::vector<std::vector<RowLine>> rows;  // [layer][t]
  std::vector<OutputLine> outputs;
  std::int64_t theta = 0;  // SPEC PT-2, domain s
};

// SPEC PS-6 and the optional columns of PT-2.
CircuitOptions options_of(const Job& job, const Lines& lines, int gap);

Result<Lines> derive_lines(const Job& job, const TraceRows& rows, const Scalars& scalars);
Status derive_outputs(const Job& job, const TraceRows& rows, const Scalars& scalars, Lines& lines);

// SAMP-1 of output o as numbers to subtract from the logits of single ids, which ascend; those of
// all others are 0. Made where it is used: a number for each id of each output would be more than
// the file of a proof, before its size is known to be right.
struct Penalty {
  std::uint32_t id = 0;
  std::int64_t value = 0;
};
std::vector<Penalty> penalties_at(const Job& job, std::size_t o);

// noise_j of SAMP-8 for the token after position t.
std::int64_t noise_value(const Job& job, std::uint32_t t, std::uint32_t id);
// Mass of SAMP-5.
std::int64_t mass_of(std::int64_t delta);

}  // namespace otr::zk

#endif  // OTR_ZK_ROW_LINES_H_
