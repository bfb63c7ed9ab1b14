// Every entry of the catalogue, by two seeds.
#include "sim/attack.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "sim/catalogue.h"

namespace otr::sim {
namespace {

class AttackTest : public testing::TestWithParam<Attack> {};

TEST_P(AttackTest, IsCaughtAsTheSpecDemands) {
  for (const std::uint64_t seed : {1u, 20u}) {
    const Outcome outcome = run(GetParam(), seed);
    EXPECT_EQ(shortcoming(GetParam(), outcome), "") << "seed " << seed;
  }
}

std::string name_of_test(const testing::TestParamInfo<Attack>& info) {
  std::string name(info.param.id);
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
}

INSTANTIATE_TEST_SUITE_P(Catalogue, AttackTest, testing::ValuesIn(catalogue()), name_of_test);

TEST(Catalogue, NamesEveryAttackOnceWithItsRule) {
  const auto all = catalogue();
  EXPECT_GE(all.size(), 40u);
  std::set<std::string_view> ids;
  for (const Attack& attack : all) {
    EXPECT_TRUE(ids.insert(attack.id).second) << attack.id;
    EXPECT_FALSE(attack.what.empty() || attack.demanded.rule.empty() || attack.demanded.how.empty())
        << attack.id;
    EXPECT_EQ(find_attack(all, attack.id)->id, attack.id);
  }
  EXPECT_EQ(find_attack(all, "no-such"), nullptr);
}

TEST(Catalogue, AnAttackThatBreaksItsStageFailsAlone) {
  const Attack attack{"a", "b", {}, [](std::uint64_t) -> Outcome {
                        (void)std::vector<int>().at(0);
                        return {};
                      }};
  EXPECT_NE(shortcoming(attack, run(attack, 1)), "");
}

TEST(Catalogue, AnOutcomeThatIsNotDemandedIsAShortcoming) {
  const Attack attack{"a", "b", {Tier::kRule, "NONCE", "cheat", "SET-7"}, nullptr};
  const Outcome good{
      .is_caught = true, .tier = Tier::kRule, .how = "NONCE", .losses = {{"cheat", 1}}};
  EXPECT_EQ(shortcoming(attack, good), "");
  Outcome bad = good;
  bad.is_caught = false;
  EXPECT_NE(shortcoming(attack, bad), "");
  bad = good;
  bad.tier = Tier::kDraw;
  EXPECT_NE(shortcoming(attack, bad), "");
  bad = good;
  bad.how = "EXISTS";
  EXPECT_NE(shortcoming(attack, bad), "");
  bad = good;
  bad.losses.push_back({"operator", 1});
  EXPECT_NE(shortcoming(attack, bad), "");
  bad = good;
  bad.losses.clear();
  EXPECT_NE(shortcoming(attack, bad), "");
  bad = good;
  bad.wrong = "a false claim is final";
  EXPECT_EQ(shortcoming(attack, bad), "a false claim is final");
}

}  // namespace
}  // namespace otr::sim
