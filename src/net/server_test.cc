#include "net/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "net/net_world.h"

namespace otr::net {
namespace {

using ::testing::EndsWith;
using testing::Event;
using testing::eventually;
using testing::get;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::post;
using testing::RawSocket;
using testing::serve;
using ::testing::StartsWith;

using Held = std::shared_ptr<Exchange>;

void echo(const Held& exchange) {
  const Request& r = exchange->request();
  exchange->respond({200, {{"X-Path", r.path}}, r.method + " " + r.query + " " + r.body});
}

TEST(Server, KeepsAConnectionAlive) {
  const auto server = serve(echo);
  RawSocket peer(server->port());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(peer.send(get("/a?q=" + std::to_string(i))));
    const std::string answer = peer.read_response();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\nDate: "));
    EXPECT_THAT(answer, HasSubstr("X-Path: /a\r\n"));
    EXPECT_THAT(answer, EndsWith("\r\n\r\nGET q=" + std::to_string(i) + " "));
    EXPECT_THAT(answer, Not(HasSubstr("Connection:")));
  }
  EXPECT_EQ(server->connections(), 1u);
  ASSERT_TRUE(peer.send(get("/", "Connection: close\r\n")));
  EXPECT_THAT(peer.read_all(), HasSubstr("Connection: close\r\n"));
  peer.close();
  EXPECT_TRUE(eventually([&] { return server->connections() == 0; }));
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
  std::vector<Held> held;
  Event both;
  const auto server = serve([&](const Held& exchange) {
    if (exchange->request().path == "/slow") {
      std::thread([exchange] { exchange->respond({200, {}, "slow"}); }).detach();
    } else {
      exchange->respond({200, {}, "fast"});
    }
  });
  RawSocket peer(server->port());
  ASSERT_TRUE(peer.send(get("/slow") + post("x") + get("/slow")));
  EXPECT_THAT(peer.read_response(), EndsWith("slow"));
  EXPECT_THAT(peer.read_response(), EndsWith("fast"));
  EXPECT_THAT(peer.read_response(), EndsWith("slow"));
}

TEST(Server, AnswersManyPipelinedRequestsOfAPeerThatClosesItsSide) {
  const auto server = serve(echo);
  RawSocket peer(server->port());
  std::string all;
  for (int i = 0; i < 3000; ++i) all += get("/");  // far beyond the read-ahead
  std::thread sender([&] {
    peer.send(all);
    peer.shutdown_sending();
  });
  const std::string answers = peer.read_all();
  sender.join();
  std::size_t count = 0;
  for (std::size_t at = 0; (at = answers.find("HTTP/1.1 200", at)) != answers.npos; ++at) ++count;
  EXPECT_EQ(count, 3000u);
}

TEST(Server, SendsNoBodyForHead) {
  const auto server = serve([](const Held& exchange) {
    if (exchange->request().path == "/stream") {
      exchange->begin_stream(200, {});
      exchange->write("never sent");
      exchange->end();
    } else {
      exchange->respond({200, {}, "12345"});
    }
  });
  RawSocket peer(server->port());
  ASSERT_TRUE(peer.send(
      "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n" + get("/")));
  const std::string first = peer.read_until("\r\n\r\n");
  EXPECT_THAT(first, HasSubstr("Content-Length: 5\r\n"));
  EXPECT_THAT(peer.read_until("\r\n\r\n"), HasSubstr("Transfer-Encoding: chunked"));
  EXPECT_THAT(peer.read_response(), StartsWith("HTTP/1.1 200"));
}

TEST(Server, TakesBodiesUpToTheLimit) {
  const auto server =
      serve([](const Held& exchange) { exchange->respond({200, {}, exchange->request().body}); },
            {.max_body_bytes = 3 << 20});
  RawSocket peer(server->port());
  std::string body(3 << 20, 'x');
  body.back() = 'y';
  std::thread sender([&] { peer.send(post(body)); });
  const std::string answer = peer.read_response();
  sender.join();
  EXPECT_TRUE(answer.ends_with(body)) << answer.size();

  ASSERT_TRUE(peer.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
  ASSERT_TRUE(peer.send("3;name=value\r\nabc\r\n"));
  ASSERT_TRUE(peer.send("A\r\n0123456789\r\n0\r\nX-Trailer: dropped\r\n\r\n"));
  EXPECT_THAT(peer.read_response(), EndsWith("\r\n\r\nabc0123456789"));
}

TEST(Server, RefusesTooMuch) {
  const auto server = serve(echo, {.max_header_bytes = 1024, .max_body_bytes = 1000});
  const struct {
    std::string bytes, answer;
  } cases[] = {
      {post(std::string(1001, 'x')), "HTTP/1.1 413 "},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", "HTTP/1.1 413 "},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nfff\r\n",
       "HTTP/1.1 413 "},
      {get("/", "X: " + std::string(1024, 'x') + "\r\n"), "HTTP/1.1 431 "},
      {std::string(2000, 'A'), "HTTP/1.1 431 "},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" +
           std::string(5000, 'x'),
       "HTTP/1.1 400 "},
  };
  for (const auto& c : cases) {
    RawSocket peer(server->port());
    ASSERT_TRUE(peer.send(c.bytes));
    const std::string answer = peer.read_all();  // and the connection closes
    EXPECT_THAT(answer, StartsWith(c.answer));
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
    EXPECT_THAT(answer, HasSubstr(R"({"error":{"code":")"));
    EXPECT_THAT(answer, HasSubstr(R"("type":"invalid_request_error")"));
    EXPECT_FALSE(peer.was_reset());
  }
}

TEST(Server, AnswersAPeerThatIsStillSendingTheRefusedBody) {
  const auto server = serve(echo);
  RawSocket peer(server->port());
  std::thread sender([&] { peer.send(post(std::string(6 << 20, 'x'))); });
  const std::string answer = peer.read_all();
  sender.join();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 413 "));
  EXPECT_FALSE(peer.was_reset());
}

TEST(Server, DoesNotWaitForSlowPeers) {
  const auto server =
      serve(echo, {.header_timeout_ms = 200, .body_timeout_ms = 200, .idle_timeout_ms = 200});
  RawSocket silent(server->port()), head(server->port()), body(server->port()),
      idle(server->port());
  ASSERT_TRUE(head.send("GET / HTTP/1.1\r\nHo"));
  ASSERT_TRUE(body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc"));
  ASSERT_TRUE(idle.send(get("/")));
  EXPECT_THAT(idle.read_response(), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(silent.read_all(), "");
  EXPECT_THAT(head.read_all(), StartsWith("HTTP/1.1 408 "));
  EXPECT_THAT(body.read_all(), StartsWith("HTTP/1.1 408 "));
  EXPECT_EQ(idle.read_all(), "");
}

TEST(Server, ASlowHeadIsNotSavedByItsDrops) {
  const auto server = serve(echo, {.header_timeout_ms = 300});
  RawSocket peer(server->port());
  std::atomic<bool> is_over = false;
  std::thread dripper([&] {
    peer.send("GET / HTTP/1.1\r\nX: ");
    while (!is_over && peer.send("x")) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  EXPECT_THAT(peer.read_until("}}"), StartsWith("HTTP/1.1 408 "));
  is_over = true;
  dripper.join();
}

TEST(Server, SaysContinueOnlyToWhomMayContinue) {
  const auto server = serve(echo, {.max_body_bytes = 10});
  RawSocket peer(server->port()), greedy(server->port()), strange(server->port());
  ASSERT_TRUE(
      peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
                "Expect: 100-continue\r\n\r\n"));
  EXPECT_EQ(peer.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(peer.send("body"));
  EXPECT_THAT(peer.read_response(), EndsWith("body"));
  ASSERT_TRUE(
      greedy.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n"
                  "Expect: 100-continue\r\n\r\n"));
  EXPECT_THAT(greedy.read_all(), StartsWith("HTTP/1.1 413 "));
  ASSERT_TRUE(strange.send(get("/", "Expect: cake\r\n")));
  EXPECT_THAT(strange.read_all(), StartsWith("HTTP/1.1 417 "));
}

TEST(Server, DoesNotSendABrokenHead) {
  const Headers broken[] = {
      {{"X", "a\r\nSet-Cookie: b"}},      {{"X\n", "a"}}, {{"Content-Length", "5"}},
      {{"transfer-encoding", "chunked"}}, {{"", "a"}},    {{"X", std::string("a\0b", 3)}}};
  std::size_t next = 0;
  const auto server = serve([&](const Held& exchange) {
    if (exchange->request().path == "/stream") {
      EXPECT_FALSE(exchange->begin_stream(200, broken[next]));
      EXPECT_FALSE(exchange->write("x"));
    } else {
      EXPECT_TRUE(exchange->respond({200, broken[next], "body"}));
    }
  });
  RawSocket peer(server->port());
  for (next = 0; next < std::size(broken); ++next) {
    for (const char* path : {"/", "/stream"}) {
      ASSERT_TRUE(peer.send(get(path)));
      const std::string answer = peer.read_response();
      EXPECT_THAT(answer, StartsWith("HTTP/1.1 500 "));
      EXPECT_THAT(answer, Not(HasSubstr("Cookie")));
    }
  }
}

TEST(Server, LimitsConnections) {
  const auto server = serve(echo, {.max_connections = 20});
  std::vector<RawSocket> peers;
  for (int i = 0; i < 20; ++i) {
    peers.emplace_back(server->port());
    ASSERT_TRUE(peers.back().send(get("/")));
    EXPECT_THAT(peers.back().read_response(), StartsWith("HTTP/1.1 200"));
  }
  RawSocket refused(server->port());
  const std::string answer = refused.read_all();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(answer, HasSubstr("too_many_connections"));
  refused.close();
  peers.pop_back();
  EXPECT_TRUE(eventually([&] { return server->connections() == 19; }));
  RawSocket late(server->port());
  ASSERT_TRUE(late.send(get("/")));
  EXPECT_THAT(late.read_response(), StartsWith("HTTP/1.1 200"));
}

TEST(Server, LimitsConnectionsOfOneAddress) {
  const auto server = serve(echo, {.max_connections_per_address = 1});
  RawSocket first(server->port());
  ASSERT_TRUE(first.send(get("/")));
  EXPECT_THAT(first.read_response(), StartsWith("HTTP/1.1 200"));
  RawSocket second(server->port());
  EXPECT_THAT(second.read_all(), StartsWith("HTTP/1.1 503 "));
}

TEST(Server, ManyConnectionsAtOnce) {
  const auto server = serve(echo);
  std::vector<RawSocket> peers;
  for (int i = 0; i < 400; ++i) peers.emplace_back(server->port());
  for (auto& peer : peers) ASSERT_TRUE(peer.send(get("/")));
  for (auto& peer : peers) EXPECT_THAT(peer.read_response(), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(server->connections(), 400u);
}

TEST(Server, LetsRunningAnswersEndWhenItStops) {
  Held held;
  Event has_held;
  const auto server = serve([&](const Held& exchange) {
    held = exchange;
    exchange->begin_stream(200, {});
    has_held.set();
  });
  RawSocket peer(server->port()), idle(server->port());
  ASSERT_TRUE(peer.send(get("/")));
  ASSERT_TRUE(has_held.wait());
  ASSERT_TRUE(eventually([&] { return server->connections() == 2; }));
  Event stopped;
  std::thread stopper([&] {
    server->stop(testing::kPatienceMs);
    stopped.set();
  });
  EXPECT_EQ(idle.read_all(), "");  // an idle connection is closed at once
  EXPECT_FALSE(stopped.is_set());
  EXPECT_TRUE(held->write("last words"));
  EXPECT_TRUE(held->end());
  EXPECT_THAT(peer.read_all(), EndsWith("last words\r\n0\r\n\r\n"));
  peer.close();
  stopper.join();
  EXPECT_FALSE(held->write("too late"));
}

TEST(Server, CutsWhatDoesNotEndBeforeTheDeadline) {
  Held held;
  Event has_held, gone;
  auto server = serve([&](const Held& exchange) {
    held = exchange;
    exchange->on_disconnect([&] { gone.set(); });
    exchange->begin_stream(200, {});
    has_held.set();
  });
  RawSocket peer(server->port());
  ASSERT_TRUE(peer.send(get("/")));
  ASSERT_TRUE(has_held.wait());
  server->stop(50);
  EXPECT_TRUE(gone.is_set());
  EXPECT_THAT(peer.read_all(), Not(HasSubstr("0\r\n\r\n")));
  server.reset();
  EXPECT_FALSE(held->write("an exchange outlives its server"));
  EXPECT_FALSE(held->end());
  Event late;
  held->on_disconnect([&] { late.set(); });
  held.reset();
}

TEST(Server, EndsAlsoBetweenTwoTicks) {
  for (std::uint32_t i = 0; i < 20; ++i) {
    Held held;
    Event has_held;
    const auto server = serve([&](const Held& exchange) {
      held = exchange;
      has_held.set();
    });
    RawSocket peer(server->port());
    ASSERT_TRUE(peer.send(get("/")));
    ASSERT_TRUE(has_held.wait());
    server->stop(44 + i / 2);
  }
}

TEST(Server, SaysWhyItCannotStart) {
  const auto server = serve(echo);
  const auto nothing = [](const Held&) {};
  const auto taken = Server::start({.port = server->port()}, nothing);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().kind, ErrorKind::kUsage);
  EXPECT_THAT(taken.error().message, HasSubstr("Address already in use"));
  const auto no_address = Server::start({.address = "localhost"}, nothing);
  ASSERT_FALSE(no_address);
  EXPECT_THAT(no_address.error().message, HasSubstr("'localhost' is no IP address"));
}

TEST(Server, ToldFromWhomARequestCame) {
  const auto server = serve([](const Held& exchange) {
    exchange->respond(
        {200, {}, exchange->request().peer + (exchange->request().tls ? " tls" : "")});
  });
  RawSocket peer(server->port());
  ASSERT_TRUE(peer.send(get("/")));
  EXPECT_THAT(peer.read_response(), EndsWith("\r\n\r\n127.0.0.1"));
}

}  // namespace
}  // namespace otr::net
