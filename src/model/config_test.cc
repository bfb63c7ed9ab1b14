#include "model/config.h"

#include <gtest/gtest.h>

#include "base/canonical_json.h"
#include "model/random_artifact.h"

namespace otr::model {
namespace {

Json valid_json() {
  const Config config = random_artifact({.tied = false, .biases = true, .qk_norm = true}).config;
  return Json::parse(encode_config(config));
}

std::string refusal(const Json& json) {
  const Result<Config> config = parse_config(json.dump());
  return config ? "accepted" : config.error().code + ": " + config.error().message;
}

TEST(Config, RoundTrip) {
  const std::string text = valid_json().dump();
  const Result<Config> config = parse_config(text);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(encode_config(*config), text);
  EXPECT_EQ(config->exponents.at("layers.1.q_norm"), 16);
  EXPECT_EQ(config->exponents.at("head"), 22);
}

TEST(Config, EveryMemberIsNeeded) {
  const Json valid = valid_json();
  for (const auto& [name, value] : valid.items()) {
    Json broken = valid;
    broken.erase(name);
    EXPECT_EQ(refusal(broken), "MALFORMED: otr.config: " + name + " is missing.");
    for (const Json& other : {Json(nullptr), Json("8"), Json(-1), Json(UINT64_MAX), Json(INT64_MIN),
                              Json::array({-1}), Json::object({{"x", 1}})}) {
      broken[name] = other;
      EXPECT_TRUE(refusal(broken).starts_with("M")) << refusal(broken);
      EXPECT_NE(refusal(broken).find(name), std::string::npos) << refusal(broken);
    }
  }
}

struct BadValue {
  const char* pointer;
  Json value;
  const char* code = "MODEL_INVALID";
};

TEST(Config, RangesAreChecked) {
  const BadValue cases[] = {
      {"/hidden", 0},
      {"/hidden", 16385},
      {"/ffn", 65537},
      {"/context", 131073},
      {"/vocabulary", 262145},
      {"/layers", 257},
      {"/layers", 3, "MALFORMED"},
      {"/heads", 257},
      {"/kv_heads", 3},
      {"/head_dim", 258},
      {"/head_dim", 3},
      {"/head_dim", 0},
      {"/window", 300},
      {"/residual_frac_bits", 7},
      {"/residual_frac_bits", 21},
      {"/qk_frac_bits", 7},
      {"/qk_frac_bits", 14},
      {"/eps", (std::int64_t{1} << 40) + 1},
      {"/eps_qk", (std::int64_t{1} << 40) + 1},
      {"/qk_norm", false},
      {"/tied", true, "MALFORMED"},
      {"/eos_ids", {2, 2}},
      {"/eos_ids", {3, 2}},
      {"/eos_ids", {17}},
      {"/eos_ids", {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}},
      {"/act_bits/head", 12},
      {"/act_bits/head", true, "MALFORMED"},
      {"/act_bits/o", {16}, "MALFORMED"},
      {"/act_bits/o", {16, 9}},
      {"/act_bits/gate", {16, 16}, "MALFORMED"},
      {"/exponents/embed", 15},
      {"/exponents/embed", 41},
      {"/exponents/final_norm", -1},
      {"/exponents/layers.1.wq", 32},  // F_q + 19
      {"/exponents/layers.0.wk", 32},
      {"/exponents/layers.0.wv", 34},
      {"/exponents/layers.2.wq", 20, "MALFORMED"},
      {"/act", 1, "MALFORMED"},
  };
  for (const BadValue& test : cases) {
    Json broken = valid_json();
    broken[Json::json_pointer(test.pointer)] = test.value;
    EXPECT_TRUE(refusal(broken).starts_with(test.code)) << test.pointer << refusal(broken);
  }
  Json wide = valid_json();
  wide["heads"] = 256;
  wide["kv_heads"] = 256;
  wide["head_dim"] = 130;
  EXPECT_TRUE(refusal(wide).starts_with("MODEL_INVALID: otr.config: heads times head_dim"));
}

TEST(Config, OnlyCanonicalText) {
  const Result<Config> spaced = parse_config(valid_json().dump(1));
  ASSERT_FALSE(spaced);
  EXPECT_EQ(spaced.error().code, "NOT_CANONICAL");
  const Result<Config> broken = parse_config("{");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, "MALFORMED");
  EXPECT_EQ(refusal(Json::array()), "MALFORMED: otr.config: it must be an object.");
}

}  // namespace
}  // namespace otr::model
