#include "net/client.h"

#include <future>
#include <utility>

#include "net/client_call.h"

namespace otr::net {

struct Client::Impl {
  ClientCore core;
};

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Client::~Client() {
  ClientCore& core = impl_->core;
  core.thread->post([&core] { core.close_all(); });
  core.thread->finish();
}

Result<std::unique_ptr<Client>> Client::create(ClientOptions options) {
  const bool checks_chain = !options.pinned_spki_sha256;
  OTR_TRY_ASSIGN(std::shared_ptr<TlsContext> tls, make_client_tls(options.ca_file, checks_chain));
  auto thread = std::make_shared<IoThread>();
  boost::asio::ip::tcp::resolver resolver(thread->context());
  auto impl = std::make_unique<Impl>(ClientCore{.options = std::move(options),
                                                .thread = std::move(thread),
                                                .tls = std::move(tls),
                                                .resolver = std::move(resolver)});
  ClientCore* core = &impl->core;
  core->thread->start([core](Clock::time_point now) { core->tick(now); });
  return std::unique_ptr<Client>(new Client(std::move(impl)));
}

std::shared_ptr<Call> Client::send(CallOptions options, CallEvents events) {
  auto call = std::make_shared<ClientCall>(impl_->core, std::move(options), std::move(events));
  impl_->core.thread->post([call] { call->start(); });
  return call;
}

Result<Response> fetch(Client& client, CallOptions options) {
  Response response;
  // Shared: the I/O thread may still be inside set_value() when we have the value.
  const auto done = std::make_shared<std::promise<Status>>();
  CallEvents events;
  events.on_head = [&](unsigned status, const Headers& headers) {
    response.status = status;
    response.headers = headers;
  };
  events.on_body = [&](std::string_view part) { response.body += part; };
  events.on_done = [done](Status status) { done->set_value(std::move(status)); };
  client.send(std::move(options), std::move(events));
  OTR_TRY(done->get_future().get());
  return response;
}

}  // namespace otr::net
