// An HTTP/1.1 server on one I/O thread: requests arrive whole, answers go out whole or as a stream.
//
// Serves the worker and the gateway. The limits below are the whole defence against hostile peers:
// a head, a body, a silence or a slow reader beyond them ends in an error answer or a cut
// connection. Errors that the server makes itself have OpenAI's shape (error_response).
// It promises no HTTP/2, no WebSocket, no compression; a body is never handed out in parts.
#ifndef OTR_NET_SERVER_H_
#define OTR_NET_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "net/http.h"

namespace otr::net {

// One request and its answer. Every function may be called from any thread; calls that come after
// the answer is complete, or after the connection was cut, do nothing and return false. Letting go
// of the last shared_ptr without an answer sends 500, and in the middle of a stream aborts it.
// Abstract, so that a handler can be tested without a socket.
class Exchange {
 public:
  virtual ~Exchange() = default;

  [[nodiscard]] virtual const Request& request() const = 0;

  // The whole answer at once. A header that is ours to write or that would break the head (a line
  // break in a value) makes it a 500.
  virtual bool respond(Response response) = 0;

  // The head of a streamed answer, sent at once; then any number of write(), then end() or abort().
  // write() never blocks: it queues. If that would leave more than ServerOptions::max_pending_bytes
  // unsent, the peer reads too slowly: the connection is cut and on_disconnect fires.
  virtual bool begin_stream(unsigned status, Headers headers) = 0;
  virtual bool write(std::string bytes) = 0;
  virtual bool end() = 0;
  // Sends what was written before, then closes the connection without the end of the message, so
  // that no client can take the answer for complete.
  virtual bool abort() = 0;

  // `call` runs once, on the I/O thread, if the peer closes or resets its side (also just its
  // sending side: it may still be answered), stalls beyond a limit, or stop() cuts the connection,
  // before the answer is complete; at once if that has happened already. At most one call is kept,
  // the last, and let go of when the answer is complete; it must not block. A peer that sends more
  // than 64 KiB of further requests meanwhile is not read, so that only a write notices its end.
  virtual void on_disconnect(std::function<void()> call) = 0;

  // Bytes of the answer that the kernel has not taken yet; none once the connection is cut.
  [[nodiscard]] virtual std::size_t pending_bytes() const = 0;
};

struct ServerOptions {
  std::string address = "127.0.0.1";            // an IP address
  std::uint16_t port = 0;                       // 0 = any free one
  std::size_t max_header_bytes = 16 << 10;      // request line and headers; beyond: 431
  std::size_t max_body_bytes = 4 << 20;         // beyond: 413
  std::size_t max_pending_bytes = 1 << 20;      // unsent bytes of one stream
  std::uint32_t header_timeout_ms = 10'000;     // first byte to last byte of a head, else 408
  std::uint32_t body_timeout_ms = 30'000;       // end of head to end of body, else 408
  std::uint32_t idle_timeout_ms = 60'000;       // between two requests of a connection
  std::uint32_t write_timeout_ms = 30'000;      // without the peer taking a single byte
  std::uint32_t answer_timeout_ms = 600'000;    // from its last word until the peer took it
  std::size_t max_connections = 2'000;          // beyond: 503 and close
  std::size_t max_connections_per_address = 0;  // 0 = no limit; beyond: 503 and close
  std::string tls_certificate_file;             // PEM chain; both empty = plain HTTP
  std::string tls_key_file;                     // PEM
};

// Called on the I/O thread once per request; must not block.
using Handler = std::function<void(std::shared_ptr<Exchange>)>;

class Server {
 public:
  // Listens and serves from now on. kUsage for an address, port or TLS file that cannot be used.
  static Result<std::unique_ptr<Server>> start(ServerOptions options, Handler handler);

  ~Server();  // stop(0)
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::size_t connections() const;  // open now

  // Stops accepting, lets running exchanges end until the deadline, then cuts the rest. Returns
  // when the I/O thread has ended. Not to be called on the I/O thread. Exchanges may outlive it.
  void stop(std::uint32_t deadline_ms);

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace otr::net

#endif  // OTR_NET_SERVER_H_
