#include "prover/sumcheck_kernels.h"

#include "base/check.h"

namespace otr::prover {

const SumcheckKernels& sumcheck_kernels(Isa isa) {
  const SumcheckKernels* kernels = isa == Isa::kAvx512 ? sumcheck_kernels_avx512()
                                   : isa == Isa::kAvx2 ? sumcheck_kernels_avx2()
                                                       : &kSumcheckKernels<Lanes1>;
  OTR_CHECK(kernels != nullptr && supported(isa));
  return *kernels;
}

}  // namespace otr::prover
