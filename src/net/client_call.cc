#include "net/client_call.h"

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <utility>

namespace otr::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

// A server that sends more interim answers than this before the real one has lost its way.
constexpr int kMaxInterimAnswers = 16;

Status network_error(std::string what) { return fail(ErrorKind::kNetwork, std::move(what)); }

}  // namespace

void ClientConnection::close() {
  is_closed_ = true;
  listener_ = {};
  transport_->close();
}

void ClientConnection::read() {
  transport_->read_some(asio::buffer(buffer_),
                        [self = shared_from_this()](ErrorCode error, std::size_t count) {
                          if (self->is_closed_) return;
                          // Copies: a listener may replace itself.
                          const Listener listener = self->listener_;
                          if (error) return listener.on_end(error);
                          listener.on_bytes({self->buffer_.data(), count});
                          if (!self->is_closed_) self->read();
                        });
}

void ClientCore::keep(const std::string& origin, std::shared_ptr<ClientConnection> connection) {
  auto& kept = pool[origin];
  if (is_closing || kept.size() >= options.max_idle_per_host) {
    connection->close();
    if (kept.empty()) pool.erase(origin);
    return;
  }
  connection->kept_until = Clock::now() + std::chrono::milliseconds(options.pool_idle_ms);
  connection->is_reused = true;
  // Whatever comes while nobody has asked is the end of it.
  const ClientConnection* raw = connection.get();
  connection->listen({[this, origin, raw](std::string_view) { drop(origin, raw); },
                      [this, origin, raw](ErrorCode) { drop(origin, raw); }});
  kept.push_back(std::move(connection));
}

std::shared_ptr<ClientConnection> ClientCore::reuse(const std::string& origin) {
  const auto found = pool.find(origin);
  if (found == pool.end()) return nullptr;
  auto connection = std::move(found->second.back());
  found->second.pop_back();
  if (found->second.empty()) pool.erase(found);
  return connection;
}

void ClientCore::drop(const std::string& origin, const ClientConnection* connection) {
  const auto found = pool.find(origin);
  if (found == pool.end()) return;
  std::erase_if(found->second, [&](const auto& kept) {
    if (kept.get() == connection) kept->close();
    return kept.get() == connection;
  });
  if (found->second.empty()) pool.erase(found);
}

void ClientCore::tick(Clock::time_point now) {
  const std::vector<std::shared_ptr<ClientCall>> running(calls.begin(), calls.end());
  for (const auto& call : running) call->tick(now);
  for (auto& [origin, kept] : pool) {
    std::erase_if(kept, [&](const auto& connection) {
      const bool is_old = now >= connection->kept_until;
      if (is_old) connection->close();
      return is_old;
    });
  }
  std::erase_if(pool, [](const auto& entry) { return entry.second.empty(); });
}

void ClientCore::close_all() {
  is_closing = true;
  resolver.cancel();
  const std::vector<std::shared_ptr<ClientCall>> running(calls.begin(), calls.end());
  for (const auto& call : running) {
    call->finish(fail(ErrorKind::kCancelled, "the HTTP client was closed"));
  }
  for (auto& [origin, kept] : pool) {
    for (const auto& connection : kept) connection->close();
  }
  pool.clear();
}

ClientCall::ClientCall(ClientCore& core, CallOptions options, CallEvents events)
    : core_(core), thread_(core.thread), options_(std::move(options)), events_(std::move(events)) {}

Status ClientCall::prepare() {
  OTR_TRY_ASSIGN(url_, parse_url(options_.url));
  const auto lines = encode_headers(options_.headers);
  const bool has_bad_method = !is_token(options_.method) || options_.method == "CONNECT";
  if (!lines || has_bad_method || find_header(options_.headers, "Host")) {
    return fail(ErrorKind::kUsage, "a header or the method of the call cannot be sent");
  }
  wire_ = options_.method + " " + url_.target() + " HTTP/1.1\r\nHost: " + url_.authority() + "\r\n";
  wire_ += *lines;
  const bool has_body = !options_.body.empty() || options_.method == "POST" ||
                        options_.method == "PUT" || options_.method == "PATCH";
  if (has_body) wire_ += "Content-Length: " + std::to_string(options_.body.size()) + "\r\n";
  wire_ += "\r\n" + options_.body;
  return {};
}

void ClientCall::start() {
  if (core_.is_closing) {
    return finish(fail(ErrorKind::kCancelled, "the HTTP client was closed"));
  }
  core_.calls.insert(shared_from_this());
  if (const Status ready = prepare(); !ready) return finish(ready);
  deadline_ = Clock::now() + std::chrono::milliseconds(options_.connect_timeout_ms);
  if (auto kept = core_.reuse(url_.origin())) return use(std::move(kept));
  connect();
}

void ClientCall::connect() {
  is_waiting_for_connection_ = true;
  ErrorCode not_an_address;
  const auto address = asio::ip::make_address(url_.host, not_an_address);
  if (!not_an_address) return connect_to({tcp::endpoint(address, url_.port)});
  core_.resolver.async_resolve(
      url_.host, std::to_string(url_.port),
      [self = shared_from_this()](ErrorCode error, const tcp::resolver::results_type& found) {
        if (self->is_finished_) return;
        if (error) return self->finish(network_error("cannot find the host: " + error.message()));
        self->connect_to({found.begin(), found.end()});
      });
}

void ClientCall::connect_to(std::vector<tcp::endpoint> endpoints) {
  attempt_ = std::make_shared<tcp::socket>(thread_->context());
  asio::async_connect(
      *attempt_, endpoints,
      [self = shared_from_this(), socket = attempt_](ErrorCode error, const tcp::endpoint&) {
        self->attempt_.reset();
        if (self->is_finished_) return;
        if (!error) return self->on_connected(std::move(*socket));
        self->finish(network_error("cannot connect: " + error.message()));
      });
}

void ClientCall::on_connected(tcp::socket socket) {
  ErrorCode ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  auto transport = url_.tls ? make_tls_client(std::move(socket), *core_.tls, url_.host,
                                              core_.options.pinned_spki_sha256)
                            : make_plain(std::move(socket));
  connection_ = std::make_shared<ClientConnection>(std::move(transport));
  connection_->transport().handshake(
      [self = shared_from_this(), connection = connection_](ErrorCode error) {
        if (self->is_finished_) return;
        const Status trusted = connection->transport().check_peer();
        if (error && (trusted || self->core_.options.pinned_spki_sha256)) {
          return self->finish(network_error("the TLS handshake failed: " + error.message()));
        }
        if (!trusted) return self->finish(trusted);
        self->use(connection);
        connection->start_reading();
      });
}

void ClientCall::use(std::shared_ptr<ClientConnection> connection) {
  is_waiting_for_connection_ = false;
  connection_ = std::move(connection);
  written_ = 0;
  in_.clear();
  touch();
  connection_->listen(
      {[self = shared_from_this()](std::string_view bytes) { self->on_bytes(bytes); },
       [self = shared_from_this()](ErrorCode error) { self->on_end(error); }});
  new_parser();
  write_some();
}

void ClientCall::new_parser() {
  const MessageLimits limits{options_.max_header_bytes, options_.max_response_bytes};
  parser_.emplace(limits, options_.method == "HEAD", [this](std::string_view part) {
    tell_head();
    if (events_.on_body) events_.on_body(part);
  });
}

void ClientCall::tell_head() {
  if (std::exchange(has_told_head_, true) || !events_.on_head) return;
  events_.on_head(parser_->status(), parser_->headers());
}

void ClientCall::touch() {
  deadline_ = Clock::now() + std::chrono::milliseconds(options_.idle_timeout_ms);
}

void ClientCall::write_some() {
  if (written_ == wire_.size()) return;
  connection_->transport().write_some(
      asio::buffer(wire_.data() + written_, wire_.size() - written_),
      [self = shared_from_this(), connection = connection_](ErrorCode error, std::size_t count) {
        // A failed write says less than what the reader finds: an early answer, or the end.
        if (self->is_finished_ || self->connection_ != connection || error) return;
        self->touch();
        self->written_ += count;
        self->write_some();
      });
}

void ClientCall::on_bytes(std::string_view bytes) {
  has_received_ = true;
  touch();
  in_ += bytes;
  if (parse()) finish({}, parser_->keeps_alive() && in_.empty() && written_ == wire_.size());
}

bool ClientCall::parse() {
  while (!in_.empty()) {
    const auto taken = parser_->put(in_);
    if (!taken) {
      finish(std::unexpected(taken.error()));
      return false;
    }
    in_.erase(0, *taken);
    if (parser_->is_done() && parser_->status() < 200) {
      if (++interim_answers_ > kMaxInterimAnswers) {
        finish(fail(ErrorKind::kBadInput, "the server sends interim answers without end"));
        return false;
      }
      new_parser();
      continue;
    }
    if (parser_->is_head_done()) tell_head();
    if (parser_->is_done()) return true;
    if (*taken == 0) return false;
  }
  return false;
}

void ClientCall::on_end(ErrorCode error) {
  const bool may_retry = options_.method == "GET" || options_.method == "HEAD";
  if (may_retry && connection_->is_reused && !has_received_) {
    connection_->close();
    connection_.reset();
    deadline_ = Clock::now() + std::chrono::milliseconds(options_.connect_timeout_ms);
    return connect();
  }
  if (!has_received_) {
    return finish(network_error("the connection closed before an answer: " + error.message()));
  }
  if (error == asio::error::eof && parser_->put_end()) return finish({});
  finish(network_error("the answer was cut before its end, after " +
                       std::to_string(parser_->body_bytes()) +
                       " bytes of its body: " + error.message()));
}

void ClientCall::tick(Clock::time_point now) {
  if (now < deadline_) return;
  finish(network_error(
      is_waiting_for_connection_
          ? "no connection within " + std::to_string(options_.connect_timeout_ms) + " ms"
          : "not a byte moved for " + std::to_string(options_.idle_timeout_ms) + " ms"));
}

void ClientCall::cancel() {
  thread_->post([self = shared_from_this()] {
    self->finish(fail(ErrorKind::kCancelled, "the call was cancelled"));
  });
}

void ClientCall::finish(Status status, bool keeps_connection) {
  if (std::exchange(is_finished_, true)) return;
  const auto self = shared_from_this();
  core_.calls.erase(self);
  if (attempt_) {
    ErrorCode ignored;
    attempt_->close(ignored);
  }
  if (const auto connection = std::exchange(connection_, nullptr)) {
    keeps_connection ? core_.keep(url_.origin(), connection) : connection->close();
  }
  if (!status) {
    // Without the query, which may hold what no log should.
    const std::string where = url_.host.empty() ? "" : " " + url_.origin() + url_.path;
    status.error().message = options_.method + where + ": " + status.error().message;
  }
  const CallEvents events = std::exchange(events_, {});
  if (events.on_done) events.on_done(std::move(status));
}

}  // namespace otr::net
