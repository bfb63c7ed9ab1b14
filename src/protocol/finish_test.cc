// Finish reasons at every boundary, and the detector against a search of the whole output.
#include "protocol/finish.h"

#include <gtest/gtest.h>

#include "protocol/toy_receipt.h"

namespace otr::protocol {
namespace {

using enum FinishReason;

Request request_of(std::vector<std::string> stop, std::uint32_t max_tokens = 100) {
  Request request;
  request.prompt_count = 4;
  request.max_tokens = max_tokens;
  request.stop = std::move(stop);
  return request;
}

// Position of the last token and its reason; -1 and none if nothing ends the answer.
std::pair<int, std::optional<FinishReason>> run(const Request& request,
                                                const std::vector<std::uint32_t>& ids) {
  const ToyModel toy = toy_model();
  FinishDetector detector(toy.model, request);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (const auto reason = detector.push(ids[i])) return {static_cast<int>(i), reason};
  }
  return {-1, std::nullopt};
}

TEST(Finish, StopToken) {
  EXPECT_EQ(run(request_of({}), {1, 0, 2}), std::pair(1, std::optional(kStopToken)));
  // It comes before a stop string and the length.
  EXPECT_EQ(run(request_of({"<end>"}, 1), {0}), std::pair(0, std::optional(kStopToken)));
}

TEST(Finish, StopStringAcrossTokensAndInsideOne) {
  EXPECT_EQ(run(request_of({"ab"}), {1, 1, 2}), std::pair(2, std::optional(kStopString)));
  EXPECT_EQ(run(request_of({"to"}), {1, 6, 2}), std::pair(1, std::optional(kStopString)));
  EXPECT_EQ(run(request_of({"\xE2\x82\xAC"}), {3, 4}), std::pair(1, std::optional(kStopString)));
  EXPECT_EQ(run(request_of({"a", "stopstop"}), {6, 2, 6, 6}),
            std::pair(3, std::optional(kStopString)));
  EXPECT_EQ(run(request_of({"b"}, 1), {2}), std::pair(0, std::optional(kStopString)));
}

TEST(Finish, EmptyTokensDoNotBreakAStopString) {
  EXPECT_EQ(run(request_of({"ab"}), {1, 7, 7, 2}), std::pair(3, std::optional(kStopString)));
}

TEST(Finish, Length) {
  EXPECT_EQ(run(request_of({}, 2), {1, 1, 1}), std::pair(1, std::optional(kLength)));
  // The context of 16 is full with 4 ids of the prompt and 12 of the output.
  EXPECT_EQ(run(request_of({}), std::vector<std::uint32_t>(20, 1)),
            std::pair(11, std::optional(kLength)));
  EXPECT_EQ(run(request_of({}), {1, 2}), std::pair(-1, std::optional<FinishReason>()));
}

// All outputs of five tokens over {a, b, "stop", ""} with some stop strings.
TEST(Finish, AgreesWithASearchOfTheWholeOutput) {
  const ToyModel toy = toy_model();
  const std::vector<std::uint32_t> alphabet = {1, 2, 6, 7};
  for (const auto& stop : std::vector<std::vector<std::string>>{
           {"aa"}, {"ab", "ba"}, {"pst"}, {"abab"}, {"astopb", "bb"}}) {
    const Request request = request_of(stop);
    for (std::size_t code = 0; code < 1024; ++code) {
      std::vector<std::uint32_t> ids;
      for (std::size_t i = 0; i < 5; ++i) ids.push_back(alphabet[code >> 2 * i & 3]);
      int expected = -1;
      for (std::size_t count = 1; count <= ids.size() && expected < 0; ++count) {
        const std::string text = *joined_bytes(toy.model, std::span(ids).first(count), 1000);
        for (const std::string& one : stop) {
          if (text.find(one) != std::string::npos) expected = static_cast<int>(count) - 1;
        }
      }
      ASSERT_EQ(run(request, ids).first, expected) << code;
    }
  }
}

TEST(JoinedBytes, IsBounded) {
  const ToyModel toy = toy_model();
  EXPECT_EQ(joined_bytes(toy.model, std::vector<std::uint32_t>{1, 6}, 5), "astop");
  EXPECT_FALSE(joined_bytes(toy.model, std::vector<std::uint32_t>{1, 6}, 4));
  EXPECT_FALSE(joined_bytes(toy.model, std::vector<std::uint32_t>{8}, 100));
  EXPECT_FALSE(joined_bytes(toy.model, std::vector<std::uint32_t>{0xFFFFFFFF}, 100));
}

}  // namespace
}  // namespace otr::protocol
