#include "client/test_service.h"

#include "base/hex.h"
#include "env/file.h"
#include "net/sse.h"

namespace otr::client {
namespace {

const node::Measurement kMeasurement = {1, 2, 3};

std::string event(const protocol::StreamMessage& message) {
  return net::sse_event(protocol::encode_message(message));
}

}  // namespace

TestService::TestService() {
  tee_ = *node::SimulatedTee::open({.folder = folder / "", .measurement = kMeasurement});
  restart();
  server_ = *net::Server::start(
      {}, [this](std::shared_ptr<net::Exchange> exchange) { handle(exchange); });
}

std::string TestService::url() const {
  return "http://127.0.0.1:" + std::to_string(server_->port());
}

std::string TestService::policy(bool is_other) const {
  return "name = \"test\"\n[simulated]\nroots = [\"" +
         to_hex(is_other ? Hash{} : tee_->root_hash()) + "\"]\nmeasurement = [\"" +
         to_hex(kMeasurement) + "\"]\n";
}

Options TestService::options() const {
  return {.url = url(), .policy = policy(), .home = folder / "home"};
}

Model TestService::model(std::uint64_t seed) const {
  const auto file = folder / ("model" + std::to_string(seed)).c_str();
  const auto bytes = seed == 1 ? artifact : service::toy_chat_artifact(seed);
  EXPECT_TRUE(env::write_file_atomically(file, bytes->file(), 0600));
  return *Model::load(file);
}

Client TestService::connect() const { return *Client::connect(options(), model()); }

Question TestService::question() {
  return {.messages = {{.role = "user", .content = "bcd"}},
          .max_tokens = 8,
          .sampling = {.temperature = 1, .logit_bias = {{16, -100}}, .seed = 7},
          .sealed = false};
}

void TestService::restart() {
  static std::uint8_t count = 0;
  const auto session = service::toy_session(artifact->root());
  const std::array<ByteView, 1> registers = {kMeasurement};
  session->document.session.runtime = protocol::runtime_hash("simulated", registers);
  session->document.session.beacon.fill(++count);
  session->id = protocol::session_id(session->document.session, Hash{});
  const std::lock_guard lock(mutex_);
  upstream.session_given = session;
}

void TestService::answer_sessions_with(net::Response response) {
  const std::lock_guard lock(mutex_);
  sessions_answer_ = std::move(response);
}

void TestService::answer_requests_with(std::optional<net::Response> response) {
  const std::lock_guard lock(mutex_);
  requests_answer_ = std::move(response);
}

net::Response TestService::sessions(const Hash& nonce) {
  protocol::SessionDocument document = upstream.session_given->document;
  document.nonce = nonce;
  const Hash id = protocol::session_id(document.session, Hash{});
  document.evidence = {
      {.name = "simulated", .data = tee_->collect(protocol::report_data(id, nonce))->report}};
  document.signature = service::test_key(8).sign(protocol::registration_digest(document));
  return net::json_response(200, Json{{"sessions", {*protocol::session_to_json(document)}}}.dump());
}

void TestService::handle(const std::shared_ptr<net::Exchange>& exchange) {
  const net::Request& request = exchange->request();
  if (request.path == "/v1/otr/requests") return handle_request(exchange);
  const std::lock_guard lock(mutex_);
  if (sessions_answer_) {
    exchange->respond(*sessions_answer_);
    return;
  }
  exchange->respond(
      sessions(*hash_from_hex(request.query.substr(request.query.find('=') + 1), "")));
}

void TestService::handle_request(const std::shared_ptr<net::Exchange>& exchange) {
  ++requests_;
  std::shared_ptr<const service::AppraisedSession> session;
  {
    const std::lock_guard lock(mutex_);
    if (requests_answer_) {
      exchange->respond(*requests_answer_);
      return;
    }
    session = upstream.session_given;
  }
  const auto submission = protocol::decode_submission(exchange->request().body);
  if (!submission || !submission->open) {
    exchange->respond(net::error_response(400, "invalid_request_error", "not_open", "not open"));
    return;
  }
  if (submission->open->session != session->id) {
    exchange->respond(net::error_response(503, "unavailable_error", "session_unknown", "unknown"));
    return;
  }
  exchange->begin_stream(200, {{"Content-Type", "text/event-stream"}});
  const auto call = upstream.submit(
      *submission->open, session,
      {.on_token =
           [exchange](const protocol::TokenMessage& token) {
             exchange->write(event({.tokens = {token}}));
           },
       .on_done =
           [exchange](const std::expected<service::EndedAnswer, service::UpstreamError>& ended) {
             if (ended) {
               protocol::ClaimMessage claim = ended->claim;
               claim.receipt_id = to_hex(claim.claim.request_hash);
               exchange->write(event({.trace_path = ended->trace_path}));
               exchange->write(event({.claim = claim}));
             } else {
               exchange->write(event({.error = ended.error()}));
             }
             exchange->end();
           }});
  exchange->on_disconnect([call] { call->cancel(); });
}

}  // namespace otr::client
