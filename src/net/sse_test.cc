#include "net/sse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace otr::net {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> read(std::string_view text, std::size_t part_bytes = 1 << 20) {
  SseReader reader;
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, part_bytes);
    EXPECT_TRUE(reader.put(part, [&](const SseEvent& event) {
      out.push_back(event.type == "message" ? event.data : event.type + "=" + event.data);
    }));
    text.remove_prefix(part.size());
  }
  return out;
}

TEST(SseWriter, MakesOneLinePerLine) {
  EXPECT_EQ(sse_event(R"({"a":1})"), "data: {\"a\":1}\n\n");
  EXPECT_EQ(sse_event(""), "data: \n\n");
  EXPECT_EQ(sse_event("a\n\ndata: forged\r\r\nb"),
            "data: a\ndata: \ndata: data: forged\ndata: \ndata: b\n\n");
  EXPECT_EQ(sse_comment("ping"), ": ping\n\n");
  EXPECT_EQ(sse_comment("a\r\n\ndata: forged"), ": a   data: forged\n\n");
}

TEST(SseReader, ReadsWhatTheStandardShows) {
  EXPECT_THAT(read("data: YHOO\ndata: +2\ndata: 10\n\n"), ElementsAre("YHOO\n+2\n10"));
  EXPECT_THAT(read(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n"
                   "data:  third event\n\n"),
              ElementsAre("first event", "second event", " third event"));
  EXPECT_THAT(read("data\n\ndata\ndata\n\ndata:"), ElementsAre("", "\n"));
  EXPECT_THAT(read("event: add\ndata: 7\n\nevent: none\n\ndata: x\n\n"), ElementsAre("add=7", "x"));
  EXPECT_THAT(read("retry: 10\nunknown: x\n\n"), IsEmpty());
  EXPECT_THAT(read("\xEF\xBB\xBF"
                   "data: bom\n\n\xEF\xBB\xBF"
                   "data: none\n\n"),
              ElementsAre("bom"));
}

TEST(SseReader, ReadsTheSameHoweverItIsSplit) {
  const std::string text =
      "\xEF\xBB\xBF: ping\r\n\r\ndata: {\"a\":\"\xC3\xA4\"}\r\n\r\ndata: b\rdata: c\r\r"
      "event: e\ndata: d\n\ndata: [DONE]\r\n\n";
  const auto whole = read(text);
  EXPECT_THAT(whole, ElementsAre("{\"a\":\"\xC3\xA4\"}", "b\nc", "e=d", "[DONE]"));
  for (std::size_t part = 1; part < text.size(); ++part) EXPECT_EQ(read(text, part), whole) << part;
  for (std::size_t at = 0; at <= text.size(); ++at) {
    SseReader reader;
    std::size_t events = 0;
    const auto count = [&](const SseEvent&) { ++events; };
    ASSERT_TRUE(reader.put(std::string_view(text).substr(0, at), count));
    ASSERT_TRUE(reader.put(std::string_view(text).substr(at), count));
    EXPECT_EQ(events, 4u) << at;
    EXPECT_FALSE(reader.is_inside_event());
  }
}

TEST(SseReader, KnowsThatItWasCut) {
  const auto ignore = [](const SseEvent&) {};
  for (const std::string_view cut : {"d", "data: x", "data: x\n", "event: y\n"}) {
    SseReader reader;
    ASSERT_TRUE(reader.put(cut, ignore));
    EXPECT_TRUE(reader.is_inside_event()) << cut;
    ASSERT_TRUE(reader.put("\n\n", ignore));
    EXPECT_FALSE(reader.is_inside_event()) << cut;
  }
}

TEST(SseReader, HasLimits) {
  const auto ignore = [](const SseEvent&) {};
  const SseReader::Limits limits{.max_line_bytes = 10, .max_event_bytes = 12};
  SseReader line(limits), event(limits);
  EXPECT_TRUE(line.put("data: 6789\n\n", ignore));
  EXPECT_TRUE(line.put("data: 678", ignore));
  const Status beyond = line.put("9a", ignore);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().kind, ErrorKind::kBadInput);
  EXPECT_FALSE(line.put("\n", ignore));  // from then on
  EXPECT_TRUE(event.put("data:12345\ndata:12345\n", ignore));
  EXPECT_FALSE(event.put("data:\ndata:\n", ignore));
}

}  // namespace
}  // namespace otr::net
