#include "net/server.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <condition_variable>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/check.h"
#include "net/connection.h"
#include "net/io_thread.h"
#include "net/transport.h"

namespace otr::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

// Connections above the limit that are told so; further ones are closed without a word.
constexpr std::size_t kMaxRefusals = 64;

Result<tcp::acceptor> listen_on(const ServerOptions& options, asio::io_context& context) {
  ErrorCode error;
  const auto address = asio::ip::make_address(options.address, error);
  if (error) {
    return fail(ErrorKind::kUsage, "'" + options.address + "' is no IP address to listen on");
  }
  const tcp::endpoint endpoint(address, options.port);
  tcp::acceptor acceptor(context);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(1024, error);
  if (!error) acceptor.non_blocking(true, error);
  if (error) {
    return fail(ErrorKind::kUsage, "cannot listen on " + options.address + " port " +
                                       std::to_string(options.port) + ": " + error.message());
  }
  return acceptor;
}

std::string address_text(const tcp::endpoint& peer) {
  const asio::ip::address address = peer.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
  }
  return address.to_string();
}

}  // namespace

// All of it on the I/O thread, but for the constructor, what is const, and what says otherwise.
struct Server::Impl {
  Impl(ServerOptions with_options, Handler with_handler, std::shared_ptr<IoThread> with_thread,
       tcp::acceptor with_acceptor, std::shared_ptr<TlsContext> with_tls)
      : options(std::move(with_options)),
        handler(std::move(with_handler)),
        thread(std::move(with_thread)),
        tls(std::move(with_tls)),
        acceptor(std::move(with_acceptor)),
        port(acceptor.local_endpoint().port()),
        house{options, handler, thread, [this](Connection& connection) { closed(connection); }} {}

  void accept();
  void welcome(tcp::socket socket);
  void closed(Connection& connection);
  void tick(Clock::time_point now);
  void drain();
  void cut_all();
  [[nodiscard]] std::vector<std::shared_ptr<Connection>> all() const {
    return {connections.begin(), connections.end()};
  }

  const ServerOptions options;
  const Handler handler;
  const std::shared_ptr<IoThread> thread;
  const std::shared_ptr<TlsContext> tls;  // null = plain
  tcp::acceptor acceptor;
  const std::uint16_t port;
  Connection::House house;

  bool is_accepting = false;
  std::set<std::shared_ptr<Connection>> connections;
  std::map<std::string, std::size_t> connections_of;  // by address

  std::mutex mutex;  // guards what follows, which other threads look at
  std::condition_variable changed;
  std::size_t count = 0;    // of connections
  bool is_stopped = false;  // stop() has been called
  bool is_drained = false;  // and the I/O thread has seen it
};

void Server::Impl::accept() {
  if (is_accepting || house.is_draining) return;
  is_accepting = true;
  acceptor.async_accept([this](ErrorCode error, tcp::socket socket) {
    is_accepting = false;
    // Out of file descriptors, for example: the next tick tries again.
    if (error) return;
    welcome(std::move(socket));
    accept();
  });
}

void Server::Impl::welcome(tcp::socket socket) {
  ErrorCode error;
  const tcp::endpoint endpoint = socket.remote_endpoint(error);
  if (error) return;  // it has gone already
  socket.set_option(tcp::no_delay(true), error);
  const std::string peer = address_text(endpoint);
  std::size_t& of_this = connections_of[peer];
  const std::size_t per_address = options.max_connections_per_address;
  const bool is_too_many =
      connections.size() >= options.max_connections || (per_address != 0 && of_this >= per_address);
  if (is_too_many &&
      (tls != nullptr || connections.size() >= options.max_connections + kMaxRefusals)) {
    if (of_this == 0) connections_of.erase(peer);
    return;
  }
  ++of_this;
  auto transport =
      tls != nullptr ? make_tls_server(std::move(socket), *tls) : make_plain(std::move(socket));
  const auto connection =
      std::make_shared<Connection>(house, std::move(transport), peer, tls != nullptr);
  connections.insert(connection);
  {
    const std::lock_guard lock(mutex);
    count = connections.size();
  }
  if (!is_too_many) return connection->start();
  connection->refuse({503, "too_many_connections", "the server has no room for a connection"});
}

void Server::Impl::closed(Connection& connection) {
  const auto of_peer = connections_of.find(connection.peer());
  if (--of_peer->second == 0) connections_of.erase(of_peer);
  connections.erase(connection.shared_from_this());
  const std::lock_guard lock(mutex);
  count = connections.size();
  changed.notify_all();
}

void Server::Impl::tick(Clock::time_point now) {
  for (const auto& connection : all()) connection->tick(now);
  accept();
}

void Server::Impl::drain() {
  house.is_draining = true;
  ErrorCode ignored;
  acceptor.close(ignored);
  for (const auto& connection : all()) connection->drain();
  const std::lock_guard lock(mutex);
  is_drained = true;
  changed.notify_all();
}

void Server::Impl::cut_all() {
  for (const auto& connection : all()) connection->cut();
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { stop(0); }

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, Handler handler) {
  std::shared_ptr<TlsContext> tls;
  if (!options.tls_certificate_file.empty() || !options.tls_key_file.empty()) {
    OTR_TRY_ASSIGN(tls, make_server_tls(options.tls_certificate_file, options.tls_key_file));
  }
  auto thread = std::make_shared<IoThread>();
  OTR_TRY_ASSIGN(tcp::acceptor acceptor, listen_on(options, thread->context()));
  auto impl = std::make_unique<Impl>(std::move(options), std::move(handler), std::move(thread),
                                     std::move(acceptor), std::move(tls));
  Impl* self = impl.get();
  self->thread->post([self] { self->accept(); });
  self->thread->start([self](Clock::time_point now) { self->tick(now); });
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

std::uint16_t Server::port() const { return impl_->port; }

std::size_t Server::connections() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->count;
}

void Server::stop(std::uint32_t deadline_ms) {
  Impl& impl = *impl_;
  OTR_CHECK(!impl.thread->is_this_thread());
  {
    const std::lock_guard lock(impl.mutex);
    if (std::exchange(impl.is_stopped, true)) return;
  }
  impl.thread->post([&impl] { impl.drain(); });
  {
    std::unique_lock lock(impl.mutex);
    const auto is_empty = [&] { return impl.is_drained && impl.count == 0; };
    impl.changed.wait_for(lock, std::chrono::milliseconds(deadline_ms), is_empty);
  }
  impl.thread->post([&impl] { impl.cut_all(); });
  impl.thread->finish();
}

}  // namespace otr::net
