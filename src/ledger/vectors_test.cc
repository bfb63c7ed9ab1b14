// The ledgers of spec/vectors: every transaction gives the events, tip and state digest that the
// oracle has computed, or the code of its refusal, and a refusal changes nothing (SPEC SET).
#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "base/hex.h"
#include "ledger/apply.h"
#include "ledger/invariants.h"
#include "ledger/reject.h"
#include "referee/reject.h"

namespace otr::ledger {
namespace {

using nlohmann::json;

Bytes bytes_of(const json& in, const char* name) {
  const auto text = in.at(name).get<std::string>();
  Bytes bytes = from_hex(text, text.size() / 2 - 1, name).value();
  if (in.contains("append")) {
    const json& tail = in.at("append");
    bytes.insert(bytes.end(), tail.at("times").get<std::size_t>(),
                 tail.at("byte").get<std::uint8_t>());
  }
  return bytes;
}

std::string text_of(const json& object, const char* name) {
  return object.at(name).get<std::string>();
}

class Replay {
 public:
  void run(const json& one) {
    const json& in = one.at("in");
    if (in.contains("genesis")) {
      begin(one, bytes_of(in, "genesis"));
    } else {
      ASSERT_TRUE(state_);
      play(one, bytes_of(in, "transaction"), in.at("time").get<std::uint64_t>());
    }
  }

  std::set<std::size_t> taken;     // kinds
  std::set<std::string> refusals;  // codes

 private:
  void begin(const json& one, const Bytes& genesis) {
    const Result<State> state = genesis_state(genesis);
    if (one.contains("reject")) {
      ASSERT_FALSE(state);
      EXPECT_EQ(state.error().code, text_of(one, "reject"));
      return;
    }
    ASSERT_TRUE(state) << state.error().message;
    state_ = *state;
    EXPECT_EQ(to_hex(state_->id), text_of(one.at("out"), "id"));
    EXPECT_EQ(to_hex(digest_of(*state_)), text_of(one.at("out"), "digest"));
  }

  void play(const json& one, const Bytes& bytes, std::uint64_t time) {
    const State before = *state_;
    const Result<Events> events = apply(*state_, bytes, time);
    if (one.contains("reject")) {
      ASSERT_FALSE(events);
      EXPECT_EQ(events.error().code, text_of(one, "reject")) << events.error().message;
      EXPECT_EQ(digest_of(*state_), digest_of(before));
      refusals.insert(events.error().code);
      return;
    }
    ASSERT_TRUE(events) << events.error().code << " " << events.error().message;
    json names = json::array();
    for (const Event& event : *events) names.push_back(name_of(event.kind));
    EXPECT_EQ(names, one.at("out").at("events"));
    EXPECT_EQ(to_hex(state_->tip), text_of(one.at("out"), "tip"));
    EXPECT_EQ(to_hex(digest_of(*state_)), text_of(one.at("out"), "digest"));
    const Status held = check_invariants(before, *state_);
    EXPECT_TRUE(held) << held.error().message;
    taken.insert(decode_transaction(bytes)->body.index());
  }

  std::optional<State> state_;
};

json cases_of(const std::string& chapter) {
  std::ifstream file(OTR_SOURCE_DIR "/spec/vectors/" + chapter + ".json");
  const json document = json::parse(file, nullptr, false);
  EXPECT_TRUE(document.is_object()) << "cannot read spec/vectors/" << chapter << ".json";
  return document.is_object() ? document.at("cases") : json::array();
}

class LedgerVectors : public ::testing::Test {
 protected:
  void replay(const std::string& chapter) {
    for (const json& one : cases_of(chapter)) {
      SCOPED_TRACE(text_of(one, "name"));
      replay_.run(one);
      if (HasFailure()) return;
    }
  }
  template <class Names>
  void expect_met(const Names& codes) {
    for (const std::string_view code : codes) {
      EXPECT_TRUE(replay_.refusals.contains(std::string(code))) << code << " is never met";
    }
  }

  Replay replay_;
};

TEST_F(LedgerVectors, SettlementIsThatOfTheOracle) {
  replay("settlement");
  EXPECT_EQ(replay_.taken.size(), std::variant_size_v<Body>) << "a kind that is never taken";
  expect_met(kRefusalNames);
}

TEST_F(LedgerVectors, GamesEndAsThoseOfTheOracle) {
  replay("dispute");
  // Ended games are refused by the ledger (BAD_STATE), and wrong clocks when they are scheduled.
  replay_.refusals.insert({"GAME_OVER", "PARAMETERS_INVALID"});
  expect_met(referee::kMoveRejectNames);
}

}  // namespace
}  // namespace otr::ledger
