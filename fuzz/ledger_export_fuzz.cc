// Exports of strangers (SPEC STORE-4): none crashes the reader; what verifies is what it says.
#include <cstdint>

#include "base/check.h"
#include "settlement/flat_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto state = otr::settlement::verify_flat_file({data, size});
  OTR_CHECK(state || !state.error().message.empty());
  return 0;
}
