// A recorded conversation with the operating system, replayed in its order: for tests of evidence
// collection alone (TESTS in CMakeLists.txt).
#ifndef OTR_NODE_TRANSCRIPT_H_
#define OTR_NODE_TRANSCRIPT_H_

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "node/collect_system.h"

namespace otr::node::test {

// One call and what came back.
struct Step {
  std::string call;         // "open r /dev/x", "read 3", "ioctl 3 c0105300", "rmdir /…"
  std::int64_t result = 0;  // an errno has a minus sign
  Bytes data;               // what a read gives, or what a write must have been given
  std::function<void(void* argument)> effect;  // what an ioctl does to its argument
};

// Every call must be the next one of the steps: another one fails the test and gets -EIO. A test
// ends with the transcript used up.
class Transcript final : public SystemCalls {
 public:
  explicit Transcript(std::vector<Step> steps) : steps_(std::move(steps)) {}
  ~Transcript() override;

  std::int64_t open(const std::string& path, Access access) override;
  std::int64_t read(int descriptor, std::span<std::uint8_t> to) override;
  std::int64_t write(int descriptor, ByteView bytes) override;
  void close(int descriptor) override;
  std::int64_t mkdir(const std::string& path) override;
  std::int64_t rmdir(const std::string& path) override;
  std::int64_t ioctl(int descriptor, unsigned long request, void* argument) override;
  void wait_ms(unsigned milliseconds) override;
  void* load_library(const std::string& name) override;
  void* symbol(void* library, const std::string& name) override;

  std::map<std::string, void*> symbols;  // of the library that load_library gives, if any

 private:
  const Step& next(const std::string& call);

  std::vector<Step> steps_;
  std::size_t at_ = 0;
};

// Steps that read a whole file, the content coming in the parts given, and that write one.
[[nodiscard]] std::vector<Step> file_read(const std::string& path, const std::vector<Bytes>& parts);
[[nodiscard]] std::vector<Step> file_read(const std::string& path, std::string_view text);
[[nodiscard]] std::vector<Step> file_write(const std::string& path, ByteView bytes);
[[nodiscard]] std::vector<Step> joined(const std::vector<std::vector<Step>>& parts);

}  // namespace otr::node::test

#endif  // OTR_NODE_TRANSCRIPT_H_
