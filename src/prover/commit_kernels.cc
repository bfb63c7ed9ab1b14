#include "prover/commit_kernels.h"

#include "base/check.h"
#include "prover/commit_kernels_body.h"

namespace otr::prover {

const CommitKernels& commit_kernels(Isa isa) {
  OTR_CHECK(supported(isa));
  const CommitKernels* table = isa == Isa::kAvx512 ? commit_kernels_avx512()
                               : isa == Isa::kAvx2 ? commit_kernels_avx2()
                                                   : nullptr;
  return table != nullptr ? *table : CommitKernelBodies<Lanes1>::kTable;
}

}  // namespace otr::prover
