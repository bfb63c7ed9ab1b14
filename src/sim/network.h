// What stands between the roles of a simulated network: links that lose, delay and repeat, disks
// that crash, all decided by one seed.
#ifndef OTR_SIM_NETWORK_H_
#define OTR_SIM_NETWORK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "rollup/journal.h"
#include "rollup/ports.h"
#include "sim/chain.h"

namespace otr::sim {

// splitmix64: the same numbers for a seed on every machine.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }  // requires bound > 0
  bool chance(std::uint32_t ppm) { return below(1'000'000) < ppm; }

 private:
  std::uint64_t state_;
};

// Shares of calls and writes, in parts in a million.
struct Faults {
  std::uint32_t lose_request = 0;  // it never arrives
  std::uint32_t lose_answer = 0;   // it is done, and nobody hears of it
  std::uint32_t delay = 0;         // a transaction arrives up to max_delay_ms later
  std::uint64_t max_delay_ms = 0;
  std::uint32_t repeat = 0;  // a transaction arrives twice
  std::uint32_t crash = 0;   // the node dies in the middle of a call or write
};

// The time, the seed, and what is under way.
struct Weather {
  explicit Weather(std::uint64_t seed) : random(seed) {}
  Random random;
  Faults faults;
  std::uint64_t now = 0;
  std::multimap<std::uint64_t, Bytes> under_way;  // transactions by the time of arriving
};

// One node's way to the ledger.
class Link : public rollup::LedgerPort {
 public:
  Link(Weather& weather, Chain& chain) : weather_(weather), chain_(chain) {}
  Result<Bytes> genesis() override { return chain_.genesis(); }
  Result<std::vector<settlement::Row>> rows(std::uint64_t after) override;
  Status submit(ByteView transaction) override;

  bool is_cut = false;       // partitioned
  bool has_crashed = false;  // the node is to be started again

 private:
  [[nodiscard]] Status lost() const;
  Weather& weather_;
  Chain& chain_;
};

// One node's way to what an operator serves.
class DataLink : public rollup::DataPort {
 public:
  DataLink(Weather& weather, rollup::DataPort* there) : weather_(weather), there_(there) {}
  Result<std::vector<std::string>> receipts(const Hash& batch_root) override;
  Result<Bytes> proof(const Hash& digest) override;
  void lead_to(rollup::DataPort* there) { there_ = there; }

 private:
  [[nodiscard]] Status reach();
  Weather& weather_;
  rollup::DataPort* there_;
};

// A disk that keeps what it has acknowledged, and perhaps what it has not.
class Disk : public rollup::Journal {
 public:
  Disk(Weather& weather, bool& has_crashed) : weather_(weather), has_crashed_(has_crashed) {}
  Status append(std::string_view record) override;
  Status read(const std::function<Status(std::string_view)>& visit) override;

 private:
  Weather& weather_;
  bool& has_crashed_;
  std::vector<std::string> records_;
};

}  // namespace otr::sim

#endif  // OTR_SIM_NETWORK_H_
