// Must fail: `./run fuzz` takes a fuzzer that does not find this crash for a broken one.
#include <cstdint>
#include <cstdlib>
#include <cstring>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size >= 8 && std::memcmp(data, "canary!", 7) == 0 && data[7] == size) std::abort();
  return 0;
}
