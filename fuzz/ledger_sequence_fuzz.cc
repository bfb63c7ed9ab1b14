// Sequences of transactions that a fuzzer chooses (SPEC SET, INV-1 to INV-4, INV-7): valid and
// invalid ones, of honest and other parties, over an advancing clock. All invariants hold after
// each.
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>

#include "base/check.h"
#include "ledger/test_world.h"

namespace {

class Bytewise : public otr::ledger::Chooser {
 public:
  Bytewise(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
  std::uint64_t below(std::uint64_t bound) override {
    std::uint64_t value = 0;
    for (std::uint64_t reach = 1; reach < bound && left_ > 0; reach <<= 8, --left_) {
      value = value << 8 | *data_++;
    }
    return value % bound;
  }
  [[nodiscard]] bool has_more() const { return left_ > 0; }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

const otr::ledger::World& fresh_world() {
  static const otr::ledger::World world = [] {
    std::ifstream file(OTR_SOURCE_DIR "/spec/vectors/tiny_gqa.safetensors", std::ios::binary);
    return otr::ledger::World(std::string(std::istreambuf_iterator<char>(file), {}));
  }();
  return world;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr int kMaxSteps = 6;  // a signature each, and two digests of the state
  otr::ledger::World world = fresh_world();
  Bytewise chooser(data, size);
  std::vector<otr::ledger::PostedBatch> batches;
  for (int i = 0; i < kMaxSteps && chooser.has_more(); ++i) {
    otr::ledger::random_step(world, chooser, batches);
    OTR_CHECK(world.failure.empty());
  }
  return 0;
}
