// The ledger as one flat file that needs no SQLite to be read or verified (spec/SETTLEMENT.md,
// STORE-4): what an auditor keeps, and what a damaged ledger is restored from.
//
//   "OTRLEDG1", u32 size and bytes of the genesis, then for each transaction u64 time, u32 size (at
//   least 1), bytes; at the end u64 height, u32 0, the tip (32 bytes), and nothing more.
#ifndef OTR_SETTLEMENT_FLAT_FILE_H_
#define OTR_SETTLEMENT_FLAT_FILE_H_

#include <cstdint>
#include <filesystem>
#include <functional>

#include "base/bytes.h"
#include "base/result.h"
#include "settlement/store.h"

namespace otr::settlement {

[[nodiscard]] bool is_flat_file(ByteView bytes);

// The export of a store, written as a whole or not at all. Replays it first: what does not verify
// is not exported. Returns the height.
[[nodiscard]] Result<std::uint64_t> export_store(const std::filesystem::path& store,
                                                 const std::filesystem::path& to);

// Replays an export, calling `visit` for each row that verified. Any bytes are allowed: MALFORMED
// with the offset, or what Replay::add says.
[[nodiscard]] Result<ledger::State> verify_flat_file(
    ByteView bytes, const std::function<Status(const Row&)>& visit = {});

// A new store from an export.
[[nodiscard]] Result<std::uint64_t> import_store(ByteView bytes,
                                                 const std::filesystem::path& store);

// The same replay of a store's file, without writing to it.
[[nodiscard]] Result<ledger::State> verify_store(
    const std::filesystem::path& store, const std::function<Status(const Row&)>& visit = {});

}  // namespace otr::settlement

#endif  // OTR_SETTLEMENT_FLAT_FILE_H_
