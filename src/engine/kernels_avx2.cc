#include "engine/kernels.h"
namespace otr::engine {
const Kernel* avx2_kernel() { return nullptr; }
}  // namespace otr::engine
