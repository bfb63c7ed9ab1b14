#include "machine/tensors.h"

#include <array>
#include <climits>

#include "base/check.h"
#include "machine/arith.h"

namespace otr::machine {
namespace {

// The sizes that shapes are made of.
enum class Dim : std::uint8_t {
  kOne,
  kTwo,
  kFour,
  kD,
  kPd,
  kQd,
  kH,
  kG,
  kHD,
  kGD,
  kHalfD,
  kKd,
  kKhd,
  kKffn,
  kWindow,
  kTiles,
  kFfn,
  kQffn,

  kV,
  kPv
};

struct Row {
  std::string_view name;
  Dim rows;
  Dim cols;
  std::int64_t lo;
  std::int64_t hi;
};

constexpr std::int64_t pow2(int n) { return std::int64_t{1} << n; }

// clang-format off
constexpr std::array<Row, kTensorCount> kTensors = {{
    {"x_in", Dim::kD, Dim::kOne, kSigned32.lo, kSigned32.hi},  // 0
    {"n1_hi", Dim::kPd, Dim::kOne, kSigned32.lo, kSigned32.hi},  // 1
    {"n1_lo", Dim::kPd, Dim::kOne, kSigned32.lo, kSigned32.hi},  // 2
    {"n1_shift", Dim::kOne, Dim::kOne, 0, 8},  // 3
    {"n1_sumsq", Dim::kPd, Dim::kOne, 0, pow2(58)},  // 4
    {"n1_root", Dim::kOne, Dim::kFour, 0, pow2(61)},  // 5
    {"a_hi", Dim::kQd, Dim::kOne, -pow2(62), pow2(62)},  // 6
    {"a_lo", Dim::kQd, Dim::kOne, -pow2(62), pow2(62)},  // 7
    {"a_exp", Dim::kOne, Dim::kOne, -64, kNormCap},  // 8
    {"a", Dim::kD, Dim::kOne, -32639, 32639},  // 9
    {"q_part", Dim::kHD, Dim::kKd, -pow2(33), pow2(33)},  // 10
    {"q_y", Dim::kHD, Dim::kOne, kSigned24.lo, kSigned24.hi},  // 11
    {"k_part", Dim::kGD, Dim::kKd, -pow2(33), pow2(33)},  // 12
    {"k_y", Dim::kGD, Dim::kOne, kSigned24.lo, kSigned24.hi},  // 13
    {"v_part", Dim::kGD, Dim::kKd, -pow2(33), pow2(33)},  // 14
    {"v_m", Dim::kGD, Dim::kOne, -pow2(50), pow2(50)},  // 15
    {"q_root", Dim::kH, Dim::kFour, 0, pow2(61)},  // 16
    {"q_n", Dim::kHD, Dim::kOne, kSigned24.lo, kSigned24.hi},  // 17
    {"k_root", Dim::kG, Dim::kFour, 0, pow2(61)},  // 18
    {"k_n", Dim::kGD, Dim::kOne, kSigned24.lo, kSigned24.hi},  // 19
    {"rope", Dim::kHalfD, Dim::kTwo, -pow2(15), pow2(15)},  // 20
    {"q_hi", Dim::kH, Dim::kOne, -pow2(39), pow2(39)},  // 21
    {"q_lo", Dim::kH, Dim::kOne, -pow2(39), pow2(39)},  // 22
    {"q_exp", Dim::kH, Dim::kOne, 4, 13},  // 23
    {"q", Dim::kHD, Dim::kOne, -4095, 4095},  // 24
    {"k_hi", Dim::kG, Dim::kOne, -pow2(39), pow2(39)},  // 25
    {"k_lo", Dim::kG, Dim::kOne, -pow2(39), pow2(39)},  // 26
    {"k_exp", Dim::kG, Dim::kOne, 4, 13},  // 27
    {"k", Dim::kGD, Dim::kOne, -4095, 4095},  // 28
    {"v_hi", Dim::kG, Dim::kOne, -pow2(50), pow2(50)},  // 29
    {"v_lo", Dim::kG, Dim::kOne, -pow2(50), pow2(50)},  // 30
    {"v_exp", Dim::kG, Dim::kOne, -30, kRowCap},  // 31
    {"v", Dim::kGD, Dim::kOne, -127, 127},  // 32
    {"z", Dim::kH, Dim::kWindow, -kInt31, kInt31},  // 33
    {"tile_m", Dim::kH, Dim::kTiles, -pow2(23), pow2(23)},  // 34
    {"tile_x", Dim::kH, Dim::kTiles, -pow2(23) - 30, pow2(23) + 30},  // 35
    {"tile_s", Dim::kH, Dim::kTiles, 0, pow2(22)},  // 36
    {"tile_a", Dim::kHD, Dim::kTiles, -pow2(29), pow2(29)},  // 37
    {"head_m", Dim::kH, Dim::kOne, -pow2(23), pow2(23)},  // 38
    {"head_x", Dim::kH, Dim::kOne, -pow2(23) - 30, pow2(23) + 30},  // 39
    {"head_s", Dim::kH, Dim::kOne, pow2(37), pow2(55)},  // 40
    {"head_r", Dim::kH, Dim::kTwo, 7, pow2(16)},  // 41
    {"head_a", Dim::kHD, Dim::kOne, -pow2(62), pow2(62)},  // 42
    {"head_shift", Dim::kH, Dim::kOne, 0, 44},  // 43
    {"o_v", Dim::kHD, Dim::kOne, -pow2(34), pow2(34)},  // 44
    {"o_hi", Dim::kH, Dim::kOne, -pow2(34), pow2(34)},  // 45
    {"o_lo", Dim::kH, Dim::kOne, -pow2(34), pow2(34)},  // 46
    {"o_exp", Dim::kOne, Dim::kOne, -64, kRowCap},  // 47
    {"o", Dim::kHD, Dim::kOne, -32639, 32639},  // 48
    {"wo_part", Dim::kD, Dim::kKhd, -pow2(33), pow2(33)},  // 49
    {"x_mid", Dim::kD, Dim::kOne, kSigned32.lo, kSigned32.hi},  // 50
    {"n2_hi", Dim::kPd, Dim::kOne, kSigned32.lo, kSigned32.hi},  // 51
    {"n2_lo", Dim::kPd, Dim::kOne, kSigned32.lo, kSigned32.hi},  // 52
    {"n2_shift", Dim::kOne, Dim::kOne, 0, 8},  // 53
    {"n2_sumsq", Dim::kPd, Dim::kOne, 0, pow2(58)},  // 54
    {"n2_root", Dim::kOne, Dim::kFour, 0, pow2(61)},  // 55
    {"m_hi", Dim::kQd, Dim::kOne, -pow2(62), pow2(62)},  // 56
    {"m_lo", Dim::kQd, Dim::kOne, -pow2(62), pow2(62)},  // 57
    {"m_exp", Dim::kOne, Dim::kOne, -64, kNormCap},  // 58
    {"m", Dim::kD, Dim::kOne, -32639, 32639},  // 59
    {"gate_part", Dim::kFfn, Dim::kKd, -pow2(33), pow2(33)},  // 60
    {"gate_m", Dim::kFfn, Dim::kOne, -pow2(48), pow2(48)},  // 61
    {"g_hi", Dim::kQffn, Dim::kOne, -pow2(48), pow2(48)},  // 62
    {"g_lo", Dim::kQffn, Dim::kOne, -pow2(48), pow2(48)},  // 63
    {"g_exp", Dim::kOne, Dim::kOne, 0, 15},  // 64
    {"up_part", Dim::kFfn, Dim::kKd, -pow2(33), pow2(33)},  // 65
    {"h_m", Dim::kFfn, Dim::kOne, -INT64_MAX, INT64_MAX},  // 66
    {"h_hi", Dim::kQffn, Dim::kOne, -INT64_MAX, INT64_MAX},  // 67
    {"h_lo", Dim::kQffn, Dim::kOne, -INT64_MAX, INT64_MAX},  // 68
    {"h_exp", Dim::kOne, Dim::kOne, -64, kRowCap},  // 69
    {"h", Dim::kFfn, Dim::kOne, -32639, 32639},  // 70
    {"down_part", Dim::kD, Dim::kKffn, -pow2(33), pow2(33)},  // 71
    {"x_out", Dim::kD, Dim::kOne, kSigned32.lo, kSigned32.hi},  // 72
    {"nf_hi", Dim::kPd, Dim::kOne, kSigned32.lo, kSigned32.hi},  // 73
    {"nf_lo", Dim::kPd, Dim::kOne, kSigned32.lo, kSigned32.hi},  // 74
    {"nf_shift", Dim::kOne, Dim::kOne, 0, 8},  // 75
    {"nf_sumsq", Dim::kPd, Dim::kOne, 0, pow2(58)},  // 76
    {"nf_root", Dim::kOne, Dim::kFour, 0, pow2(61)},  // 77
    {"f_hi", Dim::kQd, Dim::kOne, -pow2(62), pow2(62)},  // 78
    {"f_lo", Dim::kQd, Dim::kOne, -pow2(62), pow2(62)},  // 79
    {"f_exp", Dim::kOne, Dim::kOne, -64, kNormCap},  // 80
    {"f", Dim::kD, Dim::kOne, -32639, 32639},  // 81
    {"logit_part", Dim::kV, Dim::kKd, -pow2(33), pow2(33)},  // 82
    {"logit", Dim::kV, Dim::kOne, kSigned32.lo, kSigned32.hi},  // 83
    {"l", Dim::kV, Dim::kOne, -pow2(33), pow2(33)},  // 84
    {"l_hi", Dim::kPv, Dim::kOne, -pow2(33), pow2(33)},  // 85
    {"l_max", Dim::kOne, Dim::kOne, -pow2(33), pow2(33)},  // 86
    {"delta", Dim::kV, Dim::kOne, 0, pow2(24) - 1},  // 87
    {"k_cut", Dim::kOne, Dim::kOne, 0, pow2(42) - 1},  // 88
    {"k_count", Dim::kPv, Dim::kOne, 0, 4096},  // 89
    {"k_w", Dim::kV, Dim::kOne, 0, pow2(28)},  // 90
    {"k_mass", Dim::kPv, Dim::kOne, 0, pow2(40)},  // 91
    {"p_cut", Dim::kOne, Dim::kOne, 0, pow2(42) - 1},  // 92
    {"p_w", Dim::kV, Dim::kOne, 0, pow2(28)},  // 93
    {"p_mass", Dim::kPv, Dim::kOne, 0, pow2(40)},  // 94
    {"score", Dim::kV, Dim::kOne, -pow2(30), pow2(25)},  // 95
    {"best", Dim::kPv, Dim::kOne, -pow2(33), pow2(33)},  // 96
    {"best_id", Dim::kPv, Dim::kOne, 0, pow2(18) - 1},  // 97
    {"token", Dim::kOne, Dim::kOne, 0, pow2(18) - 1},  // 98
}};
// clang-format on

std::uint64_t size_of(const Shape& s, std::uint32_t t, Dim dim) {
  switch (dim) {
    case Dim::kOne:
      return 1;
    case Dim::kTwo:
      return 2;
    case Dim::kFour:
      return 4;
    case Dim::kD:
      return s.hidden;
    case Dim::kPd:
      return blocks(s.hidden, kPartTerms);
    case Dim::kQd:
      return blocks(s.hidden, kFoldTerms);
    case Dim::kH:
      return s.heads;
    case Dim::kG:
      return s.kv_heads;
    case Dim::kHD:
      return s.q_width();
    case Dim::kGD:
      return s.kv_width();
    case Dim::kHalfD:
      return s.head_dim / 2;
    case Dim::kKd:
      return blocks(s.hidden, kDotTerms);
    case Dim::kKhd:
      return blocks(s.q_width(), kDotTerms);
    case Dim::kKffn:
      return blocks(s.ffn, kDotTerms);
    case Dim::kWindow:
      return std::uint64_t{tiles_of(t, s.window).count} * kTile;
    case Dim::kTiles:
      return tiles_of(t, s.window).count;
    case Dim::kFfn:
      return s.ffn;
    case Dim::kQffn:
      return blocks(s.ffn, kFoldTerms);
    case Dim::kV:
      return s.vocabulary;
    case Dim::kPv:
      return blocks(s.vocabulary, kPartTerms);
  }
  OTR_CHECK(false);
}

// Whether the program has the tensor at all (SPEC PROG-1, PROG-2, PROG-3).
bool present(const Shape& s, const Sampling& sampling, std::uint32_t layer, Tensor tensor) {
  if ((tensor >= kFirstOfHead) != (layer == kHeadLayer)) return false;
  if (layer != kHeadLayer && layer >= s.layers) return false;
  switch (tensor) {
    case Tensor::kXIn:
      return layer == 0;
    case Tensor::kQPart:
    case Tensor::kKPart:
    case Tensor::kVPart:
    case Tensor::kGatePart:
    case Tensor::kUpPart:
    case Tensor::kLogitPart:
      return s.hidden > kDotTerms;
    case Tensor::kWoPart:
      return s.q_width() > kDotTerms;
    case Tensor::kDownPart:
      return s.ffn > kDotTerms;
    case Tensor::kQRoot:
    case Tensor::kQN:
    case Tensor::kKRoot:
    case Tensor::kKN:
      return s.qk_norm;
    case Tensor::kDelta:
    case Tensor::kKCut:
    case Tensor::kKCount:
    case Tensor::kKW:
    case Tensor::kKMass:
    case Tensor::kPCut:
    case Tensor::kPW:
    case Tensor::kPMass:
    case Tensor::kScore:
      return !sampling.greedy();
    default:
      return true;
  }
}

}  // namespace

const TensorInfo& info(Tensor tensor) {
  static constexpr auto kInfos = [] {
    std::array<TensorInfo, kTensorCount> infos{};
    for (int i = 0; i < kTensorCount; ++i) {
      infos[i] = {kTensors[i].name, kTensors[i].lo, kTensors[i].hi};
    }
    return infos;
  }();
  return kInfos[static_cast<std::size_t>(tensor)];
}

TensorShape shape_of(const Program& program, const Sampling& sampling, std::uint32_t t,
                     std::uint32_t layer, Tensor tensor) {
  if (!present(program.shape, sampling, layer, tensor)) return {};
  const Row& row = kTensors[static_cast<std::size_t>(tensor)];
  const std::uint64_t rows = size_of(program.shape, t, row.rows);
  if (row.cols == Dim::kOne) return {1, rows};
  return {rows, size_of(program.shape, t, row.cols)};
}

}  // namespace otr::machine
