// Files of strangers as evidence and collateral: sorted, judged and reported, and never accepted
// under a policy that names nothing of theirs. The input is up to eight files, with a line "%%%"
// between two.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "attest/anchors.h"
#include "attest/bundle.h"
#include "attest/report.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace otr;
  constexpr std::string_view kBetween = "\n%%%\n";
  std::vector<attest::Item> items;
  std::string_view rest = as_text(ByteView(data, size));
  while (items.size() < 8) {
    const std::size_t end = std::min(rest.find(kBetween), rest.size());
    const ByteView bytes = as_bytes(rest.substr(0, end));
    items.push_back({"file" + std::to_string(items.size()), Bytes(bytes.begin(), bytes.end())});
    if (end == rest.size()) break;
    rest.remove_prefix(end + kBetween.size());
  }
  const auto bundle = attest::sort_items(items);
  if (!bundle) {
    OTR_CHECK(bundle.error().kind == ErrorKind::kBadInput && !bundle.error().message.empty());
    return 0;
  }
  static const attest::Policy policy =
      *attest::parse_policy(*attest::built_in_policy("simulated-example"));
  const attest::Time at = 1750000000;
  const attest::Appraisal appraisal =
      attest::appraise(*bundle, policy, {.nonce = Bytes(32, 1)}, attest::vendor_anchors(), at);
  OTR_CHECK(!appraisal.accepted());
  OTR_CHECK(appraisal.verdicts.size() == appraisal.names.size());
  OTR_CHECK(attest::to_text(appraisal, policy, at, true).find('\x1b') == std::string::npos);
  const Json json = attest::to_json(appraisal, policy, at);
  OTR_CHECK(!json.dump(-1, ' ', false, Json::error_handler_t::replace).empty());
  return 0;
}
