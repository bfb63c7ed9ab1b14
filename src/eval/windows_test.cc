#include "eval/windows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "text/test_documents.h"

namespace otr::eval {
namespace {

using testing::ElementsAre;

text::Tokenizer bytes_without_bos() {
  return text::make(text::to_document(text::byte_level_json({{"a", "b"}})));
}
text::Tokenizer with_bos() {
  return text::make(text::to_document(text::fallback_json({text::kSpaceMark.data(), "x"}, {}), 1));
}

TEST(Windows, DocumentsAreSeparatedByControlTokens) {
  const auto tokenizer = with_bos();
  EXPECT_THAT(split_documents(tokenizer, " one\ntwo\n<|endoftext|>\nthree\r\n<s>\r\n\n</s>\nfour"),
              ElementsAre("one\ntwo", "three", "four"));
  EXPECT_THAT(split_documents(tokenizer, "a <s> b\n<p>\n"), ElementsAre("a <s> b\n<p>"));
  EXPECT_THAT(split_documents(tokenizer, "<s>\n"), ElementsAre());
  EXPECT_THAT(split_documents(tokenizer, ""), ElementsAre());
  EXPECT_THAT(split_documents(bytes_without_bos(), "a\n<s>\nb"), ElementsAre("a\n<s>\nb"))
      << "not a control token of this vocabulary";
}

TEST(Windows, WithoutBosEveryTokenButTheFirstIsPredictedOnce) {
  const auto tokenizer = bytes_without_bos();
  EXPECT_THAT(cut_windows(tokenizer, "12345", 3).value(),
              ElementsAre(ElementsAre('1', '2', '3'), ElementsAre('3', '4', '5')));
  EXPECT_THAT(cut_windows(tokenizer, "1234", 3).value(),
              ElementsAre(ElementsAre('1', '2', '3'), ElementsAre('3', '4')));
  EXPECT_THAT(cut_windows(tokenizer, "1\n<|endoftext|>\n23", 2).value(),
              ElementsAre(ElementsAre('2', '3')));
}

TEST(Windows, WithBosEveryTokenIsPredictedOnce) {
  const auto windows = cut_windows(with_bos(), "xxx", 3).value();
  ASSERT_EQ(windows.size(), 2U);  // the word begins with a space, so it has four tokens
  for (const Window& window : windows) {
    EXPECT_EQ(window.size(), 3U);
    EXPECT_EQ(window[0], 1U);
  }
}

TEST(Windows, TextThatIsNotUtf8IsRefused) {
  EXPECT_FALSE(cut_windows(bytes_without_bos(), "ab\xFF", 8));
}

}  // namespace
}  // namespace otr::eval
