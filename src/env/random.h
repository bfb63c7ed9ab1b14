// Entropy from the kernel, for keys and seeds.
#ifndef OTR_ENV_RANDOM_H_
#define OTR_ENV_RANDOM_H_

#include "base/bytes.h"
#include "base/result.h"

namespace otr::env {

// 32 unpredictable bytes. Waits, early after boot, until the kernel has gathered enough entropy;
// kIo if the system refuses the call.
[[nodiscard]] Result<Hash> random_32_bytes();

}  // namespace otr::env

#endif  // OTR_ENV_RANDOM_H_
