// The embedded ledger: signed transactions in one SQLite file, and the state that they replay to
// (spec/SETTLEMENT.md, STORE).
//
// One process writes, through one connection, and holds a lock file meanwhile. Journal mode WAL
// with synchronous=FULL; what append() has answered for is there after the process was killed, and
// after a power cut as far as disk and file system keep their word. Rows are chained by the tips
// they carry, and no row is ever changed or removed. Opening replays everything, signatures
// included, and refuses what is not exactly what was written: a changed row, a corrupted page, or a
// log that has lost what was acknowledged.
//
// Errors of the disk are kIo with the path and what to do. After one the store writes no more
// (`append` says so): its state may be ahead of the disk. Open it again.
#ifndef OTR_SETTLEMENT_STORE_H_
#define OTR_SETTLEMENT_STORE_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secp256k1.h"
#include "ledger/apply.h"
#include "ledger/state.h"

namespace otr::settlement {

// One row: what was applied, when, and the tip after it.
struct Row {
  std::uint64_t height = 0;
  std::uint64_t time = 0;
  Bytes transaction;
  Hash tip{};
};

struct StoreOptions {
  // Taken transactions between two signed checkpoints; needs the sequencer's key.
  std::uint64_t checkpoint_every = 1024;
  std::optional<crypto::PrivateKey> sequencer;
  std::string vfs;  // of SQLite; empty for its own
};

class Store {
 public:
  // A new file; kUsage where there is one. The genesis is checked.
  [[nodiscard]] static Result<std::unique_ptr<Store>> create(const std::filesystem::path& file,
                                                             ByteView genesis,
                                                             StoreOptions options);
  [[nodiscard]] static Result<std::unique_ptr<Store>> open(const std::filesystem::path& file,
                                                           StoreOptions options);
  // Closes; close() says whether the last checkpoint was written.
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Applies the transactions in order and commits what was taken as one. Returns when it is on
  // disk, with an outcome for each; or one error, and then none of them is acknowledged.
  [[nodiscard]] Result<std::vector<Result<ledger::Events>>> append(
      std::span<const Bytes> transactions, std::uint64_t now);

  // A checkpoint of the state, signed with the sequencer's key (SPEC SET-34). kUsage without one.
  [[nodiscard]] Status checkpoint(std::uint64_t now);
  // A checkpoint, if anything happened since the last and there is a key; the store then is shut.
  [[nodiscard]] Status close(std::uint64_t now);

  [[nodiscard]] const ledger::State& state() const;
  [[nodiscard]] const Bytes& genesis() const;

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Whether this is a file that a Store has made (by its first bytes and application id).
[[nodiscard]] bool is_store(const std::filesystem::path& file);

// Reads a store without writing to it, beside a process that does: the genesis, then `visit` for
// each row above `after`, in order, until it returns an error. Nothing is verified.
struct ReadRows {
  Bytes genesis;
  std::uint64_t height = 0;  // of the last row
};
[[nodiscard]] Result<ReadRows> read_rows(const std::filesystem::path& file, std::uint64_t after,
                                         const std::function<Status(const Row&)>& visit);

// Replays rows one by one: each must be taken, and give the tip and time it carries.
class Replay {
 public:
  [[nodiscard]] static Result<Replay> begin(ByteView genesis);
  // kReject with the height and what differs; the state then is as it was before.
  [[nodiscard]] Status add(const Row& row);
  [[nodiscard]] ledger::State& state() { return state_; }
  [[nodiscard]] const ledger::State& state() const { return state_; }

 private:
  explicit Replay(ledger::State state) : state_(std::move(state)) {}
  ledger::State state_;
};

}  // namespace otr::settlement

#endif  // OTR_SETTLEMENT_STORE_H_
