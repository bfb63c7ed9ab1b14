// Numbers of a stranger's config.json, with their ranges.
#ifndef OTR_CONVERT_JSON_NUMBERS_H_
#define OTR_CONVERT_JSON_NUMBERS_H_

#include <cstdint>
#include <string>

#include "base/result.h"
#include "text/json.h"

namespace otr::convert {

// The member of `object` as a number in [low, high]; kBadInput if it is missing or anything else.
[[nodiscard]] Result<double> number_in(const Json& object, const char* name, double low,
                                       double high);
// The same, but `otherwise` where the member is absent or null.
[[nodiscard]] Result<double> number_in_or(const Json& object, const char* name, double otherwise,
                                          double low, double high);
// The same for whole numbers.
[[nodiscard]] Result<std::uint32_t> size_in(const Json& object, const char* name, std::uint32_t low,
                                            std::uint32_t high);
[[nodiscard]] Result<std::uint32_t> size_in_or(const Json& object, const char* name,
                                               std::uint32_t otherwise, std::uint32_t low,
                                               std::uint32_t high);

}  // namespace otr::convert

#endif  // OTR_CONVERT_JSON_NUMBERS_H_
