// One thread that runs one io_context, and a door into it that stays safe when the thread has gone.
// Inside of net only: nothing of Asio appears in the headers that others include.
#ifndef OTR_NET_IO_THREAD_H_
#define OTR_NET_IO_THREAD_H_

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <mutex>
#include <thread>

namespace otr::net {

using Clock = std::chrono::steady_clock;

class IoThread {
 public:
  IoThread();

  [[nodiscard]] boost::asio::io_context& context() { return context_; }

  // Starts the thread. `tick` runs on it some twenty times a second: all deadlines are looked at
  // there, so that no connection needs a timer of its own.
  void start(std::function<void(Clock::time_point now)> tick);

  // Runs `task` on the thread, soon; from any thread, also its own. False, and the task is let go
  // of, once finish() has been called: the caller's object may outlive the thread.
  bool post(std::function<void()> task);

  // Takes no more tasks, waits until all handlers have run, ends the thread. The caller must have
  // closed what would wait for ever.
  void finish();

  [[nodiscard]] bool is_this_thread() const;

 private:
  void schedule_tick();

  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  boost::asio::steady_timer timer_;
  std::function<void(Clock::time_point)> tick_;
  bool is_ending_ = false;  // on the thread
  std::mutex mutex_;
  bool finished_ = false;  // under mutex_
  std::thread thread_;
};

}  // namespace otr::net

#endif  // OTR_NET_IO_THREAD_H_
