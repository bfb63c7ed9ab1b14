#include "net/message_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace otr::net {
namespace {

using ::testing::HasSubstr;
using namespace std::string_literals;

// 0 for a whole request, 1 for one that is not yet whole, else the status of the refusal.
template <class Parser>
unsigned feed(Parser& parser, std::string_view text, std::size_t part_bytes) {
  std::string in;
  while (!text.empty() && !parser.is_done()) {
    in += text.substr(0, part_bytes);
    text.remove_prefix(std::min(text.size(), part_bytes));
    while (!in.empty() && !parser.is_done()) {
      const auto taken = parser.put(in);
      if (!taken) {
        if constexpr (requires { taken.error().status; }) return taken.error().status;
        return 400;
      }
      in.erase(0, *taken);
      if (*taken == 0) break;
    }
  }
  return parser.is_done() ? 0 : 1;
}

unsigned verdict(std::string_view text, std::size_t part_bytes = 1 << 20) {
  RequestParser parser({.max_header_bytes = 1024, .max_body_bytes = 100});
  return feed(parser, text, part_bytes);
}

TEST(RequestParser, ReadsARequestHoweverItIsSplit) {
  const std::string text =
      "POST /v1/chat%20x?a=1&b=%41 HTTP/1.1\r\nHost: LocalHost:8080\r\nX-A:  inner  blank \t\r\n"
      "Transfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n\r\n"
      "5;a=b\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nHost: evil\r\n\r\n";
  for (std::size_t part = 1; part <= text.size(); ++part) {
    RequestParser parser({});
    ASSERT_EQ(feed(parser, text, part), 0u) << part;
    const Request& request = parser.request();
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.path, "/v1/chat%20x");
    EXPECT_EQ(request.query, "a=1&b=%41");
    EXPECT_EQ(request.header("x-a"), "inner  blank");
    EXPECT_EQ(request.header("HOST"), "LocalHost:8080");  // no trailer has changed it
    EXPECT_EQ(request.header("no"), std::nullopt);
    EXPECT_EQ(request.body, "hello world");
    EXPECT_TRUE(parser.keeps_alive());
    EXPECT_TRUE(parser.expects_continue());
  }
}

TEST(RequestParser, ReadsAnEmptyChunkedBodyHoweverItIsSplit) {
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string body : {"0\r\n\r\n", "000;x\r\n\r\n", "1\r\na\r\n0\r\n\r\n"}) {
    for (std::size_t part = 1; part <= head.size() + body.size(); ++part) {
      EXPECT_EQ(verdict(head + body, part), 0u) << body << part;
    }
  }
}

TEST(RequestParser, TakesWhatIsAllowed) {
  EXPECT_EQ(verdict("GET / HTTP/1.0\r\n\r\n"), 0u);
  EXPECT_EQ(verdict("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), 0u);
  EXPECT_EQ(verdict("GET http://a.b:80/x?y HTTP/1.1\r\nHost: A.b\r\n\r\n"), 0u);
  EXPECT_EQ(verdict("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"), 0u);
  EXPECT_EQ(verdict("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"), 0u);
  EXPECT_EQ(verdict("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab"), 1u);
  EXPECT_EQ(verdict("GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n"), 0u);
}

struct Refusal {
  std::string what, text;
  unsigned status = 400;
};

const Refusal kRefusals[] = {
    // Two readers, two bodies.
    {"both framings",
     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: "
     "chunked\r\n\r\n0\r\n\r\n"},
    {"both, other order",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: "
     "5\r\n\r\n0\r\n\r\n"},
    {"two lengths",
     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"},
    {"two equal lengths",
     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na"},
    {"a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na"},
    {"a signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na"},
    {"a hex length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na"},
    {"an empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\na"},
    {"a length beyond 64 bits",
     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\na"},
    {"two codings",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
     "chunked\r\n\r\n0\r\n\r\n"},
    {"gzip, chunked",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
    {"chunked, identity",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501},
    {"xchunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501},
    {"vertical tab",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0b"
     "chunked\r\n\r\n0\r\n\r\n"},
    {"blank before the colon",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"},
    {"chunked under 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    {"folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"},
    {"folded first header", "GET / HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n"},
    {"bare line feed", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"},
    {"bare carriage return", "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"},
    // Chunks.
    {"no size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\nabc\r\n"},
    {"negative size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n"},
    {"size with 0x",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n"},
    {"size beyond 64 bits",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000001\r\na"},
    {"chunk without its end",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n"},
    {"long extension", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" +
                           std::string(300, 'x') + "\r\na\r\n0\r\n\r\n"},
    {"too large in chunks",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n" +
         std::string(64, 'x') + "\r\n40\r\n",
     413},
    // Heads.
    {"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"s},
    {"NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"s},
    {"no UTF-8", "GET / HTTP/1.1\r\nHost: a\r\nX: \xff\xfe\r\n\r\n"},
    {"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
    {"no host", "GET / HTTP/1.1\r\n\r\n"},
    {"bad host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
    {"host with user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"},
    {"two keys",
     "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n"},
    {"two idempotency keys",
     "GET / HTTP/1.1\r\nHost: a\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\n\r\n"},
    {"no name", "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n"},
    {"no colon", "GET / HTTP/1.1\r\nHost: a\r\nabc\r\n\r\n"},
    {"empty line first", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"other host", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"other port", "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"other scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"relative target", "GET a HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"star", "GET * HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"broken escape", "GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"fragment", "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"backslash", "GET /\\a HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"two blanks", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"connect", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501},
    {"trace", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
    {"small letters", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
    {"no method", " / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    {"HTTP/0.9", "GET /\r\n\r\n"},
    {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
    {"TLS", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"s},
    {"expectation", "GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", 417},
    {"long head", "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(1024, 'x') + "\r\n\r\n", 431},
    {"endless head", std::string(2000, 'x'), 431},
};

TEST(RequestParser, RefusesWhatTwoReadersCouldReadInTwoWays) {
  for (const Refusal& refusal : kRefusals) {
    EXPECT_EQ(verdict(refusal.text), refusal.status) << refusal.what;
    EXPECT_EQ(verdict(refusal.text, 1), refusal.status) << refusal.what << ", byte by byte";
  }
}

TEST(RequestParser, RefusesManyHeaders) {
  const auto with = [](int count) {
    std::string text = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (int i = 1; i < count; ++i) text += "a:\r\n";
    return text + "\r\n";
  };
  EXPECT_EQ(verdict(with(100)), 0u);
  EXPECT_EQ(verdict(with(101)), 431u);
}

TEST(RequestParser, HasExactLimits) {
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  const std::string fits = start + std::string(1024 - start.size(), 'x') + "\r\n\r\n";
  const std::string beyond = start + std::string(1025 - start.size(), 'x') + "\r\n\r\n";
  for (const std::size_t part : {1, 7, 5000}) {
    EXPECT_EQ(verdict(fits, part), 0u);
    EXPECT_EQ(verdict(beyond, part), 431u);
  }
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ";
  EXPECT_EQ(verdict(post + "100\r\n\r\n" + std::string(100, 'x')), 0u);
  EXPECT_EQ(verdict(post + "101\r\n\r\n"), 413u);
}

TEST(RequestParser, LeavesTheNextRequestAlone) {
  const std::string first = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
  RequestParser parser({});
  EXPECT_EQ(parser.put(first + "GET /next"), first.size());
  EXPECT_TRUE(parser.is_done());
}

struct Answer {
  Result<std::size_t> taken = 0;
  std::string body;
  bool is_done = false, keeps_alive = false, ends_well = false;
};

Answer read(const std::string& text, bool is_head = false) {
  Answer out;
  ResponseParser parser({.max_header_bytes = 1024, .max_body_bytes = 100}, is_head,
                        [&](std::string_view part) { out.body += part; });
  out.taken = parser.put(text);
  if (!out.taken) return out;
  out.is_done = parser.is_done();
  out.keeps_alive = parser.is_head_done() && parser.keeps_alive();
  if (!out.is_done) out.ends_well = parser.put_end().has_value();
  return out;
}

TEST(ResponseParser, KnowsWhenAnAnswerIsWhole) {
  const Answer sized = read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_TRUE(sized.is_done && sized.keeps_alive);
  EXPECT_EQ(sized.body, "abc");
  const Answer cut = read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab");
  EXPECT_FALSE(cut.is_done || cut.ends_well);
  const Answer chunked =
      read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  EXPECT_TRUE(chunked.is_done);
  EXPECT_EQ(chunked.body, "abc");
  const Answer cut_chunk =
      read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  EXPECT_FALSE(cut_chunk.is_done || cut_chunk.ends_well);
  const Answer until_end = read("HTTP/1.1 200 OK\r\n\r\nabc");
  EXPECT_TRUE(!until_end.is_done && until_end.ends_well && !until_end.keeps_alive);
  EXPECT_TRUE(read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true).is_done);
  EXPECT_TRUE(read("HTTP/1.1 204 No Content\r\n\r\n").is_done);
  EXPECT_FALSE(read("HTTP/1.1 200 OK\r\nContent-Len").ends_well);
  EXPECT_FALSE(
      read("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n").keeps_alive);
}

TEST(ResponseParser, DropsTrailers) {
  ResponseParser parser({}, false, [](std::string_view) {});
  ASSERT_TRUE(
      parser.put("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "0\r\nX-Receipt-Id: forged\r\n\r\n"));
  EXPECT_TRUE(parser.is_done());
  EXPECT_EQ(find_header(parser.headers(), "X-Receipt-Id"), std::nullopt);
}

TEST(ResponseParser, RefusesBrokenAnswers) {
  const std::string broken[] = {
      "HTTP/1.1 101 Switching\r\n\r\n",
      "HTTP/1.1 099 Odd\r\n\r\n",
      "HTTP/1.1 600 Odd\r\n\r\n",
      "HTTP/1.1 2000 Odd\r\n\r\n",
      "HTTP/2 200\r\n\r\n",
      "ICY 200 OK\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
      "HTTP/1.1 200 OK\r\n\r\n" + std::string(101, 'x'),
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n",
  };
  for (const std::string& text : broken) {
    const Answer answer = read(text);
    ASSERT_FALSE(answer.taken) << text;
    EXPECT_EQ(answer.taken.error().kind, ErrorKind::kBadInput);
  }
}

TEST(Framing, EncodesChunks) {
  EXPECT_EQ(encode_chunk("abc"), "3\r\nabc\r\n");
  EXPECT_EQ(encode_chunk(""), "");
  EXPECT_THAT(encode_chunk(std::string(4096, 'x')), HasSubstr("1000\r\nxxx"));
}

}  // namespace
}  // namespace otr::net
