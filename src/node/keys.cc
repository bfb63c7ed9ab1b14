#include "node/keys.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "env/file.h"
#include "env/random.h"

namespace otr::node {
namespace {

std::unexpected<Error> io_error(const std::filesystem::path& path, const char* what) {
  return fail(ErrorKind::kIo, path.string() + ": cannot " + what + ": " + std::strerror(errno) +
                                  "; choose another folder with --home or OTR_HOME");
}

// What cannot be looked at counts as there, so that reading it says why.
bool is_there(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::exists(path, error) || error;
}

// Holds an exclusive lock on FOLDER/lock while it lives: one process at a time changes the folder.
class FolderLock {
 public:
  static Result<FolderLock> take(const std::filesystem::path& folder) {
    const std::filesystem::path path = folder / "lock";
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0) return io_error(path, "open");
    FolderLock lock(descriptor);
    while (::flock(descriptor, LOCK_EX) != 0) {
      if (errno != EINTR) return io_error(path, "lock");
    }
    return lock;
  }
  FolderLock(FolderLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

 private:
  explicit FolderLock(int descriptor) : descriptor_(descriptor) {}

  int descriptor_;
};

}  // namespace

Result<std::filesystem::path> Home::default_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string_view(value == nullptr ? "" : value);
  };
  if (const auto home = variable("OTR_HOME"); !home.empty()) return home;
  if (const auto data = variable("XDG_DATA_HOME"); !data.empty()) {
    return std::filesystem::path(data) / "otr";
  }
  if (const auto home = variable("HOME"); !home.empty()) {
    return std::filesystem::path(home) / ".local/share/otr";
  }
  return fail(ErrorKind::kUsage, "no folder for keys: set HOME or OTR_HOME, or give --home DIR");
}

Result<Home> Home::open(const std::filesystem::path& named) {
  // The parent of "keys/" is "keys" itself: made as a parent it would be open to everybody.
  const std::filesystem::path folder = named.has_filename() ? named : named.parent_path();
  std::error_code error;
  if (folder.has_parent_path()) std::filesystem::create_directories(folder.parent_path(), error);
  if (!error && ::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return io_error(folder, "make the folder");
  }
  if (error) {
    errno = error.value();
    return io_error(folder, "make the folder");
  }
  if (!std::filesystem::is_directory(folder, error)) {
    return fail(ErrorKind::kUsage, folder.string() + " is not a folder; give another --home DIR");
  }
  return Home(folder);
}

Result<crypto::PrivateKey> Home::key(const std::string& name) const {
  const std::filesystem::path path = folder_ / (name + ".key");
  OTR_TRY_ASSIGN(const FolderLock lock, FolderLock::take(folder_));
  if (!is_there(path)) {
    OTR_TRY_ASSIGN(Hash secret, env::random_32_bytes());
    const Status written = env::write_file_atomically(path, secret, 0600);
    ::explicit_bzero(secret.data(), secret.size());
    OTR_TRY(written);
  }
  // A longer file is read as far as it shows that it is too long.
  OTR_TRY_ASSIGN(Bytes secret, env::read_file(path, 4096));
  auto key = crypto::PrivateKey::from_bytes(secret);
  ::explicit_bzero(secret.data(), secret.size());
  if (!key) {
    return fail(ErrorKind::kBadInput, path.string() +
                                          " is not a key of 32 bytes; move it away to make a new "
                                          "one, or restore it from a copy");
  }
  return key;
}

Result<std::uint64_t> Home::reserve_counters(std::uint32_t count) const {
  const std::filesystem::path path = folder_ / "client.counter";
  OTR_TRY_ASSIGN(const FolderLock lock, FolderLock::take(folder_));
  std::uint64_t used = 0;
  if (is_there(path)) {
    OTR_TRY_ASSIGN(const Bytes bytes, env::read_file(path, 4096));
    const std::string_view text = as_text(bytes);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), used);
    if (error != std::errc() || end != text.data() + text.size() || used > UINT64_MAX - count) {
      return fail(ErrorKind::kBadInput,
                  path.string() +
                      " does not hold the last counter used, a decimal number; restore "
                      "it, or move client.key away too and begin as a new client");
    }
  }
  OTR_TRY(env::write_file_atomically(path, as_bytes(std::to_string(used + count)), 0600));
  return used + 1;
}

Result<crypto::PrivateKey> new_session_key() {
  OTR_TRY_ASSIGN(Hash secret, env::random_32_bytes());
  auto key = crypto::PrivateKey::from_bytes(secret);
  ::explicit_bzero(secret.data(), secret.size());
  return key;
}

}  // namespace otr::node
