#include "net/transport.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <utility>

#include "base/check.h"
#include "base/hex.h"
#include "crypto/sha256.h"

namespace otr::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

class Plain final : public Transport {
 public:
  explicit Plain(tcp::socket socket) : socket_(std::move(socket)) {}

  tcp::socket& socket() override { return socket_; }
  void handshake(std::function<void(ErrorCode)> done) override {
    asio::post(socket_.get_executor(), [done = std::move(done)] { done({}); });
  }
  void read_some(asio::mutable_buffer to, Done done) override {
    socket_.async_read_some(to, std::move(done));
  }
  void write_some(asio::const_buffer from, Done done) override {
    socket_.async_write_some(from, std::move(done));
  }
  void finish_sending(std::function<void()> done) override {
    ErrorCode ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    asio::post(socket_.get_executor(), std::move(done));
  }

 private:
  tcp::socket socket_;
};

class Tls final : public Transport {
 public:
  Tls(tcp::socket socket, TlsContext& context, bool is_server, std::optional<Hash> pin)
      : stream_(std::move(socket), context), is_server_(is_server), pin_(pin) {}

  tcp::socket& socket() override { return stream_.next_layer(); }
  SSL* native() const { return const_cast<Stream&>(stream_).native_handle(); }

  void handshake(std::function<void(ErrorCode)> done) override {
    const auto role = is_server_ ? Stream::server : Stream::client;
    stream_.async_handshake(role, std::move(done));
  }
  void read_some(asio::mutable_buffer to, Done done) override {
    stream_.async_read_some(to, std::move(done));
  }
  void write_some(asio::const_buffer from, Done done) override {
    stream_.async_write_some(from, std::move(done));
  }
  void finish_sending(std::function<void()> done) override {
    stream_.async_shutdown([done = std::move(done)](ErrorCode) { done(); });
  }

  Status check_peer() const override;

 private:
  using Stream = asio::ssl::stream<tcp::socket>;

  Stream stream_;
  bool is_server_;
  std::optional<Hash> pin_;
};

Status Tls::check_peer() const {
  if (!pin_) {
    const long verdict = SSL_get_verify_result(native());
    if (verdict == X509_V_OK) return {};
    return fail(ErrorKind::kReject, std::string("the server's certificate is not trusted: ") +
                                        X509_verify_cert_error_string(verdict));
  }
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(native()),
                                                                X509_free);
  unsigned char* der = nullptr;
  const int size = certificate ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate.get()), &der) : 0;
  if (size <= 0) return fail(ErrorKind::kReject, "the server showed no certificate with a key");
  const Hash hash = crypto::sha256({der, static_cast<std::size_t>(size)});
  OPENSSL_free(der);
  if (hash == *pin_) return {};
  return fail(ErrorKind::kReject, "the server's TLS key has the SHA-256 " + to_hex(hash) +
                                      ", but " + to_hex(*pin_) + " was asked for");
}

std::string last_ssl_error() {
  const char* reason = ERR_reason_error_string(ERR_get_error());
  ERR_clear_error();
  return reason == nullptr ? "unknown reason" : reason;
}

std::shared_ptr<TlsContext> make_context(TlsContext::method method) {
  auto context = std::make_shared<TlsContext>(method);
  SSL_CTX* native = context->native_handle();
  OTR_CHECK(SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION) == 1);
  SSL_CTX_set_options(native, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  ERR_clear_error();
  return context;
}

}  // namespace

void Transport::close() {
  ErrorCode ignored;
  socket().close(ignored);
}

void Transport::reset() {
  ErrorCode ignored;
  socket().set_option(asio::socket_base::linger(true, 0), ignored);
  socket().close(ignored);
}

Result<std::shared_ptr<TlsContext>> make_server_tls(const std::string& chain_file,
                                                    const std::string& key_file) {
  const auto context = make_context(TlsContext::tls_server);
  SSL_CTX* native = context->native_handle();
  if (SSL_CTX_use_certificate_chain_file(native, chain_file.c_str()) != 1) {
    return fail(ErrorKind::kUsage, "cannot use '" + chain_file + "' as TLS certificate chain: " +
                                       last_ssl_error() + "; give a PEM file");
  }
  if (SSL_CTX_use_PrivateKey_file(native, key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return fail(ErrorKind::kUsage, "cannot use '" + key_file + "' as TLS key: " + last_ssl_error() +
                                       "; give the PEM file of the key in the certificate");
  }
  return context;
}

Result<std::shared_ptr<TlsContext>> make_client_tls(const std::string& ca_file, bool checks_chain) {
  const auto context = make_context(TlsContext::tls_client);
  SSL_CTX* native = context->native_handle();
  SSL_CTX_set_verify(native, checks_chain ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  if (ca_file.empty()) {
    SSL_CTX_set_default_verify_paths(native);
  } else if (SSL_CTX_load_verify_locations(native, ca_file.c_str(), nullptr) != 1) {
    return fail(ErrorKind::kUsage, "cannot use '" + ca_file + "' as list of authorities: " +
                                       last_ssl_error() + "; give a PEM file");
  }
  return context;
}

std::unique_ptr<Transport> make_plain(tcp::socket socket) {
  return std::make_unique<Plain>(std::move(socket));
}

std::unique_ptr<Transport> make_tls_server(tcp::socket socket, TlsContext& context) {
  return std::make_unique<Tls>(std::move(socket), context, true, std::nullopt);
}

std::unique_ptr<Transport> make_tls_client(tcp::socket socket, TlsContext& context,
                                           const std::string& host,
                                           std::optional<Hash> pinned_spki_sha256) {
  auto tls = std::make_unique<Tls>(std::move(socket), context, false, pinned_spki_sha256);
  SSL* native = tls->native();
  ErrorCode not_an_address;
  asio::ip::make_address(host, not_an_address);
  if (not_an_address) {
    SSL_set_tlsext_host_name(native, host.c_str());
    SSL_set1_host(native, host.c_str());
  } else {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(native), host.c_str());
  }
  return tls;
}

}  // namespace otr::net
