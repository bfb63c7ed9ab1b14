// What the tests of the ledger stand on: a world, and what is said of it most often.
#ifndef OTR_LEDGER_TEST_FIXTURE_H_
#define OTR_LEDGER_TEST_FIXTURE_H_

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "ledger/test_world.h"

namespace otr::ledger {

inline const std::string& artifact() {
  static const std::string bytes = [] {
    std::ifstream file(OTR_SOURCE_DIR "/spec/vectors/tiny_gqa.safetensors", std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }();
  return bytes;
}

class WorldTest : public ::testing::Test {
 protected:
  void refused(std::uint8_t who, Body body, std::string_view code) {
    const std::string name(name_of(body));
    EXPECT_FALSE(world.send(who, std::move(body))) << name << " was taken";
    EXPECT_EQ(world.code, code) << name << ": " << world.message;
  }
  void TearDown() override { EXPECT_EQ(world.failure, ""); }
  std::uint64_t balance(std::uint8_t who) { return world.state.accounts[address_of(who)].balance; }
  const Operator& self() { return world.state.operators.at(address_of(kOperator)); }

  World world{artifact()};
};

}  // namespace otr::ledger

#endif  // OTR_LEDGER_TEST_FIXTURE_H_
