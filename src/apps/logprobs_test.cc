// What stands beside log-probabilities wherever they are shown.
#include "apps/logprobs.h"

#include <gtest/gtest.h>

#include "protocol/toy_receipt.h"

namespace otr::apps {
namespace {

constexpr std::int32_t kUnit = 65536;  // a logit of 1

TEST(Logprobs, AreLabelledAndShowEveryByte) {
  const protocol::ToyModel toy = protocol::toy_model();
  const std::vector<node::TokenLogprobs> logprobs = {
      node::logprobs_of(std::vector<std::int32_t>{0, 0, 0, 9 * kUnit, 0, 0, 0, 0},
                        3,  // half a euro sign
                        2)};
  const std::string text = to_text(logprobs, toy.model);
  EXPECT_NE(text.find("NOT COVERED BY THE CLAIM"), std::string::npos);
  EXPECT_NE(text.find("-0.0009 \"\ufffd\"   likeliest: -0.0009 \"\ufffd\", -9.0009 \"<end>\""),
            std::string::npos)
      << text;
  const Json json = to_json(logprobs, toy.model);
  EXPECT_NE(json["note"].get<std::string>().find("NOT COVERED BY THE CLAIM"), std::string::npos);
  EXPECT_EQ(json["tokens"][0]["bytes"], Json({0xe2, 0x82}));
  EXPECT_EQ(json["tokens"][0]["top_logprobs"][1]["token"], "<end>");
  EXPECT_EQ(Json::parse(json.dump()), json);
}

}  // namespace
}  // namespace otr::apps
