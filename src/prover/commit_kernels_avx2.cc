#include "prover/commit_kernels_body.h"

namespace otr::prover {

const CommitKernels* commit_kernels_avx2() {
#if defined(__AVX2__)
  return &CommitKernelBodies<Lanes4>::kTable;
#else
  return nullptr;
#endif
}

}  // namespace otr::prover
