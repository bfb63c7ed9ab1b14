// The micro-tensors of the program: the one table of facts about them (SPEC PROG-2, PROG-3,
// PROG-7).
#ifndef OTR_MACHINE_TENSORS_H_
#define OTR_MACHINE_TENSORS_H_

#include <cstdint>
#include <string_view>

#include "machine/program.h"

namespace otr::machine {

// Numbers are those of the SPEC. 0 to 70 belong to a layer, 71 to 91 to the head.
enum class Tensor : std::uint8_t {
  kXIn = 0,
  kN1Hi = 1,
  kN1Lo = 2,
  kN1Shift = 3,
  kN1Sumsq = 4,
  kN1Root = 5,
  kAHi = 6,
  kALo = 7,
  kAExp = 8,
  kA = 9,
  kQPart = 10,
  kQY = 11,
  kKPart = 12,
  kKY = 13,
  kVPart = 14,
  kVM = 15,
  kQRoot = 16,
  kQN = 17,
  kKRoot = 18,
  kKN = 19,
  kRope = 20,
  kQHi = 21,
  kQLo = 22,
  kQExp = 23,
  kQ = 24,
  kKHi = 25,
  kKLo = 26,
  kKExp = 27,
  kK = 28,
  kVHi = 29,
  kVLo = 30,
  kVExp = 31,
  kV = 32,
  kZ = 33,
  kTileM = 34,
  kTileX = 35,
  kTileS = 36,
  kTileA = 37,
  kHeadM = 38,
  kHeadX = 39,
  kHeadS = 40,
  kHeadR = 41,
  kOV = 42,
  kOHi = 43,
  kOLo = 44,
  kOExp = 45,
  kO = 46,
  kWoPart = 47,
  kXMid = 48,
  kN2Hi = 49,
  kN2Lo = 50,
  kN2Shift = 51,
  kN2Sumsq = 52,
  kN2Root = 53,
  kMHi = 54,
  kMLo = 55,
  kMExp = 56,
  kM = 57,
  kGatePart = 58,
  kGateM = 59,
  kGHi = 60,
  kGLo = 61,
  kGExp = 62,
  kUpPart = 63,
  kHM = 64,
  kHHi = 65,
  kHLo = 66,
  kHExp = 67,
  kH = 68,
  kDownPart = 69,
  kXOut = 70,
  kNfHi = 71,
  kNfLo = 72,
  kNfShift = 73,
  kNfSumsq = 74,
  kNfRoot = 75,
  kFHi = 76,
  kFLo = 77,
  kFExp = 78,
  kF = 79,
  kLogitPart = 80,
  kLogit = 81,
  kLHi = 82,
  kLMax = 83,
  kKCut = 84,
  kKCount = 85,
  kKMass = 86,
  kPCut = 87,
  kPMass = 88,
  kBest = 89,
  kBestId = 90,
  kToken = 91
};
inline constexpr int kTensorCount = 92;
inline constexpr Tensor kFirstOfHead = Tensor::kNfHi;

struct TensorInfo {
  std::string_view name;
  std::int64_t lo;  // SPEC PROG-7: every element lies in [lo, hi]
  std::int64_t hi;
};
const TensorInfo& info(Tensor tensor);

struct TensorShape {
  std::uint64_t rows = 0;
  std::uint64_t cols = 0;  // a tensor of one dimension is one column here

  std::uint64_t size() const { return rows * cols; }
};

// Shape of a tensor at position t of layer `layer` (kHeadLayer for the head); size 0 where the
// program has no such tensor there.
TensorShape shape_of(const Program& program, const Sampling& sampling, std::uint32_t t,
                     std::uint32_t layer, Tensor tensor);

}  // namespace otr::machine

#endif  // OTR_MACHINE_TENSORS_H_
