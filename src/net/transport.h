// A TCP connection, plain or under TLS, as one interface for server and client. Inside of net only.
#ifndef OTR_NET_TRANSPORT_H_
#define OTR_NET_TRANSPORT_H_

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace otr::net {

using ErrorCode = boost::system::error_code;

// Used on one thread. At most one read and one write run at a time; their callbacks keep the owner
// alive, and come with an error after close().
class Transport {
 public:
  using Done = std::function<void(ErrorCode, std::size_t)>;

  virtual ~Transport() = default;
  virtual boost::asio::ip::tcp::socket& socket() = 0;
  virtual void handshake(std::function<void(ErrorCode)> done) = 0;  // at once where there is none
  // The error is boost::asio::error::eof only for an end that the peer meant (FIN, close_notify).
  virtual void read_some(boost::asio::mutable_buffer to, Done done) = 0;
  virtual void write_some(boost::asio::const_buffer from, Done done) = 0;
  // Tells the peer that nothing more will be sent (close_notify, FIN). No write may run.
  virtual void finish_sending(std::function<void()> done) = 0;
  // After a client's handshake: why the server is not the one we trust.
  [[nodiscard]] virtual Status check_peer() const { return {}; }

  void close();
  // Closes with a reset, so that the peer cannot take it for an end.
  void reset();
};

using TlsContext = boost::asio::ssl::context;

[[nodiscard]] Result<std::shared_ptr<TlsContext>> make_server_tls(const std::string& chain_file,
                                                                  const std::string& key_file);
// An empty file name means the authorities of the system.
[[nodiscard]] Result<std::shared_ptr<TlsContext>> make_client_tls(const std::string& ca_file,
                                                                  bool checks_chain);

[[nodiscard]] std::unique_ptr<Transport> make_plain(boost::asio::ip::tcp::socket socket);
[[nodiscard]] std::unique_ptr<Transport> make_tls_server(boost::asio::ip::tcp::socket socket,
                                                         TlsContext& context);
// `host` is the name or address that the certificate must carry, unless there is a pin.
[[nodiscard]] std::unique_ptr<Transport> make_tls_client(boost::asio::ip::tcp::socket socket,
                                                         TlsContext& context,
                                                         const std::string& host,
                                                         std::optional<Hash> pinned_spki_sha256);

}  // namespace otr::net

#endif  // OTR_NET_TRANSPORT_H_
