#include "engine/kernels.h"

#include <vector>

#if defined(__aarch64__)
// As <sys/auxv.h> declares it: what the system says of the processor it runs on.
extern "C" unsigned long getauxval(unsigned long type) noexcept;
#endif

namespace otr::engine {
namespace {

#if defined(__x86_64__)
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
         __builtin_cpu_supports("avx512vnni") != 0;
}
bool has_avx2() { return __builtin_cpu_supports("avx2") != 0; }
bool has_dotprod() { return false; }
bool has_i8mm() { return false; }
#elif defined(__aarch64__)
bool has_avx512() { return false; }
bool has_avx2() { return false; }
// Entries of the auxiliary vector and their bits: AT_HWCAP and AT_HWCAP2, HWCAP_ASIMDDP and
// HWCAP2_I8MM (Linux, arch/arm64/include/uapi/asm/hwcap.h).
bool has_dotprod() { return (getauxval(16) & (1UL << 20)) != 0; }
bool has_i8mm() { return has_dotprod() && (getauxval(26) & (1UL << 13)) != 0; }
#else
bool has_avx512() { return false; }
bool has_avx2() { return false; }
bool has_dotprod() { return false; }
bool has_i8mm() { return false; }
#endif

std::vector<const Kernel*> find_kernels() {
  std::vector<const Kernel*> found;
  const auto add = [&](const Kernel* kernel, bool supported) {
    if (kernel != nullptr && supported) found.push_back(kernel);
  };
  add(avx512_kernel(), has_avx512());
  add(avx2_kernel(), has_avx2());
  add(i8mm_kernel(), has_i8mm());
  add(dotprod_kernel(), has_dotprod());
  add(portable_kernel(), true);
  return found;
}

}  // namespace

std::span<const Kernel* const> kernels() {
  static const std::vector<const Kernel*> found = find_kernels();
  return found;
}

}  // namespace otr::engine
