// Reading spec/vectors/*.json in tests. A missing or empty file is a failure, never a skip.
#ifndef OTR_BASE_TEST_VECTORS_H_
#define OTR_BASE_TEST_VECTORS_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace otr {

// What a body computes for the `in` of a case: the members of `out`.
using VectorBody = std::function<nlohmann::json(const nlohmann::json& in)>;

// Runs every case of the chapter that names `rule`, comparing each member of "out" with what the
// body returns; a case with "wrong" must not be reproduced (the near miss must be told apart).
// Returns the number of cases.
inline int check_vectors(const std::string& chapter, const std::string& rule,
                         const VectorBody& body) {
  std::ifstream file(OTR_SOURCE_DIR "/spec/vectors/" + chapter + ".json");
  const auto document = nlohmann::json::parse(file, nullptr, false);
  EXPECT_TRUE(document.is_object()) << "cannot read spec/vectors/" << chapter << ".json";
  if (!document.is_object()) return 0;
  int count = 0;
  for (const auto& c : document.at("cases")) {
    const auto& rules = c.at("rule");
    const bool named =
        rules.is_string()
            ? rules == rule
            : std::any_of(rules.begin(), rules.end(), [&](const auto& one) { return one == rule; });
    if (!named) continue;
    ++count;
    SCOPED_TRACE(rule + " " + c.at("name").get<std::string>() + " #" + std::to_string(count));
    const nlohmann::json got = body(c.at("in"));
    if (c.contains("wrong")) {
      bool same = true;
      for (const auto& [name, value] : c.at("wrong").items())
        same &= got.value(name, nlohmann::json()) == value;
      EXPECT_FALSE(same) << "the wrong value was reproduced: " << c.at("wrong").dump();
    } else if (c.contains("out")) {
      EXPECT_EQ(got.contains("reject"), c.at("out").contains("reject")) << got.dump();
      for (const auto& [name, value] : c.at("out").items()) {
        EXPECT_EQ(got.value(name, nlohmann::json()), value) << name << " of " << c.at("in").dump();
      }
    } else {
      EXPECT_EQ(got.value("reject", nlohmann::json()), c.at("reject")) << c.at("in").dump();
    }
  }
  EXPECT_GT(count, 0) << "no vectors for " << rule;
  return count;
}

}  // namespace otr

#endif  // OTR_BASE_TEST_VECTORS_H_
