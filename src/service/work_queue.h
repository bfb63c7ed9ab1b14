// A few threads for what must not hold up an I/O thread: tokenising, signing, verifying. And the
// one clock of a front: tasks for later.
#ifndef OTR_SERVICE_WORK_QUEUE_H_
#define OTR_SERVICE_WORK_QUEUE_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

namespace otr::service {

// Tasks begin in the order of their times; those of one time, in the order they came.
class WorkQueue {
 public:
  using Task = std::function<void()>;

  explicit WorkQueue(unsigned threads);
  ~WorkQueue();  // stop(), which must have been called where a task may hold the last reference
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  // From any thread, also from a task. Dropped once stopped.
  void post(Task task) { post_after(0, std::move(task)); }
  void post_after(std::uint32_t ms, Task task);

  // Waits for the tasks that run and drops the others. Not to be called by a task.
  void stop();

 private:
  using Clock = std::chrono::steady_clock;
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::multimap<Clock::time_point, Task> tasks_;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_WORK_QUEUE_H_
