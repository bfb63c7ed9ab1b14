// The pool: every element exactly once, whatever the counts; many rounds, so that ThreadSanitizer
// and late wake-ups find what there is to find.
#include "engine/pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <new>
#include <numeric>

namespace otr::engine {
namespace {

TEST(Pool, EveryElementOnceForEveryCount) {
  for (unsigned threads = 1; threads <= 4; ++threads) {
    Pool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (std::size_t count = 0; count <= 10; ++count) {
      // Plain integers: two threads on one element would be a race that a sanitizer sees.
      std::vector<int> hits(count, 0);
      pool.split(count, [&](std::size_t begin, std::size_t end) {
        EXPECT_LT(begin, end);  // an empty range is never handed out
        for (std::size_t i = begin; i < end; ++i) ++hits.at(i);
      });
      EXPECT_EQ(hits, std::vector<int>(count, 1)) << threads << " threads, count " << count;
    }
  }
}

TEST(Pool, RoundsSeeEachOther) {
  constexpr std::size_t kRounds = 3000;
  for (unsigned threads = 1; threads <= 4; ++threads) {
    Pool pool(threads);
    std::vector<std::uint64_t> values(7, 0);
    for (std::size_t round = 0; round < kRounds; ++round) {
      // Each round reads what other threads wrote in the round before.
      const std::vector<std::uint64_t> before = values;
      pool.split(values.size(), [&](std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i < end; ++i) values[i] = before[(i + 1) % before.size()] + i;
      });
    }
    // Every value of the ring gains 0 + 1 + … + 6 in seven rounds; the rest by a plain loop.
    std::vector<std::uint64_t> plain(7, 0);
    for (std::size_t round = 0; round < kRounds; ++round) {
      const std::vector<std::uint64_t> before = plain;
      for (std::size_t i = 0; i < plain.size(); ++i) plain[i] = before[(i + 1) % 7] + i;
    }
    EXPECT_EQ(values, plain) << threads;
  }
}

TEST(Pool, SplitsLargeLoopsEvenly) {
  Pool pool(4);
  std::vector<std::size_t> sizes(1000, 0);
  pool.split(sizes.size(), [&](std::size_t begin, std::size_t end) { sizes[begin] = end - begin; });
  std::erase(sizes, 0u);
  EXPECT_EQ(sizes, (std::vector<std::size_t>{250, 250, 250, 250}));
}

TEST(Pool, ComesAndGoes) {
  for (int i = 0; i < 200; ++i) {
    Pool unused(4);
    Pool used(1 + i % 4);
    int calls = 0;
    used.split(1, [&](std::size_t, std::size_t) { ++calls; });
    EXPECT_EQ(calls, 1);
  }
}

// A body that runs out of memory: the caller hears of it, every thread has left the loop, and the
// pool goes on working.
TEST(Pool, ThrowsWhatABodyThrewAfterAllHaveLeft) {
  Pool pool(3);
  for (std::size_t culprit = 0; culprit < 3; ++culprit) {
    std::atomic<int> left = 0;
    EXPECT_THROW(pool.split(3,
                            [&](std::size_t begin, std::size_t) {
                              ++left;
                              if (begin == culprit) throw std::bad_alloc();
                            }),
                 std::bad_alloc);
    EXPECT_EQ(left, 3);
  }
  std::atomic<std::size_t> sum = 0;
  pool.split(10, [&](std::size_t begin, std::size_t end) { sum += end - begin; });
  EXPECT_EQ(sum, 10u);
}

}  // namespace
}  // namespace otr::engine
