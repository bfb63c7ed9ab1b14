#include "prover/sumcheck_kernels.h"

namespace otr::prover {

#if defined(__AVX2__)
const SumcheckKernels* sumcheck_kernels_avx2() { return &kSumcheckKernels<Lanes4>; }
#else
const SumcheckKernels* sumcheck_kernels_avx2() { return nullptr; }
#endif

}  // namespace otr::prover
