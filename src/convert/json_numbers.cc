#include "convert/json_numbers.h"

#include <cmath>
#include <sstream>

namespace otr::convert {

Result<double> number_in(const Json& object, const char* name, double low, double high) {
  const Json& value = text::member(object, name);
  // Written so that what is not a number at all fails the comparison.
  const double number = value.is_number() ? value.get<double>() : std::nan("");
  if (number >= low && number <= high) return number;
  std::ostringstream message;
  message << "config.json: " << name << " must be a number in [" << low << ", " << high << "]"
          << (value.is_null() ? "; it is missing." : ".");
  return fail(ErrorKind::kBadInput, message.str());
}

Result<double> number_in_or(const Json& object, const char* name, double otherwise, double low,
                            double high) {
  if (text::member(object, name).is_null()) return otherwise;
  return number_in(object, name, low, high);
}

Result<std::uint32_t> size_in(const Json& object, const char* name, std::uint32_t low,
                              std::uint32_t high) {
  OTR_TRY_ASSIGN(const double number, number_in(object, name, low, high));
  if (number != std::floor(number)) {
    return fail(ErrorKind::kBadInput,
                "config.json: " + std::string(name) + " must be a whole number.");
  }
  return static_cast<std::uint32_t>(number);
}

Result<std::uint32_t> size_in_or(const Json& object, const char* name, std::uint32_t otherwise,
                                 std::uint32_t low, std::uint32_t high) {
  if (text::member(object, name).is_null()) return otherwise;
  return size_in(object, name, low, high);
}

}  // namespace otr::convert
