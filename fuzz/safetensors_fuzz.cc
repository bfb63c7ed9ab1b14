// Any bytes as the header of a stranger's safetensors file. What is accepted lies inside the data.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "convert/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace otr::convert;
  constexpr std::uint64_t kDataBytes = 64;
  const auto header =
      parse_safetensors_header(otr::as_text(otr::ByteView(data, size)), kDataBytes, "the input");
  if (!header) {
    OTR_CHECK(!header.error().message.empty());
    return 0;
  }
  std::uint64_t sum = 0;
  for (const auto& [name, tensor] : header->tensors) {
    OTR_CHECK(tensor.offset <= kDataBytes && tensor.size_bytes <= kDataBytes - tensor.offset);
    sum += tensor.size_bytes;
  }
  OTR_CHECK(sum <= kDataBytes);  // nothing overlaps
  return 0;
}
