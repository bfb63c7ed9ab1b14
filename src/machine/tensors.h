// The micro-tensors of the program: the one table of facts about them (SPEC PROG-2, PROG-3,
// PROG-7).
#ifndef OTR_MACHINE_TENSORS_H_
#define OTR_MACHINE_TENSORS_H_

#include <cstdint>
#include <string_view>

#include "machine/program.h"

namespace otr::machine {

// Numbers are those of the SPEC. 0 to 72 belong to a layer, 73 to 98 to the head.
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
  kHeadA = 42,
  kHeadShift = 43,
  kOV = 44,
  kOHi = 45,
  kOLo = 46,
  kOExp = 47,
  kO = 48,
  kWoPart = 49,
  kXMid = 50,
  kN2Hi = 51,
  kN2Lo = 52,
  kN2Shift = 53,
  kN2Sumsq = 54,
  kN2Root = 55,
  kMHi = 56,
  kMLo = 57,
  kMExp = 58,
  kM = 59,
  kGatePart = 60,
  kGateM = 61,
  kGHi = 62,
  kGLo = 63,
  kGExp = 64,
  kUpPart = 65,
  kHM = 66,
  kHHi = 67,
  kHLo = 68,
  kHExp = 69,
  kH = 70,
  kDownPart = 71,
  kXOut = 72,
  kNfHi = 73,
  kNfLo = 74,
  kNfShift = 75,
  kNfSumsq = 76,
  kNfRoot = 77,
  kFHi = 78,
  kFLo = 79,
  kFExp = 80,
  kF = 81,
  kLogitPart = 82,
  kLogit = 83,
  kL = 84,
  kLHi = 85,
  kLMax = 86,
  kDelta = 87,
  kKCut = 88,
  kKCount = 89,
  kKW = 90,
  kKMass = 91,
  kPCut = 92,
  kPW = 93,
  kPMass = 94,
  kScore = 95,
  kBest = 96,
  kBestId = 97,
  kToken = 98,
};
inline constexpr int kTensorCount = 99;
inline constexpr Tensor kFirstOfHead = Tensor::kNfHi;

struct TensorInfo {
  std::string_view name;
  std::int64_t lo;  // SPEC PROG-7: every element lies in [lo, hi]
  std::int64_t hi;
};
const TensorInfo& info(Tensor tensor);

// Rows and columns as the tensor is committed: one of one dimension is one row (SPEC PROG-5).
struct TensorShape {
  std::uint64_t rows = 0;
  std::uint64_t cols = 0;

  std::uint64_t size() const { return rows * cols; }
};

// Shape of a tensor at position t of layer `layer` (kHeadLayer for the head); size 0 where the
// program has no such tensor there.
TensorShape shape_of(const Program& program, const Sampling& sampling, std::uint32_t t,
                     std::uint32_t layer, Tensor tensor);

}  // namespace otr::machine

#endif  // OTR_MACHINE_TENSORS_H_
