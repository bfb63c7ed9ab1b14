#include "prover/lanes_test_ops.h"

namespace otr::prover {

#if defined(__AVX512F__)
const LanesOps* lanes_ops_avx512() { return &kLanesOps<Lanes8>; }
#else
const LanesOps* lanes_ops_avx512() { return nullptr; }
#endif

}  // namespace otr::prover
