// A fixed set of threads that share loops. Threads never show in results: all that crosses them is
// integer sums and maxima, and every output element is written by exactly one of them.
#ifndef OTR_ENGINE_POOL_H_
#define OTR_ENGINE_POOL_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace otr::engine {

class Pool {
 public:
  // Called with a range [begin, end) of the loop.
  using Body = std::function<void(std::size_t begin, std::size_t end)>;

  // `threads` >= 1 includes the calling thread. Throws std::system_error if the system refuses a
  // thread; the ones made before have then ended.
  explicit Pool(unsigned threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  unsigned threads() const { return static_cast<unsigned>(workers_.size()) + 1; }

  // Runs body over [0, count), cut into one range per thread, and returns when all are done. One
  // caller at a time; body must not call the pool. If a body throws (out of memory), the first
  // exception is thrown again here, after all threads have left the loop.
  void split(std::size_t count, const Body& body);

 private:
  void stop();
  void work(unsigned index);
  void run_share(unsigned index);

  std::mutex mutex_;
  std::condition_variable start_, done_;
  const Body* body_ = nullptr;
  std::size_t count_ = 0;
  // body_ and count_ are published by the release of round_ and given back by running_ reaching 0.
  std::atomic<std::uint64_t> round_ = 0;
  std::atomic<unsigned> running_ = 0;
  std::atomic<bool> stop_ = false;
  std::exception_ptr thrown_;
  std::vector<std::jthread> workers_;
};

}  // namespace otr::engine

#endif  // OTR_ENGINE_POOL_H_
