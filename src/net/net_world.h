// What the tests of net play against: bare sockets that send any bytes, a server made of a script,
// and certificates made on the spot.
#ifndef OTR_NET_NET_WORLD_H_
#define OTR_NET_NET_WORLD_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "base/bytes.h"
#include "net/server.h"

namespace otr::net::testing {

inline constexpr int kPatienceMs = 20'000;  // for what must happen, on a loaded machine

// A blocking TCP socket on loopback. Nothing waits longer than kPatienceMs.
class RawSocket {
 public:
  explicit RawSocket(std::uint16_t port, int receive_buffer_bytes = 0);
  explicit RawSocket(int accepted) : fd_(accepted) {}
  RawSocket(RawSocket&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        in_(std::move(other.in_)),
        was_reset_(other.was_reset_) {}
  ~RawSocket() { close(); }

  bool send(std::string_view bytes);
  // Reads until `end` stands in what was read, or the connection ends.
  std::string read_until(std::string_view end);
  std::string read_all();       // until the connection ends
  std::string read_response();  // head and a body of its Content-Length
  [[nodiscard]] bool was_reset() const { return was_reset_; }
  void shutdown_sending();
  void reset();
  void close();

 private:
  bool read_some();

  int fd_;
  std::string in_;  // read beyond what was asked for
  bool was_reset_ = false;
};

// Listens on loopback and lets `script` talk to each connection, one after the other.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::function<void(RawSocket& socket, int connection)> script);
  ~ScriptedServer();
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string url(std::string_view path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + std::string(path);
  }

 private:
  int fd_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

// A server that must start.
std::unique_ptr<Server> serve(Handler handler, ServerOptions options = {});

// Requests as text, with further header lines.
std::string get(std::string_view path, std::string_view more = "");
std::string post(std::string_view body, std::string_view more = "");

// Something that happens on another thread.
class Event {
 public:
  void set();
  [[nodiscard]] bool wait(int timeout_ms = kPatienceMs);
  [[nodiscard]] bool is_set();
  [[nodiscard]] int count();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};

// Looks again until it is so, or patience ends.
[[nodiscard]] bool eventually(const std::function<bool()>& is_so);

// An authority of its own and a certificate from it, as PEM files in a fresh folder.
struct TestCertificate {
  std::string ca_file, chain_file, key_file;
  Hash spki_sha256;
};
TestCertificate make_certificate(const std::string& alternative_names);

}  // namespace otr::net::testing

#endif  // OTR_NET_NET_WORLD_H_
