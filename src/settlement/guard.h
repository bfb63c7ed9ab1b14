// Two small files beside a ledger, or a role's journal: one that only one process can hold, and one
// that remembers what was acknowledged (SPEC STORE-3).
#ifndef OTR_SETTLEMENT_GUARD_H_
#define OTR_SETTLEMENT_GUARD_H_

#include <cstdint>
#include <filesystem>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"

namespace otr::settlement {

// `FILE-lock`, held until this object goes (or the process dies, however it dies).
class Lock {
 public:
  // kIo where another process holds it; `name` is how the error calls the file.
  [[nodiscard]] static Result<Lock> take(const std::filesystem::path& file,
                                         const char* name = "The ledger");
  Lock(Lock&& other) noexcept;
  Lock& operator=(Lock&& other) noexcept;
  ~Lock();

 private:
  explicit Lock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

// `FILE-head`: height and tip of the last acknowledged row, with a hash over both. It is written
// after the commit and never flushed, so it is never ahead of the disk: a ledger below it has lost
// what was acknowledged.
class Head {
 public:
  [[nodiscard]] static Result<Head> open(const std::filesystem::path& ledger);
  Head(Head&& other) noexcept;
  Head& operator=(Head&& other) noexcept;
  ~Head();

  struct Mark {
    std::uint64_t height = 0;
    Hash tip{};
  };
  // Nothing where the file is new or torn.
  [[nodiscard]] std::optional<Mark> read() const;
  [[nodiscard]] Status write(const Mark& mark) const;

 private:
  explicit Head(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

}  // namespace otr::settlement

#endif  // OTR_SETTLEMENT_GUARD_H_
