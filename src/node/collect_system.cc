#include "node/collect_system.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace otr::node {
namespace {

std::int64_t result_of(std::int64_t returned) { return returned < 0 ? -errno : returned; }

class RealSystem final : public SystemCalls {
 public:
  std::int64_t open(const std::string& path, Access access) override {
    const int flags = access == Access::kRead    ? O_RDONLY
                      : access == Access::kWrite ? O_WRONLY
                                                 : O_RDWR;
    return result_of(::open(path.c_str(), flags | O_CLOEXEC));
  }
  std::int64_t read(int descriptor, std::span<std::uint8_t> to) override {
    return result_of(::read(descriptor, to.data(), to.size()));
  }
  std::int64_t write(int descriptor, ByteView bytes) override {
    return result_of(::write(descriptor, bytes.data(), bytes.size()));
  }
  void close(int descriptor) override { ::close(descriptor); }
  std::int64_t mkdir(const std::string& path) override {
    return result_of(::mkdir(path.c_str(), 0700));
  }
  std::int64_t rmdir(const std::string& path) override { return result_of(::rmdir(path.c_str())); }
  std::int64_t ioctl(int descriptor, unsigned long request, void* argument) override {
    return result_of(::ioctl(descriptor, request, argument));
  }
  void wait_ms(unsigned milliseconds) override {
    ::poll(nullptr, 0, static_cast<int>(milliseconds));
  }
  void* load_library(const std::string& name) override {
    return ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  }
  void* symbol(void* library, const std::string& name) override {
    return ::dlsym(library, name.c_str());
  }
};

}  // namespace

SystemCalls& system_calls() {
  static RealSystem system;
  return system;
}

std::unexpected<Error> system_error(std::string_view what, std::int64_t result) {
  const int reason = static_cast<int>(-result);
  const bool refused = reason == EACCES || reason == EPERM;
  const bool again = reason == EAGAIN || reason == EBUSY || reason == EINTR || reason == ETIMEDOUT;
  return fail(again ? ErrorKind::kNetwork : ErrorKind::kIo,
              "cannot " + std::string(what) + ": " + std::strerror(reason) +
                  (refused ? "; run as root, or give this user access to it"
                   : again ? "; ask again"
                           : ""));
}

}  // namespace otr::node
