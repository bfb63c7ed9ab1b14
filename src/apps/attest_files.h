// Files for otr attest, and what is in them.
#ifndef OTR_APPS_ATTEST_FILES_H_
#define OTR_APPS_ATTEST_FILES_H_

#include <span>
#include <string>
#include <vector>

#include "attest/bundle.h"
#include "base/canonical_json.h"
#include "base/result.h"

namespace otr::apps {

// The files of each path: a file itself, or the regular files of a folder in order of their names,
// hidden ones and folders inside left out. kUsage where a folder has none.
Result<std::vector<attest::Item>> read_items(const std::vector<std::string>& paths);

// All that is in them as facts, by file; nothing is verified. Collateral too.
Result<Json> describe_items(std::span<const attest::Item> items);

}  // namespace otr::apps

#endif  // OTR_APPS_ATTEST_FILES_H_
