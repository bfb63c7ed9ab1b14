#include "prover/sumcheck_kernels.h"

namespace otr::prover {

#if defined(__AVX512F__)
const SumcheckKernels* sumcheck_kernels_avx512() { return &kSumcheckKernels<Lanes8>; }
#else
const SumcheckKernels* sumcheck_kernels_avx512() { return nullptr; }
#endif

}  // namespace otr::prover
