#include "settlement/guard.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "crypto/sha256.h"

namespace otr::settlement {
namespace {

constexpr std::size_t kMarkBytes = 8 + 32 + 32;

Result<int> open_beside(const std::filesystem::path& ledger, const char* suffix) {
  const std::string path = ledger.string() + suffix;
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor >= 0) return descriptor;
  return fail(ErrorKind::kIo, "The file " + path + " cannot be opened: " + std::strerror(errno) +
                                  "; its folder must be there and writable.");
}

Hash check_of(ByteView mark) { return crypto::sha256({as_bytes("OTR.head"), mark}); }

void close_if_open(int descriptor) {
  if (descriptor >= 0) ::close(descriptor);
}

}  // namespace

Result<Lock> Lock::take(const std::filesystem::path& file, const char* name) {
  OTR_TRY_ASSIGN(const int descriptor, open_beside(file, "-lock"));
  Lock lock(descriptor);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return lock;
  return fail(ErrorKind::kIo, std::string(name) + " " + file.string() +
                                  " is held by another process: only one may write; stop it, or "
                                  "read a ledger with `otr ledger tail`.");
}

Lock::Lock(Lock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
Lock& Lock::operator=(Lock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}
Lock::~Lock() { close_if_open(descriptor_); }

Result<Head> Head::open(const std::filesystem::path& ledger) {
  OTR_TRY_ASSIGN(const int descriptor, open_beside(ledger, "-head"));
  return Head(descriptor);
}

Head::Head(Head&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
Head& Head::operator=(Head&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}
Head::~Head() { close_if_open(descriptor_); }

std::optional<Head::Mark> Head::read() const {
  std::array<std::uint8_t, kMarkBytes> bytes{};
  if (::pread(descriptor_, bytes.data(), bytes.size(), 0) != std::ssize(bytes)) return std::nullopt;
  const ByteView mark = ByteView(bytes).first(40);
  const Hash check = check_of(mark);
  if (std::memcmp(check.data(), bytes.data() + 40, check.size()) != 0) return std::nullopt;
  Mark read{.height = load_le<std::uint64_t>(bytes.data())};
  std::memcpy(read.tip.data(), bytes.data() + 8, read.tip.size());
  return read;
}

Status Head::write(const Mark& mark) const {
  Bytes bytes;
  append_le(bytes, mark.height);
  append(bytes, mark.tip);
  append(bytes, check_of(bytes));
  if (::pwrite(descriptor_, bytes.data(), bytes.size(), 0) == std::ssize(bytes)) return {};
  return fail(ErrorKind::kIo, std::string("What the ledger has acknowledged cannot be noted: ") +
                                  std::strerror(errno) + "; make room on its disk.");
}

}  // namespace otr::settlement
