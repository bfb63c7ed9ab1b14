#include "net/connection.h"

#include <algorithm>
#include <utility>

namespace otr::net {
namespace {

// Further requests that are taken in while one is answered; then the peer has to wait.
constexpr std::size_t kMaxReadAhead = 64 << 10;
// How long and how much a peer that has had its last answer is listened to.
constexpr std::uint32_t kLeavingMs = 2'000;
constexpr std::size_t kMaxDiscardedBytes = 8 << 20;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

Connection::Connection(House& house, std::unique_ptr<Transport> transport, std::string peer,
                       bool is_tls)
    : house_(house), transport_(std::move(transport)), peer_(std::move(peer)), is_tls_(is_tls) {}

void Connection::start() {
  set_deadline(house_.options.header_timeout_ms);
  transport_->handshake([self = shared_from_this()](ErrorCode error) {
    if (self->phase_ != Phase::kHandshake) return;
    if (error) return self->cut();
    self->phase_ = Phase::kReading;
    self->parser_.emplace(
        MessageLimits{self->house_.options.max_header_bytes, self->house_.options.max_body_bytes});
    self->read();
  });
}

void Connection::refuse(Fault fault) {
  phase_ = Phase::kReading;
  leave(fault);
  read();
}

void Connection::set_deadline(std::uint32_t timeout_ms) {
  deadline_ = Clock::now() + std::chrono::milliseconds(timeout_ms);
}

void Connection::read() {
  const bool is_full = phase_ == Phase::kAnswering && in_.size() >= kMaxReadAhead;
  if (is_reading_ || is_read_ended_ || is_full || phase_ == Phase::kClosed) return;
  is_reading_ = true;
  transport_->read_some(boost::asio::buffer(read_buffer_),
                        [self = shared_from_this()](ErrorCode error, std::size_t count) {
                          self->is_reading_ = false;
                          self->on_read(error, count);
                        });
}

void Connection::on_read(ErrorCode error, std::size_t count) {
  if (phase_ == Phase::kClosed) return;
  if (error) return on_read_end(error == boost::asio::error::eof);
  if (phase_ == Phase::kLeaving) {
    discarded_bytes_ += count;
    if (discarded_bytes_ > kMaxDiscardedBytes) return cut();
  } else {
    // The time for a head runs from its first byte.
    const bool is_first = in_.empty() && !is_head_seen_ && phase_ == Phase::kReading;
    if (is_first) set_deadline(house_.options.header_timeout_ms);
    in_.append(read_buffer_.data(), count);
    if (phase_ == Phase::kReading) parse();
  }
  read();
}

// The peer sends nothing more. Whoever asks for an answer and then closes its sending side has
// most likely gone: the handler hears of it, but may still answer.
void Connection::on_read_end(bool is_clean) {
  is_read_ended_ = true;
  if (phase_ == Phase::kAnswering && is_clean) return current_->peer_gone();
  if (phase_ == Phase::kLeaving && is_clean && is_writing_) return;
  is_clean ? transport_->close() : transport_->reset();
  cut();
}

void Connection::parse() {
  while (phase_ == Phase::kReading && !in_.empty()) {
    const auto taken = parser_->put(in_);
    if (!taken) return leave(taken.error());
    in_.erase(0, *taken);
    if (parser_->is_done()) return hand_over();
    if (parser_->is_head_done() && !std::exchange(is_head_seen_, true)) {
      set_deadline(house_.options.body_timeout_ms);
      if (parser_->expects_continue() && in_.empty()) {
        uncounted_bytes_ += kContinue.size();
        send(std::string(kContinue));
      }
    }
    if (*taken == 0) return;
  }
}

void Connection::hand_over() {
  phase_ = Phase::kAnswering;
  deadline_ = Clock::time_point::max();
  Request request = std::move(parser_->request());
  request.peer = peer_;
  request.tls = is_tls_;
  const bool is_last = is_read_ended_ && in_.empty();
  const bool closes = !parser_->keeps_alive() || is_last || house_.is_draining;
  current_ =
      std::make_shared<ServerExchange>(std::move(request), closes, house_.options.max_pending_bytes,
                                       house_.thread, [weak = weak_from_this()] {
                                         if (const auto self = weak.lock()) self->flush();
                                       });
  ending_ = Ending::kOpen;
  if (is_read_ended_) current_->peer_gone();
  // The handler's copies share a count of their own, so that the last one can tell.
  house_.handler(
      std::shared_ptr<Exchange>(current_.get(), [held = current_](Exchange*) { held->dropped(); }));
}

void Connection::flush() {
  if (phase_ != Phase::kAnswering || ending_ != Ending::kOpen) return;
  Outgoing outgoing = current_->take();
  ending_ = outgoing.ending;
  if (ending_ == Ending::kReset) return cut();
  // Only the peer is waited for now, and it may take a byte now and then for ever.
  if (ending_ != Ending::kOpen) set_deadline(house_.options.answer_timeout_ms);
  send(std::move(outgoing.bytes));
  if (!is_writing_) on_all_written();
}

void Connection::send(std::string bytes) {
  if (out_.empty()) {
    out_.swap(bytes);
  } else {
    out_ += bytes;
  }
  if (!is_writing_ && !out_.empty()) write_some();
}

void Connection::write_some() {
  if (writing_.empty()) writing_.swap(out_);
  is_writing_ = true;
  write_deadline_ = Clock::now() + std::chrono::milliseconds(house_.options.write_timeout_ms);
  transport_->write_some(
      boost::asio::buffer(writing_.data() + written_, writing_.size() - written_),
      [self = shared_from_this()](ErrorCode error, std::size_t count) {
        self->is_writing_ = false;
        self->on_written(error, count);
      });
}

void Connection::on_written(ErrorCode error, std::size_t count) {
  if (phase_ == Phase::kClosed) return;
  if (error) return cut();
  written_ += count;
  if (written_ == writing_.size()) {
    std::string().swap(writing_);  // a connection that idles holds no answer
    written_ = 0;
  }
  const std::size_t uncounted = std::min(count, uncounted_bytes_);
  uncounted_bytes_ -= uncounted;
  if (current_) current_->sent(count - uncounted);
  if (!writing_.empty() || !out_.empty()) return write_some();
  write_deadline_ = Clock::time_point::max();
  on_all_written();
}

void Connection::on_all_written() {
  if (phase_ == Phase::kLeaving) return leave_after_writing();
  if (phase_ != Phase::kAnswering || ending_ == Ending::kOpen) return;
  const bool closes = current_->closes_after() || ending_ == Ending::kCut;
  current_.reset();
  if (!closes) return next_request();
  phase_ = Phase::kLeaving;
  leave_after_writing();
}

void Connection::next_request() {
  if (house_.is_draining) return cut();
  phase_ = Phase::kReading;
  is_head_seen_ = false;
  set_deadline(in_.empty() ? house_.options.idle_timeout_ms : house_.options.header_timeout_ms);
  parser_.emplace(MessageLimits{house_.options.max_header_bytes, house_.options.max_body_bytes});
  parse();
  if (is_read_ended_ && phase_ == Phase::kReading) return cut();
  read();
}

void Connection::leave(const Fault& fault) {
  ServerExchange answer(Request{}, true, 0, house_.thread, [] {});
  answer.respond(fault_response(fault));
  phase_ = Phase::kLeaving;
  in_.clear();
  set_deadline(house_.options.write_timeout_ms);
  Outgoing outgoing = answer.take();
  uncounted_bytes_ += outgoing.bytes.size();
  send(std::move(outgoing.bytes));
}

void Connection::leave_after_writing() {
  if (std::exchange(has_finished_sending_, true)) return;
  set_deadline(kLeavingMs);
  transport_->finish_sending([self = shared_from_this()] {
    if (self->is_read_ended_) self->cut();
  });
  read();
}

void Connection::tick(Clock::time_point now) {
  if (now >= write_deadline_) return cut();
  if (now >= deadline_) on_deadline();
}

void Connection::on_deadline() {
  const bool is_half_request = phase_ == Phase::kReading && (!in_.empty() || is_head_seen_);
  if (!is_half_request) return cut();
  leave({408, "request_timeout", "the request did not arrive in time"});
}

void Connection::drain() {
  if (phase_ == Phase::kAnswering) return current_->set_closes_after();
  if (phase_ != Phase::kLeaving) cut();
}

void Connection::cut() {
  if (phase_ == Phase::kClosed) return;
  // A reset tells the peer of an answer that was not whole; elsewhere it is a plain close.
  phase_ == Phase::kAnswering ? transport_->reset() : transport_->close();
  phase_ = Phase::kClosed;
  write_deadline_ = deadline_ = Clock::time_point::max();
  if (const auto current = std::exchange(current_, nullptr)) current->connection_gone();
  house_.closed(*this);
}

}  // namespace otr::net
