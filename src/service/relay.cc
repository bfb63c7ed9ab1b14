#include "service/relay.h"

#include <mutex>
#include <optional>
#include <utility>

#include "base/hex.h"
#include "net/sse.h"
#include "protocol/wire.h"
#include "service/answer.h"
#include "service/submission_call.h"

namespace otr::service {
namespace {

using protocol::StreamMessage;

net::Response to_response(const UpstreamError& error) {
  net::Response response = net::error_response(error.status, error.type, error.code, error.message);
  if (error.status == 429) response.headers.push_back({"Retry-After", "1"});
  return response;
}

// One submission under way. Messages come on the client's I/O thread, the store's word on its own.
class Relay : public std::enable_shared_from_this<Relay> {
 public:
  Relay(const RelayContext& context, std::shared_ptr<net::Exchange> exchange, const Hash& api_key,
        protocol::AnySubmission submission, WorkerPool::Place place)
      : context_(context),
        exchange_(std::move(exchange)),
        api_key_(api_key),
        submission_(std::move(submission)),
        place_(std::move(place)) {
    request_hash_ = submission_.open ? protocol::digest_of(submission_.open->request.request,
                                                           place_.session->document.ledger)
                                     : submission_.sealed->request_hash;
  }

  void start() {
    auto self = shared_from_this();
    call_ = post_submission(
        *context_.client, place_.worker->url(), {}, exchange_->request().body,
        {.on_message = [self](StreamMessage message) { return self->take(std::move(message)); },
         .on_end = [self](std::optional<UpstreamError> error) { self->end(std::move(error)); }});
    // Letting go of the call cancels it: nobody reads any more.
    exchange_->on_disconnect([call = call_] { call->cancel(); });
  }

 private:
  void begin() {
    if (std::exchange(begun_, true)) return;
    exchange_->begin_stream(200, {{"Content-Type", "text/event-stream"},
                                  {"Cache-Control", "no-store"},
                                  {"X-Receipt-Id", to_hex(request_hash_)}});
  }

  bool take(StreamMessage message) {
    if (message.claim) {
      final_ = std::move(message.claim);
      return place_.worker->countersign(*final_, request_hash_, *place_.session);
    }
    for (const protocol::TokenMessage& token : message.tokens) output_ids_.push_back(token.id);
    if (message.trace_path) trace_path_ = *message.trace_path;
    begin();
    exchange_->write(net::sse_event(protocol::encode_message(message)));
    return true;
  }

  void end(std::optional<UpstreamError> error) {
    // A worker that is gone, or has begun another session.
    if (error) place_.worker->want_refresh();
    if (!error) error = store();
    if (error) finish(std::move(error));
  }

  void finish(std::optional<UpstreamError> error) {
    if (error && !begun_) {
      exchange_->respond(to_response(*error));
      return;
    }
    begin();
    StreamMessage last;
    if (error) {
      last.error = std::move(error);
    } else {
      last.claim = std::move(final_);
    }
    exchange_->write(net::sse_event(protocol::encode_message(last)));
    exchange_->end();
  }

  // Nothing if the receipt is on its way to the disk, from where finish() is called.
  std::optional<UpstreamError> store() {
    Result<std::string> text = receipt_text();
    if (!text) {
      return UpstreamError{
          .status = 502,
          .type = "verification_error",
          .code = text.error().code,
          .message = "The worker's answer does not verify: " + text.error().message};
    }
    auto self = shared_from_this();
    context_.receipts->put({.id = request_hash_,
                            .api_key = api_key_,
                            .created = context_.unix_seconds(),
                            .text = *std::move(text)},
                           [self](const Status& status) { self->stored(status); });
    return std::nullopt;
  }

  void stored(const Status& status) {
    if (status) return finish(std::nullopt);
    finish(UpstreamError{.status = 500,
                         .type = "server_error",
                         .code = "receipt_not_stored",
                         .message = status.error().message});
  }

  Result<std::string> receipt_text() {
    if (submission_.sealed) {
      return protocol::encode_message({.claim = final_}) + "\n";
    }
    const protocol::Submission& open = *submission_.open;
    const machine::Model* model = context_.model(open.request.request.model_root);
    if (model == nullptr) return fail(ErrorKind::kReject, "This gateway does not know the model.");
    OTR_TRY_ASSIGN(VerifiedAnswer answer,
                   verify_answer(open.request, open.prompt_ids, output_ids_, {*final_, trace_path_},
                                 *place_.session, *model, open.request.request.model_root,
                                 context_.unix_seconds()));
    return std::move(answer.receipt_text);
  }

  RelayContext context_;
  std::shared_ptr<net::Exchange> exchange_;
  Hash api_key_;
  protocol::AnySubmission submission_;
  WorkerPool::Place place_;
  Hash request_hash_{};
  std::shared_ptr<UpstreamCall> call_;
  bool begun_ = false;
  std::vector<std::uint32_t> output_ids_;
  std::vector<Hash> trace_path_;
  std::optional<protocol::ClaimMessage> final_;
};

}  // namespace

void relay_submission(const RelayContext& context, std::shared_ptr<net::Exchange> exchange,
                      const Hash& api_key) {
  Result<protocol::AnySubmission> any = protocol::decode_submission(exchange->request().body);
  if (!any) {
    exchange->respond(
        net::error_response(400, "invalid_request_error", any.error().code, any.error().message));
    return;
  }
  auto place = context.workers->place_of(any->open ? any->open->session : any->sealed->session);
  if (!place) {
    exchange->respond(to_response(place.error()));
    return;
  }
  std::make_shared<Relay>(context, std::move(exchange), api_key, *std::move(any), *std::move(place))
      ->start();
}

}  // namespace otr::service
