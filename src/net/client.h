// An HTTP/1.1 client with its own I/O thread: calls run side by side, connections are kept alive.
//
// Serves the proxy, the gateway (towards workers) and the command line. A body cut before its end
// is an error, never a clean end. Nothing is retried but a GET or HEAD on a kept connection that
// closed before the first byte of an answer: whether a POST may be sent twice is the caller's to
// say. No proxies, no redirects, no cookies, no compression.
#ifndef OTR_NET_CLIENT_H_
#define OTR_NET_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "net/http.h"

namespace otr::net {

struct ClientOptions {
  // How a server proves itself under https: by a chain to the system's authorities or to those of
  // `ca_file` (PEM), for the name in the URL; or, with a pin, by its key alone: the SHA-256 of the
  // DER SubjectPublicKeyInfo of its certificate. With a pin no chain, name or date is looked at.
  std::string ca_file;
  std::optional<Hash> pinned_spki_sha256;
  std::size_t max_idle_per_host = 32;   // connections kept for reuse
  std::uint32_t pool_idle_ms = 15'000;  // how long they are kept
};

struct CallOptions {
  std::string url;  // http or https, see url.h
  std::string method = "GET";
  Headers headers;  // without Host, Content-Length, Transfer-Encoding, Connection: ours to write
  std::string body;
  std::uint32_t connect_timeout_ms = 10'000;  // name, TCP and TLS together
  std::uint32_t idle_timeout_ms = 120'000;    // without a single byte moving
  std::size_t max_response_bytes = 64 << 20;  // body; beyond: kBadInput
  std::size_t max_header_bytes = 64 << 10;
};

// All run on the client's I/O thread, in this order, and must not block. `on_done` runs exactly
// once and last: with success only after the whole body. Errors: kUsage (the call cannot be made:
// URL, headers), kNetwork (what and where; retry may help), kBadInput (the answer breaks a rule or
// a limit), kReject (the server's certificate or key is not the one we trust), kCancelled.
struct CallEvents {
  std::function<void(unsigned status, const Headers& headers)> on_head;  // once; never for 1xx
  std::function<void(std::string_view part)> on_body;  // unframed; any split; never empty
  std::function<void(Status)> on_done;
};

// A handle to a running call. Letting go of it does not end the call.
class Call {
 public:
  virtual ~Call() = default;
  // From any thread. `on_done` still comes, with kCancelled unless the call ended just before.
  virtual void cancel() = 0;
};

class Client {
 public:
  static Result<std::unique_ptr<Client>> create(ClientOptions options = {});

  // Cancels what still runs, and returns when every on_done has. Not to be called on the I/O
  // thread, that is, not by a callback.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  std::shared_ptr<Call> send(CallOptions options, CallEvents events);

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Sends and waits for the whole answer, whatever its status. Not to be called on the I/O thread.
[[nodiscard]] Result<Response> fetch(Client& client, CallOptions options);

}  // namespace otr::net

#endif  // OTR_NET_CLIENT_H_
