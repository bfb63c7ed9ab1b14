#include "env/random.h"

#include <sys/random.h>

#include <cerrno>
#include <system_error>

namespace otr::env {

Result<Hash> random_32_bytes() {
  Hash bytes{};
  for (;;) {
    const ssize_t count = getrandom(bytes.data(), bytes.size(), 0);
    // The kernel never cuts a request of up to 256 bytes short.
    if (count == static_cast<ssize_t>(bytes.size())) return bytes;
    if (count < 0 && errno == EINTR) continue;
    return fail(ErrorKind::kIo,
                "getrandom: " + std::generic_category().message(count < 0 ? errno : EIO) +
                    ". The system gives this process no entropy, so no key can be made here.");
  }
}

}  // namespace otr::env
