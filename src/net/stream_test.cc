// Streamed answers: their framing, peers that leave or stall, producers on other threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "net/net_world.h"
#include "net/server.h"

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

TEST(Stream, StreamsInChunks) {
  const auto server = serve([](const Held& exchange) {
    EXPECT_TRUE(exchange->begin_stream(200, {{"Content-Type", "text/event-stream"}}));
    EXPECT_FALSE(exchange->begin_stream(200, {}));
    EXPECT_FALSE(exchange->respond({}));
    EXPECT_TRUE(exchange->write("data: 1\n\n"));
    EXPECT_TRUE(exchange->write(""));  // no end
    EXPECT_TRUE(exchange->write(std::string(17, 'x')));
    EXPECT_TRUE(exchange->end());
    EXPECT_FALSE(exchange->write("late"));
    EXPECT_FALSE(exchange->end());
    EXPECT_FALSE(exchange->abort());
  });
  RawSocket peer(server->port());
  ASSERT_TRUE(peer.send(get("/")));
  const std::string head = peer.read_until("\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"));
  EXPECT_EQ(peer.read_until("0\r\n\r\n"),
            "9\r\ndata: 1\n\n\r\n11\r\nxxxxxxxxxxxxxxxxx\r\n0\r\n\r\n");
  ASSERT_TRUE(peer.send(get("/")));  // the connection lives on
  EXPECT_THAT(peer.read_until("0\r\n\r\n"), StartsWith("HTTP/1.1 200"));
}

TEST(Stream, EndsAStreamOfHttp10ByClosing) {
  const auto server = serve([](const Held& exchange) {
    exchange->begin_stream(200, {});
    exchange->write("plain");
    exchange->request().path == "/whole" ? exchange->end() : exchange->abort();
  });
  RawSocket whole(server->port()), cut(server->port());
  ASSERT_TRUE(whole.send("GET /whole HTTP/1.0\r\n\r\n"));
  EXPECT_THAT(whole.read_all(), EndsWith("Connection: close\r\n\r\nplain"));
  EXPECT_FALSE(whole.was_reset());
  ASSERT_TRUE(cut.send("GET /cut HTTP/1.0\r\n\r\n"));
  (void)cut.read_all();
  EXPECT_TRUE(cut.was_reset());
}

// What a peer does while nothing is being written to it.
void expect_noticed(const std::function<void(RawSocket&)>& leave) {
  Event gone;
  Held held;
  Event begun;
  const auto server = serve([&](const Held& exchange) {
    held = exchange;
    exchange->on_disconnect([&] { gone.set(); });
    exchange->begin_stream(200, {});
    exchange->write("first");
    begun.set();
  });
  RawSocket peer(server->port());
  ASSERT_TRUE(peer.send(get("/")));
  EXPECT_THAT(peer.read_until("first"), HasSubstr("first"));
  ASSERT_TRUE(begun.wait());
  EXPECT_FALSE(gone.is_set());
  leave(peer);
  EXPECT_TRUE(gone.wait());
  EXPECT_TRUE(eventually([&] { return !held->write("anything"); }));
  EXPECT_TRUE(eventually([&] { return server->connections() == 0; }));
  Event late;
  held->on_disconnect([&] { late.set(); });
  EXPECT_TRUE(late.wait());
  EXPECT_EQ(gone.count(), 1);
}

TEST(Stream, NoticesAClosedPeer) {
  expect_noticed([](RawSocket& peer) { peer.close(); });
}

TEST(Stream, NoticesAResetPeer) {
  expect_noticed([](RawSocket& peer) { peer.reset(); });
}

TEST(Stream, NoticesAHalfClosedPeerAndMayStillAnswer) {
  Event gone;
  Held held;
  const auto server = serve([&](const Held& exchange) {
    held = exchange;
    exchange->on_disconnect([&] {
      gone.set();
      held->respond({200, {}, "still here"});
    });
  });
  RawSocket peer(server->port());
  ASSERT_TRUE(peer.send(get("/")));
  peer.shutdown_sending();
  EXPECT_TRUE(gone.wait());
  EXPECT_THAT(peer.read_all(), EndsWith("still here"));
}

TEST(Stream, CutsAReaderThatIsTooSlow) {
  Event gone;
  std::atomic<std::size_t> most = 0;
  Held held;
  std::thread producer;
  Event has_held;
  const auto server = serve(
      [&](const Held& exchange) {
        held = exchange;
        exchange->on_disconnect([&] { gone.set(); });
        exchange->begin_stream(200, {});
        has_held.set();
      },
      {.max_pending_bytes = 256 << 10});
  RawSocket peer(server->port(), 4 << 10);
  ASSERT_TRUE(peer.send(get("/")));
  ASSERT_TRUE(has_held.wait());
  for (int i = 0; i < 100'000 && held->write(std::string(1000, 'x')); ++i) {
    most = std::max<std::size_t>(most, held->pending_bytes());
  }
  EXPECT_FALSE(held->write("x"));
  EXPECT_LE(most, 256u << 10);
  EXPECT_GT(most, 0u);
  EXPECT_TRUE(gone.wait());
  EXPECT_TRUE(eventually([&] { return server->connections() == 0; }));
}

TEST(Stream, CutsAReaderThatStalls) {
  Event gone, has_held;
  Held held;
  const auto server = serve(
      [&](const Held& exchange) {
        held = exchange;
        exchange->on_disconnect([&] { gone.set(); });
        exchange->begin_stream(200, {});
        has_held.set();
      },
      {.max_pending_bytes = 64 << 20, .write_timeout_ms = 200});
  RawSocket peer(server->port(), 4 << 10);
  ASSERT_TRUE(peer.send(get("/")));
  ASSERT_TRUE(has_held.wait());
  EXPECT_TRUE(held->write(std::string(32 << 20, 'x')));
  EXPECT_TRUE(gone.wait());
  EXPECT_EQ(held->pending_bytes(), 0u);
}

// It takes a little for ever: no silence, and yet the answer would be held for days.
TEST(Stream, CutsAReaderThatNeverEnds) {
  const auto server =
      serve([](const Held& exchange) { exchange->respond({200, {}, std::string(32 << 20, 'x')}); },
            {.write_timeout_ms = 3'600'000, .answer_timeout_ms = 200});
  RawSocket peer(server->port(), 4 << 10);
  ASSERT_TRUE(peer.send(get("/")));
  EXPECT_THAT(peer.read_until("\r\n"), HasSubstr(" 200 "));
  EXPECT_TRUE(eventually([&] { return server->connections() == 0; }));
}

TEST(Stream, DrainsItsCountOfPendingBytes) {
  Event has_held;
  Held held;
  const auto server = serve([&](const Held& exchange) {
    held = exchange;
    exchange->begin_stream(200, {});
    has_held.set();
  });
  RawSocket peer(server->port());
  ASSERT_TRUE(peer.send(post("", "Expect: 100-continue\r\n")));
  ASSERT_TRUE(has_held.wait());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(held->write(std::string(10'000, 'x')));
  held->end();
  EXPECT_GT(peer.read_until("\r\n0\r\n\r\n").size(), 1'000'000u);
  EXPECT_TRUE(eventually([&] { return held->pending_bytes() == 0; }));
}

TEST(Stream, CutsAnAbortedStreamAfterWhatWasSaid) {
  const auto server = serve([](const Held& exchange) {
    exchange->begin_stream(200, {});
    exchange->write("said");
    exchange->abort();
  });
  RawSocket peer(server->port());
  ASSERT_TRUE(peer.send(get("/")));
  EXPECT_THAT(peer.read_all(), EndsWith("\r\n\r\n4\r\nsaid\r\n"));
}

TEST(Stream, AnExchangeThatIsLetGoIsNoAnswer) {
  const auto server = serve([](const Held& exchange) {
    if (exchange->request().path == "/stream") {
      exchange->begin_stream(200, {});
      exchange->write("part");
    }
  });
  RawSocket peer(server->port());
  ASSERT_TRUE(peer.send(get("/")));
  const std::string answer = peer.read_response();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 500 "));
  EXPECT_THAT(answer, HasSubstr(R"("type":"server_error")"));
  ASSERT_TRUE(peer.send(get("/stream")));
  EXPECT_THAT(peer.read_all(), EndsWith("4\r\npart\r\n"));
}

TEST(Stream, TakesWritesFromManyThreads) {
  Event has_held;
  Held held;
  const auto server = serve([&](const Held& exchange) {
    held = exchange;
    exchange->begin_stream(200, {});
    has_held.set();
  });
  RawSocket peer(server->port());
  ASSERT_TRUE(peer.send(get("/")));
  ASSERT_TRUE(has_held.wait());
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([&] {
      for (int k = 0; k < 200; ++k) EXPECT_TRUE(held->write("abc"));
    });
  }
  for (auto& writer : writers) writer.join();
  held->end();
  const std::string all = peer.read_until("\r\n0\r\n\r\n");
  std::size_t count = 0;
  for (std::size_t at = 0; (at = all.find("3\r\nabc\r\n", at)) != all.npos; ++at) ++count;
  EXPECT_EQ(count, 800u);
}

}  // namespace
}  // namespace otr::net
