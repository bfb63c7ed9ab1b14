#include "prover/gkr_kernels_of.h"

namespace otr::prover {

#if defined(__AVX2__)
const GkrKernels* gkr_kernels_avx2() {
  static constexpr GkrKernels kKernels = make_gkr_kernels<Lanes4>();
  return &kKernels;
}
#else
const GkrKernels* gkr_kernels_avx2() { return nullptr; }
#endif

}  // namespace otr::prover
