#include "prover/gkr_kernels_of.h"

namespace otr::prover {

#if defined(__AVX512F__)
const GkrKernels* gkr_kernels_avx512() {
  static constexpr GkrKernels kKernels = make_gkr_kernels<Lanes8>();
  return &kKernels;
}
#else
const GkrKernels* gkr_kernels_avx512() { return nullptr; }
#endif

}  // namespace otr::prover
