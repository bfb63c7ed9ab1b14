// JSON documents of strangers, with the exact bytes of every value in them: signatures and hashes
// of vendors' documents are over bytes as they were written (SPEC ATT-4).
#ifndef OTR_ATTEST_BUNDLE_JSON_H_
#define OTR_ATTEST_BUNDLE_JSON_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/canonical_json.h"
#include "base/result.h"

namespace otr::attest {

inline constexpr std::size_t kMaxDocumentDepth = 32;
inline constexpr std::size_t kMaxDocumentValues = std::size_t{1} << 17;

// Any well-formed JSON within these bounds and without a key twice in one object, of which readers
// differ in what counts. kBadInput, MALFORMED; `what` names the source.
[[nodiscard]] Result<Json> parse_document(std::string_view text, std::string_view what);

// A value of a document and the bytes it was written in. Both must outlive this.
struct Written {
  const Json* value = nullptr;
  std::string_view text;  // without white space around it

  // The members of an object or the items of an array (with empty names), in order of writing.
  [[nodiscard]] std::vector<std::pair<std::string, Written>> parts() const;
};

// The whole document; `text` must be what `value` was parsed from.
[[nodiscard]] Written written(std::string_view text, const Json& value);

}  // namespace otr::attest

#endif  // OTR_ATTEST_BUNDLE_JSON_H_
