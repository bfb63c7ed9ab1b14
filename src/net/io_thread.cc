#include "net/io_thread.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "base/check.h"

namespace otr::net {

constexpr auto kTick = std::chrono::milliseconds(50);

IoThread::IoThread() : guard_(boost::asio::make_work_guard(context_)), timer_(context_) {}

void IoThread::start(std::function<void(Clock::time_point)> tick) {
  tick_ = std::move(tick);
  schedule_tick();
  thread_ = std::thread([this] { context_.run(); });
}

void IoThread::schedule_tick() {
  timer_.expires_after(kTick);
  timer_.async_wait([this](boost::system::error_code error) {
    // A tick that was due when finish() cancelled the timer comes without an error.
    if (error || is_ending_) return;
    tick_(Clock::now());
    schedule_tick();
  });
}

bool IoThread::post(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (finished_) return false;
  boost::asio::post(context_, std::move(task));
  return true;
}

void IoThread::finish() {
  OTR_CHECK(!is_this_thread());
  {
    const std::lock_guard lock(mutex_);
    if (finished_) return;
    finished_ = true;
    boost::asio::post(context_, [this] {
      is_ending_ = true;
      timer_.cancel();
      guard_.reset();
    });
  }
  thread_.join();
}

bool IoThread::is_this_thread() const { return std::this_thread::get_id() == thread_.get_id(); }

}  // namespace otr::net
