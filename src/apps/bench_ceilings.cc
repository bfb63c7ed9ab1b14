#include "apps/bench_ceilings.h"

#include <sys/mman.h>

#include <atomic>
#include <cstring>

#include "engine/kernels.h"
#include "env/clock.h"

namespace otr::apps {
namespace {

constexpr double kTrySeconds = 0.05;  // of one way of reading
constexpr std::size_t kHugePage = std::size_t{2} << 20;

double seconds_since(std::int64_t begin_ns) {
  return static_cast<double>(env::monotonic_ns() - begin_ns) / 1e9;
}

// A loop whose result nobody reads is no loop to a compiler.
std::atomic<std::uint64_t> sink;

}  // namespace

ReadCeiling::ReadCeiling(unsigned threads)
    : pool_(threads), memory_(std::make_unique_for_overwrite<std::uint8_t[]>(kBytes + kHugePage)) {
  const std::size_t skip = kHugePage - reinterpret_cast<std::uintptr_t>(memory_.get()) % kHugePage;
  std::uint8_t* const begin = memory_.get() + skip;
  ::madvise(begin, kBytes, MADV_HUGEPAGE);
  std::memset(begin, 1, kBytes);  // or all of it were one page of zeros
  buffer_ = {begin, kBytes};
  double best = 0;
  for (int pattern = 0; pattern < kReadPatterns; ++pattern) {
    const double rate = read(pattern, kTrySeconds);
    if (rate > best) {
      best = rate;
      pattern_ = pattern;
    }
  }
}

double ReadCeiling::read(int pattern, double seconds) {
  constexpr std::size_t kUnit = std::size_t{16} << 10;
  double bytes = 0;
  const std::int64_t begin_ns = env::monotonic_ns();
  do {
    pool_.split(kBytes / kUnit, [&](std::size_t from, std::size_t to) {
      sink += read_once(buffer_.subspan(from * kUnit, (to - from) * kUnit), pattern);
    });
    bytes += static_cast<double>(kBytes);
  } while (seconds_since(begin_ns) < seconds);
  return bytes / seconds_since(begin_ns);
}

double ReadCeiling::measure(double seconds) { return read(pattern_, seconds); }

bool has_byte_products() { return &engine::best_kernel() == engine::avx512_kernel(); }

double ProductCeiling::measure(double seconds) {
  constexpr std::uint64_t kRounds = 100'000;  // about a millisecond
  double products = 0;
  const std::int64_t begin_ns = env::monotonic_ns();
  do {
    pool_.split(pool_.threads(), [](std::size_t, std::size_t) { sink += multiply_bytes(kRounds); });
    products += static_cast<double>(kRounds * kProductsOfRound * pool_.threads());
  } while (seconds_since(begin_ns) < seconds);
  return products / seconds_since(begin_ns);
}

}  // namespace otr::apps
