#include "service/submission_call.h"

#include <atomic>
#include <mutex>
#include <utility>

#include "net/sse.h"
#include "protocol/fields.h"

namespace otr::service {
namespace {

constexpr std::size_t kMaxErrorBytes = 64 << 10;

UpstreamError bad_gateway(std::string code, std::string message) {
  return {.status = 502,
          .type = "upstream_error",
          .code = std::move(code),
          .message = std::move(message)};
}

// Lives as long as one of its callbacks is held by the client.
class Submitted : public std::enable_shared_from_this<Submitted> {
 public:
  Submitted(std::string where, MessageEvents events)
      : where_(std::move(where)), events_(std::move(events)) {}

  void start(net::Client& client, net::CallOptions options) {
    auto self = shared_from_this();
    auto call = client.send(
        std::move(options),
        {.on_head = [self](unsigned status, const net::Headers&) { self->status_ = status; },
         .on_body = [self](std::string_view part) { self->take(part); },
         .on_done = [self](Status status) { self->end(std::move(status)); }});
    keep(std::move(call));
  }

  void cancel() {
    cancelled_ = true;
    stop();
  }

 private:
  // Callbacks may come before send() has returned, so that there is no call to cancel yet.
  void stop() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    if (call_) call_->cancel();
  }

  void keep(std::shared_ptr<net::Call> call) {
    const std::lock_guard lock(mutex_);
    call_ = std::move(call);
    if (stopped_) call_->cancel();
  }

  void take(std::string_view part) {
    if (failure_ || cancelled_) return;
    if (status_ != 200) {
      if (error_body_.size() < kMaxErrorBytes) error_body_ += part;
      return;
    }
    const Status status = sse_.put(part, [this](const net::SseEvent& event) { message(event); });
    if (!status) failure_ = bad_gateway("malformed_stream", where_ + ": " + status.error().message);
    if (failure_) stop();
  }

  void message(const net::SseEvent& event) {
    if (failure_ || cancelled_) return;
    Result<protocol::StreamMessage> message = protocol::decode_message(event.data);
    if (!message) {
      failure_ = bad_gateway("malformed_message", where_ + ": " + message.error().message);
    } else if (message->error) {
      failure_ = std::move(message->error);
    } else if (has_final_) {
      failure_ = bad_gateway("malformed_stream", where_ + " sent more after the final message.");
    } else {
      has_final_ = message->claim.has_value();
      if (!events_.on_message(*std::move(message))) {
        failure_ = bad_gateway("wrong_answer", where_ + " sent what was not asked for.");
      }
    }
  }

  void end(Status status) {
    std::optional<UpstreamError> error = std::move(failure_);
    if (!error && cancelled_) {
      error = {.status = 499, .type = "cancelled", .code = "cancelled", .message = "Cancelled."};
    }
    if (!error && status && status_ != 200) error = error_of(status_, error_body_, where_);
    if (!error && !status) error = bad_gateway("upstream_failed", status.error().message);
    if (!error && (!has_final_ || sse_.is_inside_event())) {
      error = bad_gateway("stream_cut", where_ + " ended the stream before the answer was whole.");
    }
    MessageEvents events = std::exchange(events_, {});  // lets go of whoever waits
    events.on_end(std::move(error));
  }

  std::string where_;
  MessageEvents events_;
  std::mutex mutex_;
  std::shared_ptr<net::Call> call_;
  bool stopped_ = false;
  unsigned status_ = 0;
  std::string error_body_;
  net::SseReader sse_{{.max_line_bytes = 1 << 20, .max_event_bytes = 1 << 20}};
  bool has_final_ = false;
  std::optional<UpstreamError> failure_;
  std::atomic<bool> cancelled_ = false;
};

class Handle final : public UpstreamCall {
 public:
  explicit Handle(std::shared_ptr<Submitted> submitted) : submitted_(std::move(submitted)) {}
  ~Handle() override { submitted_->cancel(); }
  void cancel() override { submitted_->cancel(); }

 private:
  std::shared_ptr<Submitted> submitted_;
};

}  // namespace

UpstreamError error_of(unsigned status, const std::string& body, const std::string& what) {
  UpstreamError error{
      .status = status < 400 ? 502 : status,
      .type = "upstream_error",
      .code = "upstream_failed",
      .message = what + " answered with HTTP status " + std::to_string(status) + "."};
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object() || !json.contains("error") || !json["error"].is_object()) return error;
  const Json& inner = json["error"];
  const auto text = [&](const char* name, std::string& to) {
    const auto found = inner.find(name);
    if (found != inner.end() && found->is_string()) to = found->get<std::string>().substr(0, 2000);
  };
  text("type", error.type);
  text("code", error.code);
  text("message", error.message);
  return error;
}

std::shared_ptr<UpstreamCall> post_submission(net::Client& client, const std::string& base_url,
                                              net::Headers headers, std::string body,
                                              MessageEvents events) {
  auto submitted = std::make_shared<Submitted>(base_url, std::move(events));
  headers.push_back({"Content-Type", "application/json"});
  submitted->start(client, {.url = base_url + "/v1/otr/requests",
                            .method = "POST",
                            .headers = std::move(headers),
                            .body = std::move(body)});
  return std::make_shared<Handle>(std::move(submitted));
}

}  // namespace otr::service
