// A file layer under SQLite that fails when told to, for tests: at the k-th write or flush it
// refuses, or tears the write and loses power. After a loss of power nothing works any more, and of
// what was written since the last flush of each file all, none, or every other write is undone.
#ifndef OTR_SETTLEMENT_TEST_FAULTS_H_
#define OTR_SETTLEMENT_TEST_FAULTS_H_

#include <cstdint>

namespace otr::settlement {

enum class Fault : std::uint8_t {
  kNone,
  kDiskFull,     // this write and all after it are refused as full
  kIoError,      // this write or flush fails, later ones work
  kLoseNothing,  // power is lost; what was written reached the disk
  kLoseAll,      // power is lost; what was not flushed did not
  kLoseSome,     // power is lost; every other unflushed write did not
};

inline constexpr const char* kFaultVfs = "otr-faults";

// Registers the layer once; then arms it: the operation number `at` (from 1 on) is the faulty one.
void arm_faults(Fault fault, std::uint64_t at);
// Writes and flushes since it was armed.
std::uint64_t fault_operations();
// After a loss of power: undoes what did not reach the disk. Requires all files to be closed.
void settle_disk();

}  // namespace otr::settlement

#endif  // OTR_SETTLEMENT_TEST_FAULTS_H_
