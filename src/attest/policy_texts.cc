#include <array>

#include "attest/policy.h"

extern "C" {  // policy_texts.S
extern const char otr_policy_genuine[], otr_policy_genuine_end[];
extern const char otr_policy_strict_example[], otr_policy_strict_example_end[];
extern const char otr_policy_simulated_example[], otr_policy_simulated_example_end[];
}

namespace otr::attest {
namespace {

struct Text {
  std::string_view name;
  const char *begin, *end;
};

constexpr std::array<Text, 3> kTexts = {
    Text{"genuine", otr_policy_genuine, otr_policy_genuine_end},
    Text{"strict-example", otr_policy_strict_example, otr_policy_strict_example_end},
    Text{"simulated-example", otr_policy_simulated_example, otr_policy_simulated_example_end}};

}  // namespace

std::optional<std::string_view> built_in_policy(std::string_view name) {
  for (const Text& text : kTexts) {
    if (text.name == name) return std::string_view(text.begin, text.end);
  }
  return std::nullopt;
}

std::vector<std::string_view> built_in_policy_names() {
  std::vector<std::string_view> names;
  for (const Text& text : kTexts) names.push_back(text.name);
  return names;
}

}  // namespace otr::attest
