#include "engine/pool.h"

#include <utility>

namespace otr::engine {
namespace {

// A loop of a small model is over in microseconds, and sleeping between two of them costs more than
// the loop (docs/performance.md): so look for the next one for a while first.
constexpr int kSpins = 4000;

template <class Done>
bool spin_until(const Done& done) {
  for (int i = 0; i < kSpins; ++i) {
    if (done()) return true;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  return false;
}

}  // namespace

Pool::Pool(unsigned threads) {
  try {
    for (unsigned i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
  } catch (...) {
    stop();  // or the members' destructors would wait for ever
    throw;
  }
}

Pool::~Pool() { stop(); }

void Pool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  start_.notify_all();
}

void Pool::run_share(unsigned index) {
  const std::size_t shares = workers_.size() + 1;
  const std::size_t begin = count_ * index / shares;
  const std::size_t end = count_ * (index + 1) / shares;
  if (begin >= end) return;
  try {
    (*body_)(begin, end);
  } catch (...) {
    const std::lock_guard lock(mutex_);
    if (!thrown_) thrown_ = std::current_exception();
  }
}

void Pool::split(std::size_t count, const Body& body) {
  {
    const std::lock_guard lock(mutex_);
    body_ = &body;
    count_ = count;
    running_ = static_cast<unsigned>(workers_.size());
    ++round_;
  }
  start_.notify_all();
  run_share(0);
  const auto all_left = [this] { return running_ == 0; };
  if (!spin_until(all_left)) {
    std::unique_lock lock(mutex_);
    done_.wait(lock, all_left);
  }
  if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
}

void Pool::work(unsigned index) {
  std::uint64_t seen = 0;
  while (true) {
    const auto called = [&] { return stop_ || round_ != seen; };
    if (!spin_until(called)) {
      std::unique_lock lock(mutex_);
      start_.wait(lock, called);
    }
    if (stop_) return;
    seen = round_;
    run_share(index);
    if (--running_ == 0) {
      const std::lock_guard lock(mutex_);
      done_.notify_one();
    }
  }
}

}  // namespace otr::engine
