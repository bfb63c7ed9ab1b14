// TCB info and QE identities from anybody, and the rules over what they say. Input: 34 bytes for
// the platform, then a document.
#include <algorithm>

#include "attest/dcap_tcb.h"
#include "base/check.h"

using namespace otr;
using namespace otr::attest;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 34) return 0;
  PckInfo pck;
  std::copy_n(data, 16, pck.components.begin());
  pck.pce_svn = load_le<std::uint16_t>(data + 16);
  std::array<std::uint8_t, 16> tee{};
  std::copy_n(data + 18, 16, tee.begin());
  const std::string_view text = as_text(ByteView(data + 34, size - 34));
  if (const auto info = parse_tcb_info(text)) {
    OTR_CHECK(!info->signed_text.empty() && text.contains(info->signed_text));
    const TcbLevel* sgx = platform_level(*info, pck, nullptr);
    const TcbLevel* tdx = platform_level(*info, pck, &tee);
    OTR_CHECK(tdx == nullptr || (sgx != nullptr && sgx <= tdx));  // an earlier one, or the same
    const TdxModule* module = find_module(*info, tee[1]);
    const TcbLevel* level = module == nullptr ? nullptr : isv_level(module->levels, tee[0]);
    if (tdx != nullptr && level != nullptr) {
      const TcbStatus status = converge(tdx->status, level->status);
      (void)name_of(relaunched(status, sgx->status, level->status, *info, tee));
    }
  }
  if (const auto identity = parse_qe_identity(text)) {
    OTR_CHECK(identity->r_s.size() == 64);
    (void)isv_level(identity->levels, pck.pce_svn);
  }
  return 0;
}
