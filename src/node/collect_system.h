// The calls to the operating system through which evidence is collected, as one table, so that
// tests can put recorded transcripts in its place.
#ifndef OTR_NODE_COLLECT_SYSTEM_H_
#define OTR_NODE_COLLECT_SYSTEM_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace otr::node {

// Results are those of the system calls: not negative, or an errno with a minus sign. Nothing is
// retried here.
class SystemCalls {
 public:
  enum class Access { kRead, kWrite, kReadWrite };

  virtual ~SystemCalls() = default;
  virtual std::int64_t open(const std::string& path, Access access) = 0;
  virtual std::int64_t read(int descriptor, std::span<std::uint8_t> to) = 0;
  virtual std::int64_t write(int descriptor, ByteView bytes) = 0;
  virtual void close(int descriptor) = 0;
  virtual std::int64_t mkdir(const std::string& path) = 0;
  virtual std::int64_t rmdir(const std::string& path) = 0;
  virtual std::int64_t ioctl(int descriptor, unsigned long request, void* argument) = 0;
  virtual void wait_ms(unsigned milliseconds) = 0;
  // A shared library and the address of a function in it; null where there is none. A library stays
  // loaded.
  virtual void* load_library(const std::string& name) = 0;
  virtual void* symbol(void* library, const std::string& name) = 0;
};

// Those of the machine we run on.
[[nodiscard]] SystemCalls& system_calls();

// One descriptor, closed when it goes.
class Descriptor {
 public:
  Descriptor(SystemCalls& system, std::int64_t number) : system_(&system), number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (is_open()) system_->close(number());
  }
  [[nodiscard]] bool is_open() const { return number_ >= 0; }
  [[nodiscard]] int number() const { return static_cast<int>(number_); }
  [[nodiscard]] std::int64_t result() const { return number_; }  // of the call to open

 private:
  SystemCalls* system_;
  std::int64_t number_;
};

// kIo with what was tried, the system's reason and, where access is refused, what to do; kNetwork
// where the reason is that asking again may help. `result` is negative.
[[nodiscard]] std::unexpected<Error> system_error(std::string_view what, std::int64_t result);

}  // namespace otr::node

#endif  // OTR_NODE_COLLECT_SYSTEM_H_
