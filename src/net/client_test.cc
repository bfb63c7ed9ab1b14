#include "net/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <vector>

#include "net/net_world.h"
#include "net/server.h"

namespace otr::net {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using testing::Event;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::RawSocket;
using testing::ScriptedServer;

using Held = std::shared_ptr<Exchange>;

struct World {
  explicit World(Handler handler) {
    auto started = Server::start({}, std::move(handler));
    EXPECT_TRUE(started);
    server = std::move(*started);
    client = *Client::create();
  }
  [[nodiscard]] std::string url(std::string_view path) const {
    return "http://127.0.0.1:" + std::to_string(server->port()) + std::string(path);
  }
  std::unique_ptr<Server> server;
  std::unique_ptr<Client> client;
};

Result<Response> fetch_url(const std::string& url, const std::string& method = "GET") {
  const auto client = *Client::create();
  return fetch(*client, {.url = url, .method = method});
}

TEST(Client, SendsAndReceives) {
  World world([](const Held& exchange) {
    const Request& r = exchange->request();
    exchange->respond({201,
                       {{"X-Given", std::string(r.header("X-Given").value_or("none"))}},
                       r.method + " " + r.target + " " + r.body});
  });
  const auto got = fetch(*world.client, {.url = world.url("/a?b=c")});
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->status, 201u);
  EXPECT_EQ(got->body, "GET /a?b=c ");
  const auto posted = fetch(*world.client, {.url = world.url(""),
                                            .method = "POST",
                                            .headers = {{"X-Given", "yes"}},
                                            .body = std::string(1 << 20, 'x')});
  ASSERT_TRUE(posted) << posted.error().message;
  EXPECT_EQ(find_header(posted->headers, "x-given"), "yes");
  EXPECT_EQ(posted->body, "POST / " + std::string(1 << 20, 'x'));
  const auto head = fetch(*world.client, {.url = world.url("/"), .method = "HEAD"});
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->body, "");
  EXPECT_EQ(world.server->connections(), 1u);  // one, kept alive
}

TEST(Client, RunsCallsSideBySide) {
  std::vector<Held> held;
  World world([&](const Held& exchange) {
    held.push_back(exchange);
    if (held.size() < 50) return;
    for (const Held& each : held) each->respond({200, {}, each->request().path});
    held.clear();
  });
  std::atomic<int> good = 0;
  Event all;
  for (int i = 0; i < 50; ++i) {
    const auto body = std::make_shared<std::string>();
    const std::string path = "/" + std::to_string(i);
    world.client->send({.url = world.url(path)},
                       {.on_body = [=](std::string_view part) { *body += part; },
                        .on_done =
                            [=, &good, &all](const Status& status) {
                              EXPECT_TRUE(status) << status.error().message;
                              EXPECT_EQ(*body, path);
                              if (++good == 50) all.set();
                            }});
  }
  EXPECT_TRUE(all.wait());
}

TEST(Client, ReceivesAStreamAsItComes) {
  Event first;
  Held held;
  World world([&](const Held& exchange) {
    held = exchange;
    exchange->begin_stream(200, {{"Content-Type", "text/event-stream"}});
    exchange->write("one");
  });
  std::vector<std::string> seen;
  Event done;
  world.client->send({.url = world.url("/")},
                     {.on_head =
                          [&](unsigned status, const Headers& headers) {
                            seen.push_back(std::to_string(status));
                            EXPECT_EQ(find_header(headers, "content-type"), "text/event-stream");
                          },
                      .on_body =
                          [&](std::string_view part) {
                            seen.emplace_back(part);
                            first.set();
                          },
                      .on_done =
                          [&](const Status& status) {
                            seen.emplace_back(status ? "done" : status.error().message);
                            done.set();
                          }});
  ASSERT_TRUE(first.wait());  // while the answer is still open
  held->write("two");
  held->end();
  ASSERT_TRUE(done.wait());
  EXPECT_THAT(seen, AnyOf(ElementsAre("200", "one", "two", "done")));
}

TEST(Client, TakesACutBodyForAnError) {
  const std::string cut[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
  };
  const ScriptedServer server([&](RawSocket& socket, int connection) {
    socket.read_until("\r\n\r\n");
    socket.send(cut[connection]);
  });
  for (std::size_t i = 0; i < std::size(cut); ++i) {
    const auto got = fetch_url(server.url("/path?secret=1"));
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind, ErrorKind::kNetwork);
    EXPECT_THAT(got.error().message, HasSubstr("GET " + server.url("/path") + ": "));
    EXPECT_THAT(got.error().message, HasSubstr("cut before its end, after 3 bytes"));
    EXPECT_THAT(got.error().message, Not(HasSubstr("secret")));
  }
}

TEST(Client, TakesABodyThatTheConnectionEnds) {
  const ScriptedServer server([&](RawSocket& socket, int connection) {
    socket.read_until("\r\n\r\n");
    socket.send("HTTP/1.1 200 OK\r\n\r\nabc");
    if (connection == 1) socket.reset();
  });
  const auto whole = fetch_url(server.url("/"));
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(whole->body, "abc");
  const auto reset = fetch_url(server.url("/"));
  ASSERT_FALSE(reset);
  EXPECT_EQ(reset.error().kind, ErrorKind::kNetwork);
}

TEST(Client, SeesThatTheServerGaveUpInTheMiddle) {
  World world([](const Held& exchange) {
    exchange->begin_stream(200, {});
    exchange->write("part");
    exchange->abort();
  });
  const auto got = fetch(*world.client, {.url = world.url("/")});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, ErrorKind::kNetwork);
  EXPECT_THAT(got.error().message, HasSubstr("cut before its end, after 4 bytes"));
}

TEST(Client, CancelsAndTheServerHearsOfIt) {
  Event gone, begun;
  Held held;
  World world([&](const Held& exchange) {
    held = exchange;
    exchange->on_disconnect([&] { gone.set(); });
    exchange->begin_stream(200, {});
    exchange->write("x");
  });
  Event done;
  Status how;
  const auto call = world.client->send({.url = world.url("/")},
                                       {.on_body = [&](std::string_view) { begun.set(); },
                                        .on_done =
                                            [&](Status status) {
                                              how = std::move(status);
                                              done.set();
                                            }});
  ASSERT_TRUE(begun.wait());
  call->cancel();
  ASSERT_TRUE(done.wait());
  ASSERT_FALSE(how);
  EXPECT_EQ(how.error().kind, ErrorKind::kCancelled);
  EXPECT_TRUE(gone.wait());
  call->cancel();  // once more does nothing
  world.client.reset();
  EXPECT_EQ(done.count(), 1);
  call->cancel();  // nor after the client
}

TEST(Client, EndsItsCallsWhenItIsDestroyed) {
  World world([held = std::make_shared<std::vector<Held>>()](const Held& exchange) {
    held->push_back(exchange);
  });
  Event done;
  for (int i = 0; i < 5; ++i) {
    world.client->send({.url = world.url("/")}, {.on_done = [&](const Status& status) {
                         EXPECT_EQ(status.error().kind, ErrorKind::kCancelled);
                         done.set();
                       }});
  }
  world.client.reset();
  EXPECT_EQ(done.count(), 5);
}

TEST(Client, SaysWhatKeptItFromCalling) {
  const auto client = *Client::create();
  const struct {
    CallOptions options;
    ErrorKind kind;
    std::string message;
  } cases[] = {
      {{.url = "ftp://a"}, ErrorKind::kUsage, "http://"},
      {{.url = "http://127.0.0.1:1/x"},
       ErrorKind::kNetwork,
       "http://127.0.0.1:1/x: cannot connect"},
      {{.url = "http://no-such-host.invalid/"}, ErrorKind::kNetwork, "cannot find the host"},
      {{.url = "http://a/", .headers = {{"X", "a\r\nY: b"}}}, ErrorKind::kUsage, "header"},
      {{.url = "http://a/", .headers = {{"Host", "b"}}}, ErrorKind::kUsage, "header"},
      {{.url = "http://a/", .headers = {{"Content-Length", "1"}}}, ErrorKind::kUsage, "header"},
      {{.url = "http://a/", .method = "G T"}, ErrorKind::kUsage, "method"},
  };
  for (const auto& c : cases) {
    const auto got = fetch(*client, c.options);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind, c.kind) << got.error().message;
    EXPECT_THAT(got.error().message, HasSubstr(c.message));
  }
}

TEST(Client, DoesNotWaitForEver) {
  Event release;
  const ScriptedServer server([&](RawSocket& socket, int connection) {
    socket.read_until("\r\n\r\n");
    if (connection == 1) socket.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    (void)socket.read_all();  // until the client gives up
  });
  const auto client = *Client::create();
  for (int i = 0; i < 2; ++i) {
    const auto got = fetch(*client, {.url = server.url("/"), .idle_timeout_ms = 150});
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind, ErrorKind::kNetwork);
    EXPECT_THAT(got.error().message, HasSubstr("not a byte moved for 150 ms"));
  }
}

TEST(Client, RefusesTooMuchAndNonsense) {
  const std::string answers[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
      "HTTP/1.1 200 OK\r\n\r\n" + std::string(1001, 'x'),
      "HTTP/1.1 200 OK\r\nX: " + std::string(70'000, 'x') + "\r\n\r\n",
      "SSH-2.0-OpenSSH_9.2\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX: \x01\r\n\r\n",
      [] {
        std::string endless;
        for (int i = 0; i < 20; ++i) endless += "HTTP/1.1 103 Early Hints\r\n\r\n";
        return endless;
      }(),
  };
  const ScriptedServer server([&](RawSocket& socket, int connection) {
    socket.read_until("\r\n\r\n");
    socket.send(answers[connection]);
    (void)socket.read_all();
  });
  const auto client = *Client::create();
  for (std::size_t i = 0; i < std::size(answers); ++i) {
    const auto got = fetch(*client, {.url = server.url("/"), .max_response_bytes = 1000});
    ASSERT_FALSE(got) << i;
    EXPECT_EQ(got.error().kind, ErrorKind::kBadInput) << got.error().message;
  }
}

TEST(Client, PassesOverInterimAnswers) {
  const ScriptedServer server([&](RawSocket& socket, int) {
    socket.read_until("\r\n\r\n");
    socket.send(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  });
  const auto got = fetch_url(server.url("/"));
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->status, 200u);
  EXPECT_EQ(got->body, "ok");
}

// The first answer of a connection keeps it alive, and then the server closes it unread.
TEST(Client, AsksAgainOnAStaleConnectionOnlyWhatIsSafe) {
  std::atomic<int> requests = 0;
  const ScriptedServer server([&](RawSocket& socket, int connection) {
    socket.read_until("\r\n\r\n");
    ++requests;
    socket.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    if (connection % 2 != 0) return;
    if (!socket.read_until("\r\n\r\n").empty()) ++requests;  // the second request, unanswered
  });
  const auto client = *Client::create();
  ASSERT_TRUE(fetch(*client, {.url = server.url("/")}));
  const auto again = fetch(*client, {.url = server.url("/")});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(requests, 3);
  const auto other = *Client::create();
  ASSERT_TRUE(fetch(*other, {.url = server.url("/")}));
  const auto posted = fetch(*other, {.url = server.url("/"), .method = "POST", .body = "once"});
  ASSERT_FALSE(posted);
  EXPECT_EQ(posted.error().kind, ErrorKind::kNetwork);
  EXPECT_THAT(posted.error().message, HasSubstr("closed before an answer"));
  EXPECT_EQ(requests, 5);
}

TEST(Client, DoesNotKeepAConnectionThatSaysTooMuch) {
  const ScriptedServer server([&](RawSocket& socket, int connection) {
    socket.read_until("\r\n\r\n");
    socket.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(connection) +
                "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged");
    (void)socket.read_all();
  });
  const auto client = *Client::create();
  EXPECT_EQ(fetch(*client, {.url = server.url("/")})->body, "0");
  EXPECT_EQ(fetch(*client, {.url = server.url("/")})->body, "1");
}

TEST(Client, SeesAServerDieWhileItStreams) {
  Event first;
  const ScriptedServer server([&](RawSocket& socket, int) {
    socket.read_until("\r\n\r\n");
    socket.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    EXPECT_TRUE(first.wait());
    socket.reset();
  });
  const auto client = *Client::create();
  Event done;
  client->send({.url = server.url("/")}, {.on_body = [&](std::string_view) { first.set(); },
                                          .on_done =
                                              [&](const Status& status) {
                                                EXPECT_EQ(status.error().kind, ErrorKind::kNetwork);
                                                done.set();
                                              }});
  EXPECT_TRUE(done.wait());
}

TEST(Client, TakesAnAnswerThatComesBeforeTheWholeRequest) {
  auto server = Server::start({.max_body_bytes = 1000}, [](const Held&) {});
  ASSERT_TRUE(server);
  const auto client = *Client::create();
  const auto got = fetch(*client, {.url = "http://127.0.0.1:" + std::to_string((*server)->port()),
                                   .method = "POST",
                                   .body = std::string(5 << 20, 'x')});
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->status, 413u);
}

}  // namespace
}  // namespace otr::net
