#include "prover/isa.h"

namespace otr::prover {

bool supported(Isa isa) {
#if defined(__x86_64__)
  switch (isa) {
    case Isa::kPortable:
      return true;
    case Isa::kAvx2:
      return __builtin_cpu_supports("avx2") != 0;
    case Isa::kAvx512:
      return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
             __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  }
  return false;
#else
  return isa == Isa::kPortable;
#endif
}

Isa best_isa() {
  return supported(Isa::kAvx512) ? Isa::kAvx512
         : supported(Isa::kAvx2) ? Isa::kAvx2
                                 : Isa::kPortable;
}

}  // namespace otr::prover
