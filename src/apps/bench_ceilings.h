// What this machine can do at best, measured beside what the engine does: reading memory, and
// multiplying bytes.
#ifndef OTR_APPS_BENCH_CEILINGS_H_
#define OTR_APPS_BENCH_CEILINGS_H_

#include <cstdint>
#include <memory>
#include <span>

#include "engine/pool.h"

namespace otr::apps {

// Streaming reads of a buffer that no cache holds, on huge pages where the system has them.
class ReadCeiling {
 public:
  static constexpr std::size_t kBytes = std::size_t{256} << 20;

  // Tries several ways of reading and keeps the fastest.
  explicit ReadCeiling(unsigned threads);

  // Bytes a second of all threads together, over about `seconds`.
  double measure(double seconds);

 private:
  double read(int pattern, double seconds);

  engine::Pool pool_;
  std::unique_ptr<std::uint8_t[]> memory_;
  std::span<const std::uint8_t> buffer_;  // in it, from a huge page on
  int pattern_ = 0;
};

// The ways of reading; see bench_loops.cc. Requires 64-byte alignment and a multiple of 16 KiB.
inline constexpr int kReadPatterns = 4;
std::uint64_t read_once(std::span<const std::uint8_t> bytes, int pattern);

// Products of bytes with nothing but registers: vpdpbusd on 64 bytes at a time, 24 sums, which is
// what the engine's kernel for AVX-512 with VNNI is made of. Only where has_byte_products().
class ProductCeiling {
 public:
  explicit ProductCeiling(unsigned threads) : pool_(threads) {}
  // Products with their additions a second, of all threads together.
  double measure(double seconds);

 private:
  engine::Pool pool_;
};
bool has_byte_products();
// Does `rounds` times kProductsOfRound products.
inline constexpr std::uint64_t kProductsOfRound = 24 * 64;
std::uint64_t multiply_bytes(std::uint64_t rounds);

}  // namespace otr::apps

#endif  // OTR_APPS_BENCH_CEILINGS_H_
