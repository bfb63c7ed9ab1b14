#include "net/http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "net/url.h"

namespace otr::net {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::string_literals;

TEST(Http, FindsHeadersWithoutRegardToCase) {
  const Headers headers = {{"Content-Type", "a"}, {"content-type", "b"}};
  EXPECT_EQ(find_header(headers, "CONTENT-TYPE"), "a");
  EXPECT_EQ(find_header(headers, "Content-Typ"), std::nullopt);
}

TEST(Http, MakesErrorsInTheShapeThatClientsRead) {
  const Response response = error_response(404, "invalid_request_error", "", "no \"x\"\n\xff");
  EXPECT_EQ(response.status, 404u);
  EXPECT_EQ(find_header(response.headers, "Content-Type"), "application/json");
  EXPECT_EQ(response.body, R"({"error":{"code":null,"message":"no \"x\"\n)"
                           "\xEF\xBF\xBD"
                           R"(","param":null,"type":"invalid_request_error"}})");
  EXPECT_THAT(error_response(400, "t", "c", "m", "p").body, HasSubstr(R"("param":"p")"));
  EXPECT_EQ(reason_phrase(429), "Too Many Requests");
  EXPECT_EQ(reason_phrase(299), "Unknown");
}

TEST(Http, ReadsQueries) {
  const auto query = parse_query("nonce=ab&x=%20y+z&flag&=v&&e=%3D%26");
  ASSERT_TRUE(query);
  EXPECT_THAT(*query, ElementsAre(Header{"nonce", "ab"}, Header{"x", " y z"}, Header{"flag", ""},
                                  Header{"", "v"}, Header{"e", "=&"}));
  EXPECT_TRUE(parse_query("")->empty());
  for (const char* bad : {"a=%", "a=%4", "a=%zz", "a=%00", "a=1&a=2", "a=1&%61=2"}) {
    EXPECT_FALSE(parse_query(bad)) << bad;
  }
}

TEST(Http, KnowsTokensAndValues) {
  EXPECT_TRUE(is_token("X-Api_Key!"));
  for (const auto& bad : {""s, "a b"s, "a:"s, "a\r"s, "\xc3\xa4"s, "a\0"s})
    EXPECT_FALSE(is_token(bad));
  EXPECT_TRUE(is_field_value("a b\tc") && is_field_value(""));
  for (const auto& bad : {" a"s, "a "s, "a\nb"s, "a\rb"s, "a\0b"s, "\x7f"s, "\xc3\xa4"s}) {
    EXPECT_FALSE(is_field_value(bad));
  }
}

TEST(Url, ReadsAddresses) {
  const auto url = parse_url("HTTPS://Example.org:8443/a%20b?c=d");
  ASSERT_TRUE(url);
  EXPECT_TRUE(url->tls);
  EXPECT_EQ(url->host, "example.org");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->target(), "/a%20b?c=d");
  EXPECT_EQ(url->origin(), "https://example.org:8443");
  EXPECT_EQ(parse_url("http://a")->target(), "/");
  EXPECT_EQ(parse_url("http://a?b")->target(), "/?b");
  EXPECT_EQ(parse_url("http://a:80/")->authority(), "a");
  EXPECT_EQ(parse_url("https://a:80/")->authority(), "a:80");
  EXPECT_EQ(parse_url("http://[::1]:99/")->host, "::1");
  EXPECT_EQ(parse_url("http://[::1]:99/")->authority(), "[::1]:99");
}

TEST(Url, RefusesWhatIsUnclear) {
  const std::string bad[] = {"",
                             "a",
                             "ftp://a/",
                             "http:/a",
                             "http://",
                             "http:///x",
                             "http://u@a/",
                             "http://u:p@a/",
                             "http://a:/",
                             "http://a:0/",
                             "http://a:080/",
                             "http://a:65536/",
                             "http://a:-1/",
                             "http://a:8 0/",
                             "http://a/#f",
                             "http://a/ b",
                             "http://a/%zz",
                             "http://a\\b/",
                             "http://a b/",
                             "http://[::1/",
                             "http://[x]/",
                             "http://[]/",
                             "http://::1/",
                             "http://[::1]x/",
                             "http://.a/",
                             "http://a..b/",
                             "http://a/\r\nX: y",
                             "http://a/\xc3\xa4",
                             "http://a\0b/"s,
                             " http://a/",
                             "http://" + std::string(300, 'a') + "/",
                             "http://a/" + std::string(9000, 'a')};
  for (const std::string& text : bad) {
    const auto url = parse_url(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().kind, ErrorKind::kUsage);
  }
}

}  // namespace
}  // namespace otr::net
