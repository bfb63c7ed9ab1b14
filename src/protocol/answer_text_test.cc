// What a person sees of an answer: up to the stop string, whole characters, nothing to take back.
#include "protocol/answer_text.h"

#include <gtest/gtest.h>

#include "protocol/finish.h"
#include "protocol/toy_receipt.h"

namespace otr::protocol {
namespace {

using Ids = std::vector<std::uint32_t>;

struct Shown {
  std::vector<std::string> pieces;  // after each token, and at the end
  std::optional<FinishReason> reason;

  std::string text() const {
    std::string all;
    for (const std::string& piece : pieces) all += piece;
    return all;
  }
};

// Tokens: 0 <end> (stop token), 1 a, 2 b, 3 and 4 the halves of a euro sign, 5 space, 6 stop, 7
// none.
Shown show(const Ids& ids, std::vector<std::string> stop) {
  static const ToyModel kToy = toy_model();
  std::ranges::sort(stop);
  const Request request{.prompt_count = 1, .max_tokens = 10, .stop = std::move(stop)};
  AnswerText answer(kToy.model, request);
  FinishDetector finish(kToy.model, request);
  Shown shown;
  for (const std::uint32_t id : ids) {
    EXPECT_FALSE(shown.reason) << "the answer has ended already";
    shown.pieces.push_back(answer.push(id));
    shown.reason = finish.push(id);
  }
  shown.pieces.push_back(answer.finish());
  return shown;
}

using Pieces = std::vector<std::string>;

TEST(AnswerText, WithoutStopStringsComesAtOnceInWholeCharacters) {
  EXPECT_EQ(show({1, 2, 3, 4, 5}, {}).pieces, (Pieces{"a", "b", "", "\u20ac", " ", ""}));
  EXPECT_EQ(show({1, 3}, {}).pieces, (Pieces{"a", "", "\ufffd"}));
  EXPECT_EQ(show({4, 1}, {}).pieces, (Pieces{"\ufffd", "a", ""}));
}

TEST(AnswerText, StopTokenIsNotShown) {
  const Shown shown = show({1, 0}, {});
  EXPECT_EQ(shown.pieces, (Pieces{"a", "", ""}));
  EXPECT_EQ(shown.reason, FinishReason::kStopToken);
  // Held back for a stop string, and then certain.
  EXPECT_EQ(show({1, 0}, {"ab"}).pieces, (Pieces{"", "a", ""}));
  // The bytes of the stop token complete no stop string: the reason is the token.
  EXPECT_EQ(show({1, 0}, {"a<"}).text(), "a");
  EXPECT_EQ(show({1, 0}, {"a<"}).reason, FinishReason::kStopToken);
}

TEST(AnswerText, StopStringAcrossTokens) {
  const Shown shown = show({2, 1, 5, 2}, {"a b"});
  EXPECT_EQ(shown.pieces, (Pieces{"b", "", "", "", ""}));
  EXPECT_EQ(shown.reason, FinishReason::kStopString);
  // What looked like its beginning and was not is shown as soon as that is known.
  EXPECT_EQ(show({1, 5, 1, 5, 2}, {"a b"}).pieces, (Pieces{"", "", "a ", "", "", ""}));
  EXPECT_EQ(show({1, 1, 1, 2}, {"aab"}).pieces, (Pieces{"", "", "a", "", ""}));
  EXPECT_EQ(show({1, 7, 2}, {"ab"}).text(), "");
}

TEST(AnswerText, StopStringEndsInTheMiddleOfAToken) {
  const Shown shown = show({1, 6}, {"to"});
  EXPECT_EQ(shown.pieces, (Pieces{"a", "s", ""}));
  EXPECT_EQ(shown.reason, FinishReason::kStopString);
  EXPECT_EQ(show({1, 6}, {"as"}).text(), "");
  EXPECT_EQ(show({6}, {"stop"}).text(), "");
  EXPECT_EQ(show({6, 1}, {"stopb"}).text(), "stopa");
}

TEST(AnswerText, StopStringAndHalfACharacter) {
  const Shown shown = show({1, 3, 4}, {"\u20ac"});
  EXPECT_EQ(shown.pieces, (Pieces{"a", "", "", ""}));
  EXPECT_EQ(shown.reason, FinishReason::kStopString);
  // The half before the stop string never becomes whole.
  EXPECT_EQ(show({3, 2}, {"b"}).text(), "\ufffd");
  EXPECT_EQ(show({3, 2}, {"b"}).reason, FinishReason::kStopString);
  // Held back for the stop string, then another character.
  EXPECT_EQ(show({3, 4, 1}, {"\u20acb"}).pieces, (Pieces{"", "", "\u20aca", ""}));
}

TEST(AnswerText, TheEarliestOfSeveralStopStringsCuts) {
  EXPECT_EQ(show({1, 6}, {"op", "sto"}).text(), "a");
  EXPECT_EQ(show({1, 6}, {"p", "to"}).text(), "as");
  EXPECT_EQ(show({1, 5, 2}, {"a ba", "b"}).text(), "a ");
}

TEST(AnswerText, TheLengthReleasesWhatWasHeldBack) {
  const Shown shown = show({2, 2, 2, 2, 2, 2, 2, 2, 2, 1}, {"ab"});
  EXPECT_EQ(shown.reason, FinishReason::kLength);
  EXPECT_EQ(shown.text(), "bbbbbbbbba");
  EXPECT_EQ(shown.pieces.back(), "a");
}

// Every answer of up to five tokens: the text is what its definition says, and no piece shows what
// a later token makes a part of a stop string.
TEST(AnswerText, EveryShortAnswer) {
  const ToyModel toy = toy_model();
  const std::vector<std::vector<std::string>> stops = {
      {"a b"}, {"aa", "ab"}, {"\u20ac"}, {"b\u20aca", "top"}, {"s", "stop", "ops"}, {"pa", "pst"}};
  int ended = 0;
  for (std::uint32_t code = 0; code < 8 * 8 * 8 * 8 * 8; ++code) {
    for (const auto& stop : stops) {
      const Request request{.prompt_count = 1, .max_tokens = 5, .stop = stop};
      AnswerText answer(toy.model, request);
      FinishDetector finish(toy.model, request);
      std::string bytes, shown;
      std::optional<FinishReason> reason;
      for (std::uint32_t i = 0; !reason; ++i) {
        const std::uint32_t id = code >> (3 * i) & 7;
        shown += answer.push(id);
        reason = finish.push(id);
        if (reason != FinishReason::kStopToken) bytes += as_text(token_bytes(toy.model, id));
      }
      shown += answer.finish();
      std::size_t cut = bytes.size();
      if (reason == FinishReason::kStopString) {
        for (const std::string& one : stop) cut = std::min(cut, bytes.find(one));
        ++ended;
      }
      ASSERT_EQ(shown, text::utf8_lossy(bytes.substr(0, cut))) << code << " " << stop[0];
    }
  }
  EXPECT_GT(ended, 1000);
}

}  // namespace
}  // namespace otr::protocol
