#include "prover/lanes_test_ops.h"

namespace otr::prover {

#if defined(__AVX2__)
const LanesOps* lanes_ops_avx2() { return &kLanesOps<Lanes4>; }
#else
const LanesOps* lanes_ops_avx2() { return nullptr; }
#endif

}  // namespace otr::prover
