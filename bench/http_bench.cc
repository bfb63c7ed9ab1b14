// What the HTTP library costs by itself, on loopback, client and server in one process:
//   small JSON answers over kept connections, per second;
//   the time from write() of a small event to its arrival in the client's on_body, alone and while
//   many other streams run.
// Usage: http_bench [streams]
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "env/clock.h"
#include "net/client.h"
#include "net/server.h"
#include "net/sse.h"

namespace {

using namespace otr::net;
using otr::env::monotonic_ns;

// `lanes` calls are always under way; each one that ends starts the next.
void measure_requests(int lanes, int total) {
  const auto server = *Server::start(
      {}, [](const std::shared_ptr<Exchange>& e) { e->respond(json_response(200, R"({"a":1})")); });
  const auto client = *Client::create({.max_idle_per_host = 1000});
  const std::string url = "http://127.0.0.1:" + std::to_string(server->port()) + "/";
  std::atomic<int> left = total, open = lanes;
  std::atomic<bool> is_over = false;
  std::function<void()> next = [&] {
    if (left-- <= 0) {
      if (--open == 0) is_over = true, is_over.notify_all();
      return;
    }
    client->send({.url = url}, {.on_done = [&](const otr::Status& status) {
                   OTR_CHECK(status.has_value());
                   next();
                 }});
  };
  const std::int64_t start = monotonic_ns();
  for (int i = 0; i < lanes; ++i) next();
  is_over.wait(false);
  const double seconds = static_cast<double>(monotonic_ns() - start) * 1e-9;
  std::printf("requests/s, %3d kept connections: %8.0f\n", lanes, total / seconds);
}

struct Streams {
  std::mutex mutex;
  std::vector<std::shared_ptr<Exchange>> open;
  std::vector<double> latency_us;
};

void measure_events(std::size_t streams, int rounds, std::chrono::milliseconds pause) {
  Streams all;
  const auto server = *Server::start({}, [&](const std::shared_ptr<Exchange>& exchange) {
    exchange->begin_stream(200, {{"Content-Type", "text/event-stream"}});
    const std::lock_guard lock(all.mutex);
    all.open.push_back(exchange);
  });
  const auto client = *Client::create({.max_idle_per_host = 1000});
  const std::string url = "http://127.0.0.1:" + std::to_string(server->port()) + "/";
  std::atomic<std::size_t> received = 0, done = 0;
  for (std::size_t i = 0; i < streams; ++i) {
    const auto reader = std::make_shared<SseReader>();
    const auto on_event = [&](const SseEvent& event) {
      const std::int64_t sent = std::strtoll(event.data.c_str(), nullptr, 10);
      all.latency_us.push_back(static_cast<double>(monotonic_ns() - sent) * 1e-3);
      ++received;
    };
    client->send({.url = url}, {.on_body =
                                    [reader, on_event](std::string_view part) {
                                      OTR_CHECK(reader->put(part, on_event).has_value());
                                    },
                                .on_done =
                                    [&](const otr::Status& status) {
                                      OTR_CHECK(status.has_value());
                                      ++done;
                                    }});
  }
  const auto is_ready = [&] {
    const std::lock_guard lock(all.mutex);
    return all.open.size() == streams;
  };
  while (!is_ready()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const std::int64_t start = monotonic_ns();
  for (int round = 0; round < rounds; ++round) {
    for (const auto& exchange : all.open) {
      // As a decoder would: the streams take their turns, a token each.
      OTR_CHECK(exchange->write(sse_event(std::to_string(monotonic_ns()))));
      if (pause.count() > 0) std::this_thread::sleep_for(pause);
    }
  }
  for (const auto& exchange : all.open) exchange->end();
  while (done < streams) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const double seconds = static_cast<double>(monotonic_ns() - start) * 1e-9;
  std::ranges::sort(all.latency_us);
  const auto at = [&](double q) {
    return all.latency_us[static_cast<std::size_t>(q * static_cast<double>(received - 1))];
  };
  std::printf("%4zu streams, %7zu events, %7.0f/s: latency us p50 %7.1f  p99 %7.1f  max %7.1f\n",
              streams, received.load(), static_cast<double>(received) / seconds, at(0.5), at(0.99),
              at(1.0));
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t streams = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 500;
  measure_requests(1, 20'000);
  measure_requests(64, 100'000);
  measure_events(1, 2'000, std::chrono::milliseconds(1));
  measure_events(streams, 10, std::chrono::milliseconds(1));   // a thousand events a second
  measure_events(streams, 200, std::chrono::milliseconds(0));  // as fast as they can be written
  return 0;
}
