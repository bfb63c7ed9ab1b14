#include "service/work_queue.h"

#include <utility>

namespace otr::service {

WorkQueue::WorkQueue(unsigned threads) {
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
}

WorkQueue::~WorkQueue() { stop(); }

void WorkQueue::post_after(std::uint32_t ms, Task task) {
  // A task that is dropped is destroyed outside of the lock: it may hold the last reference to
  // something that posts.
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return;
    tasks_.emplace(Clock::now() + std::chrono::milliseconds(ms), std::move(task));
  }
  wake_.notify_one();
}

void WorkQueue::stop() {
  std::multimap<Clock::time_point, Task> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    dropped.swap(tasks_);
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void WorkQueue::run() {
  std::unique_lock lock(mutex_);
  while (!stopped_) {
    if (tasks_.empty()) {
      wake_.wait(lock);
      continue;
    }
    // The first may be another one when the wait is over.
    const Clock::time_point due = tasks_.begin()->first;
    if (due > Clock::now()) {
      wake_.wait_until(lock, due);
      continue;
    }
    Task task = std::move(tasks_.begin()->second);
    tasks_.erase(tasks_.begin());
    if (!tasks_.empty()) wake_.notify_one();
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
  }
}

}  // namespace otr::service
