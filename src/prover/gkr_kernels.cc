#include "prover/gkr_kernels.h"

#include "prover/gkr_kernels_of.h"

namespace otr::prover {

const GkrKernels& gkr_kernels(Isa isa) {
  static constexpr GkrKernels kPortable = make_gkr_kernels<Lanes1>();
  switch (isa) {
    case Isa::kAvx2:
      if (const GkrKernels* kernels = gkr_kernels_avx2()) return *kernels;
      break;
    case Isa::kAvx512:
      if (const GkrKernels* kernels = gkr_kernels_avx512()) return *kernels;
      break;
    case Isa::kPortable:
      break;
  }
  return kPortable;
}

}  // namespace otr::prover
