#include "prover/commit_kernels_body.h"

namespace otr::prover {

const CommitKernels* commit_kernels_avx512() {
#if defined(__AVX512F__)
  return &CommitKernelBodies<Lanes8>::kTable;
#else
  return nullptr;
#endif
}

}  // namespace otr::prover
