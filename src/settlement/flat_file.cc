#include "settlement/flat_file.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "env/file.h"
#include "ledger/transaction.h"

namespace otr::settlement {
namespace {

constexpr std::string_view kMagic = "OTRLEDG1";
constexpr std::size_t kMaxGenesisBytes = 1 << 16;
constexpr std::size_t kImportGroup = 256;  // rows of one commit

class Reader {
 public:
  explicit Reader(ByteView bytes) : bytes_(bytes) {}

  Result<ByteView> take(std::size_t size, const char* what) {
    if (size > bytes_.size() - at_) {
      return fail(ErrorKind::kBadInput,
                  std::string("The export ends within its ") + what + ", at byte " +
                      std::to_string(at_) + ": it was cut.",
                  "MALFORMED");
    }
    const ByteView taken = bytes_.subspan(at_, size);
    at_ += size;
    return taken;
  }
  template <std::integral T>
  Result<T> number(const char* what) {
    OTR_TRY_ASSIGN(const ByteView bytes, take(sizeof(T), what));
    return load_le<T>(bytes.data());
  }
  Status malformed(const char* what) const {
    return fail(ErrorKind::kBadInput,
                std::string("The export's ") + what + " before byte " + std::to_string(at_) +
                    " is not what it must be.",
                "MALFORMED");
  }
  [[nodiscard]] bool at_end() const { return at_ == bytes_.size(); }

 private:
  ByteView bytes_;
  std::size_t at_ = 0;
};

// Visits the genesis, then every row; the tips of the rows are not in the file.
Status walk(ByteView bytes, const std::function<Status(ByteView)>& begin,
            const std::function<Status(std::uint64_t, ByteView)>& row,
            const std::function<Status(std::uint64_t, ByteView)>& end) {
  Reader reader(bytes);
  OTR_TRY_ASSIGN(const ByteView magic, reader.take(kMagic.size(), "first bytes"));
  if (as_text(magic) != kMagic) return reader.malformed("first bytes");
  OTR_TRY_ASSIGN(const auto genesis_size, reader.number<std::uint32_t>("genesis"));
  if (genesis_size > kMaxGenesisBytes) return reader.malformed("size of the genesis");
  OTR_TRY_ASSIGN(const ByteView genesis, reader.take(genesis_size, "genesis"));
  OTR_TRY(begin(genesis));
  while (true) {
    OTR_TRY_ASSIGN(const auto number, reader.number<std::uint64_t>("time"));
    OTR_TRY_ASSIGN(const auto size, reader.number<std::uint32_t>("size"));
    if (size > ledger::kMaxTransactionBytes) return reader.malformed("size of a transaction");
    if (size != 0) {
      OTR_TRY_ASSIGN(const ByteView transaction, reader.take(size, "transaction"));
      OTR_TRY(row(number, transaction));
      continue;
    }
    OTR_TRY_ASSIGN(const ByteView tip, reader.take(32, "tip"));
    if (!reader.at_end()) return reader.malformed("end");
    return end(number, tip);
  }
}

Status check_end(const ledger::State& state, std::uint64_t height, ByteView tip) {
  if (height == state.height && std::ranges::equal(tip, state.tip)) return {};
  return fail(ErrorKind::kReject, "The export says that it ends at transaction " +
                                      std::to_string(height) + " with another tip than its " +
                                      std::to_string(state.height) + " transactions give.");
}

}  // namespace

bool is_flat_file(ByteView bytes) {
  return bytes.size() >= kMagic.size() && as_text(bytes.first(kMagic.size())) == kMagic;
}

Result<ledger::State> verify_store(const std::filesystem::path& store,
                                   const std::function<Status(const Row&)>& visit) {
  OTR_TRY_ASSIGN(const ReadRows read,
                 read_rows(store, UINT32_MAX, [](const Row&) -> Status { return {}; }));
  OTR_TRY_ASSIGN(Replay replay, Replay::begin(read.genesis));
  OTR_TRY(read_rows(store, 0, [&](const Row& row) -> Status {
    OTR_TRY(replay.add(row));
    return visit ? visit(row) : Status();
  }));
  return std::move(replay.state());
}

Result<std::uint64_t> export_store(const std::filesystem::path& store,
                                   const std::filesystem::path& to) {
  Bytes rows;
  OTR_TRY_ASSIGN(const ledger::State state, verify_store(store, [&](const Row& row) -> Status {
                   append_le(rows, row.time);
                   append_le(rows, static_cast<std::uint32_t>(row.transaction.size()));
                   append(rows, row.transaction);
                   return {};
                 }));
  const Bytes genesis = ledger::encode(state.genesis);
  Bytes bytes;
  append(bytes, as_bytes(kMagic));
  append_le(bytes, static_cast<std::uint32_t>(genesis.size()));
  append(bytes, genesis);
  append(bytes, rows);
  append_le(bytes, state.height);
  append_le(bytes, std::uint32_t{0});
  append(bytes, state.tip);
  OTR_TRY(env::write_file_atomically(to, bytes, 0644));
  return state.height;
}

Result<ledger::State> verify_flat_file(ByteView bytes,
                                       const std::function<Status(const Row&)>& visit) {
  std::vector<Replay> replay;  // one, from the genesis on
  OTR_TRY(walk(
      bytes,
      [&](ByteView genesis) -> Status {
        OTR_TRY_ASSIGN(Replay begun, Replay::begin(genesis));
        replay.push_back(std::move(begun));
        return {};
      },
      [&](std::uint64_t time, ByteView transaction) -> Status {
        ledger::State& state = replay[0].state();
        const auto taken = ledger::apply(state, transaction, time);
        if (!taken || state.time != time) {
          return fail(ErrorKind::kReject, "Transaction " +
                                              std::to_string(state.height + (taken ? 0 : 1)) +
                                              " of the export is refused: " +
                                              (taken ? "its time falls." : taken.error().message));
        }
        if (!visit) return {};
        return visit(
            {state.height, time, Bytes(transaction.begin(), transaction.end()), state.tip});
      },
      [&](std::uint64_t height, ByteView tip) {
        return check_end(replay[0].state(), height, tip);
      }));
  return std::move(replay[0].state());
}

Result<std::uint64_t> import_store(ByteView bytes, const std::filesystem::path& store) {
  // Verified first, so that a bad export leaves no file behind.
  OTR_TRY_ASSIGN(const ledger::State state, verify_flat_file(bytes));
  OTR_TRY_ASSIGN(auto made, Store::create(store, ledger::encode(state.genesis), {}));
  std::vector<Bytes> group;
  std::uint64_t group_time = 0;
  const auto flush = [&]() -> Status {
    OTR_TRY_ASSIGN(const auto outcomes, made->append(group, group_time));
    group.clear();
    for (const auto& outcome : outcomes) {
      if (!outcome) return std::unexpected(outcome.error());
    }
    return {};
  };
  OTR_TRY(verify_flat_file(bytes, [&](const Row& row) -> Status {
    if (!group.empty() && (row.time != group_time || group.size() == kImportGroup)) {
      OTR_TRY(flush());
    }
    group_time = row.time;
    group.push_back(row.transaction);
    return {};
  }));
  if (!group.empty()) OTR_TRY(flush());
  if (made->state().tip == state.tip) return state.height;
  return fail(ErrorKind::kReject, "The imported ledger differs from its export.");
}

}  // namespace otr::settlement
