// The inner loops of the commitment and its opening (SPEC PC-3, PO-1, PO-2), one table for each
// instruction set. All numbers are canonical; elements of K are two arrays. Every table gives the
// same bits.
#ifndef OTR_PROVER_COMMIT_KERNELS_H_
#define OTR_PROVER_COMMIT_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "prover/isa.h"
#include "zk/field.h"
#include "zk/ntt.h"

namespace otr::prover {

struct ConstExts {
  const std::uint64_t* c0;
  const std::uint64_t* c1;
};
struct Exts {
  std::uint64_t* c0;
  std::uint64_t* c1;
};

inline constexpr std::size_t kMostWidth = 8;
inline constexpr std::size_t kGatheredPlaces = 8;
inline constexpr std::size_t kCombinedPlaces = 64;
// Lanes of g(0) and of the leading coefficient of g, each c0 then c1; their sums are what is meant.
using LaneSums = std::uint64_t[4 * kMostWidth];

struct CommitKernels {
  std::size_t width;  // rows that are encoded side by side

  // Parities of `count` <= width rows of n cells, n a multiple of 8, that are `stride` apart. Cell
  // i of row c is written to parity[i·parity_stride + c]. `scratch` has n·width numbers.
  void (*encode_rows)(const std::uint64_t* rows, std::size_t stride, std::size_t count,
                      std::size_t n, zk::Twiddles twiddles, std::uint64_t* scratch,
                      std::uint64_t* parity, std::size_t parity_stride);
  // The first kGatheredPlaces cells of `count` rows, place by place: out[i·count + c].
  void (*gather_places)(const std::uint64_t* rows, std::size_t stride, std::size_t count,
                        std::uint64_t* out);
  // out[i] += table[i]·factor for i < n, n a power of two.
  void (*add_scaled)(Exts out, ConstExts table, std::size_t n, const zk::Ext* factor);
  // Sums over the pairs of n elements, for a product of f in F (f in K) and w. n is a multiple
  // of 16.
  void (*sum_base)(const std::uint64_t* f, ConstExts w, std::size_t n, LaneSums& sums);
  void (*sum_ext)(ConstExts f, ConstExts w, std::size_t n, LaneSums& sums);
  // The lowest variable of n elements bound to r: n / 2 elements. n is a multiple of 16.
  void (*fold_base)(const std::uint64_t* f, std::size_t n, const zk::Ext* r, Exts out);
  // The same for f and w, and the sums of what comes out. n is a multiple of 32.
  void (*fold_and_sum)(ConstExts f, ConstExts w, std::size_t n, const zk::Ext* r, Exts f_out,
                       Exts w_out, LaneSums& sums);
  // out[i] = Σ_c weights[c]·rows[c·stride + i] for i < kCombinedPlaces.
  void (*combine_rows)(const std::uint64_t* rows, std::size_t stride, std::size_t count,
                       const zk::Ext* weights, Exts out);
};

// Requires supported(isa).
[[nodiscard]] const CommitKernels& commit_kernels(Isa isa);

// Null where the file was not compiled for its set.
[[nodiscard]] const CommitKernels* commit_kernels_avx2();
[[nodiscard]] const CommitKernels* commit_kernels_avx512();

}  // namespace otr::prover

#endif  // OTR_PROVER_COMMIT_KERNELS_H_
