#include "net/exchange.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "net/message_parser.h"

namespace otr::net {
namespace {

// RFC 9110 wants a Date from a server with a clock. Made anew once a second.
std::string date_line() {
  thread_local std::time_t made_at = -1;
  thread_local char line[64] = "";
  const std::time_t now = std::time(nullptr);
  if (now != made_at) {
    std::tm parts{};
    gmtime_r(&now, &parts);
    std::strftime(line, sizeof(line), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
    made_at = now;
  }
  return line;
}

}  // namespace

ServerExchange::ServerExchange(Request request, bool closes_after, std::size_t max_pending_bytes,
                               std::shared_ptr<IoThread> thread, std::function<void()> wake)
    : request_(std::move(request)),
      closes_after_(closes_after),
      max_pending_bytes_(max_pending_bytes),
      thread_(std::move(thread)),
      wake_(std::move(wake)) {}

bool ServerExchange::is_bodyless(unsigned status) const {
  return request_.method == "HEAD" || status == 204 || status == 304;
}

std::string ServerExchange::encode_head(unsigned status, const std::string& header_lines,
                                        const std::string& framing) const {
  std::string head = "HTTP/1.1 " + std::to_string(status) + " ";
  head += reason_phrase(status);
  head += "\r\n" + date_line() + header_lines + framing;
  if (closes_after_) head += "Connection: close\r\n";
  return head + "\r\n";
}

void ServerExchange::start(Response response, bool is_stream) {
  auto lines = encode_headers(response.headers);
  if (!lines || response.status < 200 || response.status > 599) {
    is_stream = false;
    response = fault_response({500, "bad_answer", "the answer had a header that cannot be sent"});
    lines = encode_headers(response.headers);
  }
  const bool has_length = !is_stream && response.status != 204 && response.status != 304;
  sends_body_ = !is_bodyless(response.status);
  is_chunked_ =
      is_stream && !request_.is_http_10 && response.status != 204 && response.status != 304;
  std::string framing;
  if (has_length) framing = "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
  if (is_chunked_) framing = "Transfer-Encoding: chunked\r\n";
  std::string bytes = encode_head(response.status, *lines, framing);
  if (sends_body_) bytes += response.body;
  queue(std::move(bytes), is_stream ? Ending::kOpen : Ending::kWhole);
}

void ServerExchange::queue(std::string bytes, Ending ending) {
  phase_ = ending == Ending::kOpen ? Phase::kStreaming : Phase::kOver;
  pending_bytes_ += bytes.size();
  if (outgoing_.bytes.empty()) {
    outgoing_.bytes = std::move(bytes);
  } else {
    outgoing_.bytes += bytes;
  }
  outgoing_.ending = ending;
  if (!std::exchange(is_wake_posted_, true)) thread_->post(wake_);
}

bool ServerExchange::respond(Response response) {
  std::function<void()> released;  // outside of the lock: it may hold the last reference to us
  const std::lock_guard lock(mutex_);
  if (phase_ != Phase::kWaiting) return false;
  start(std::move(response), false);
  released = std::move(gone_call_);
  return true;
}

bool ServerExchange::begin_stream(unsigned status, Headers headers) {
  const std::lock_guard lock(mutex_);
  if (phase_ != Phase::kWaiting) return false;
  start({status, std::move(headers)}, true);
  return phase_ == Phase::kStreaming;
}

bool ServerExchange::write(std::string bytes) {
  const std::lock_guard lock(mutex_);
  if (phase_ != Phase::kStreaming) return false;
  if (!sends_body_ || bytes.empty()) return true;
  if (is_chunked_) bytes = encode_chunk(bytes);
  const bool is_too_slow =
      bytes.size() > max_pending_bytes_ - std::min(max_pending_bytes_, pending_bytes_.load());
  queue(std::move(bytes), is_too_slow ? Ending::kReset : Ending::kOpen);
  return !is_too_slow;
}

bool ServerExchange::end() {
  std::function<void()> released;
  const std::lock_guard lock(mutex_);
  if (phase_ != Phase::kStreaming) return false;
  queue(std::string(is_chunked_ && sends_body_ ? kLastChunk : ""), Ending::kWhole);
  released = std::move(gone_call_);
  return true;
}

bool ServerExchange::abort() {
  std::function<void()> released;
  const std::lock_guard lock(mutex_);
  if (phase_ == Phase::kOver) return false;
  // The end of a connection is the end of a message that has no other; only a reset denies it.
  queue("", is_chunked_ ? Ending::kCut : Ending::kReset);
  released = std::move(gone_call_);
  return true;
}

void ServerExchange::on_disconnect(std::function<void()> call) {
  std::function<void()> released;
  const std::lock_guard lock(mutex_);
  if (is_peer_gone_) {
    thread_->post(std::move(call));
  } else if (phase_ != Phase::kOver) {
    released = std::exchange(gone_call_, std::move(call));
  }
}

Outgoing ServerExchange::take() {
  const std::lock_guard lock(mutex_);
  is_wake_posted_ = false;
  return {std::exchange(outgoing_.bytes, {}), outgoing_.ending};
}

void ServerExchange::sent(std::size_t bytes) { pending_bytes_ -= bytes; }

void ServerExchange::peer_gone() {
  std::function<void()> call;
  {
    const std::lock_guard lock(mutex_);
    is_peer_gone_ = true;
    call = std::exchange(gone_call_, nullptr);
  }
  if (call) call();
}

void ServerExchange::connection_gone() {
  {
    const std::lock_guard lock(mutex_);
    phase_ = Phase::kOver;
    std::string().swap(outgoing_.bytes);  // the handler may hold us for long
    pending_bytes_ = 0;
  }
  peer_gone();
}

void ServerExchange::dropped() {
  {
    const std::lock_guard lock(mutex_);
    if (phase_ == Phase::kOver) return;
    if (phase_ == Phase::kWaiting) {
      start(fault_response({500, "no_answer", "the server has let the request fall"}), false);
      return;
    }
  }
  abort();
}

}  // namespace otr::net
