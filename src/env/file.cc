#include "env/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "env/signal.h"

namespace otr::env {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kChunkBytes = std::size_t{1} << 24;  // between two looks at the flag

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const { return number_; }
  bool is_open() const { return number_ >= 0; }

 private:
  int number_;
};

std::unexpected<Error> system_failure(std::string_view doing, std::string_view name, int code) {
  std::string message = "cannot " + std::string(doing) + " " + std::string(name) + ": " +
                        std::generic_category().message(code) + ".";
  if (code == ENOSPC || code == EDQUOT) message += " The disk is full: free some space and repeat.";
  return fail(ErrorKind::kIo, std::move(message));
}

std::unexpected<Error> too_long(const fs::path& path, std::size_t max_bytes) {
  return fail(ErrorKind::kBadInput, path.string() + " is longer than the limit of " +
                                        std::to_string(max_bytes) + " bytes for such a file.");
}

Status resize_buffer(Bytes& buffer, std::size_t size_bytes, const fs::path& path) {
  try {
    buffer.resize(size_bytes);
  } catch (const std::exception&) {  // bad_alloc or length_error
    return fail(ErrorKind::kIo, "cannot read " + path.string() + ": there is no memory for " +
                                    std::to_string(size_bytes) + " bytes.");
  }
  return {};
}

// The file that a link means, or the path itself; refuses what a rename must not replace.
Result<fs::path> resolve_target(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (status.type() == fs::file_type::not_found) return path;
  if (error) return system_failure("write", path.string(), error.value());
  const fs::path target = fs::canonical(path, error);
  if (error) return system_failure("write", path.string(), error.value());
  if (!fs::is_regular_file(target, error)) {
    return fail(ErrorKind::kUsage,
                path.string() + " is not a regular file: name a file to write to.");
  }
  return target;
}

}  // namespace

Result<Bytes> read_file(const fs::path& path, std::size_t max_bytes, const ReadProgress& progress) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat information = {};
  if (!file.is_open() || ::fstat(file.get(), &information) != 0) {
    return system_failure("read", path.string(), errno);
  }
  const auto total_bytes =
      S_ISREG(information.st_mode) ? static_cast<std::size_t>(information.st_size) : 0;
  if (total_bytes > max_bytes) return too_long(path, max_bytes);

  // One byte more than expected, so that the end of the file shows without growing the buffer.
  Bytes bytes;
  OTR_TRY(resize_buffer(bytes, total_bytes + 1, path));
  std::size_t done_bytes = 0;
  for (;;) {
    if (interrupted()) return fail(ErrorKind::kCancelled, "stopped reading " + path.string() + ".");
    if (done_bytes == bytes.size()) {
      OTR_TRY(resize_buffer(bytes, bytes.size() + std::max(bytes.size(), kChunkBytes), path));
    }
    const std::size_t wanted = std::min(bytes.size() - done_bytes, kChunkBytes);
    const ssize_t count = ::read(file.get(), bytes.data() + done_bytes, wanted);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_failure("read", path.string(), errno);
    if (count == 0) break;
    done_bytes += static_cast<std::size_t>(count);
    if (done_bytes > max_bytes) return too_long(path, max_bytes);
    if (progress) progress(done_bytes, total_bytes);
  }
  bytes.resize(done_bytes);
  return bytes;
}

InputFile::InputFile(fs::path path, int descriptor, std::uint64_t size_bytes)
    : path_(std::move(path)), descriptor_(descriptor), size_bytes_(size_bytes) {}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_bytes_(other.size_bytes_) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status check_is_file(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored) || std::filesystem::is_regular_file(path, ignored)) {
    return {};
  }
  return fail(ErrorKind::kUsage, path.string() + " is not a regular file");
}

Result<InputFile> InputFile::open(const fs::path& path) {
  // Without O_NONBLOCK a named pipe would wait here for somebody to write.
  InputFile file(path, ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK), 0);
  struct stat information = {};
  if (file.descriptor_ < 0 || ::fstat(file.descriptor_, &information) != 0) {
    return system_failure("read", path.string(), errno);
  }
  if (!S_ISREG(information.st_mode)) {
    return fail(ErrorKind::kUsage, path.string() + " is not a regular file.");
  }
  file.size_bytes_ = static_cast<std::uint64_t>(information.st_size);
  return file;
}

Status InputFile::read_at(std::uint64_t offset, std::span<std::uint8_t> to) const {
  while (!to.empty()) {
    if (interrupted()) {
      return fail(ErrorKind::kCancelled, "stopped reading " + path_.string() + ".");
    }
    const ssize_t count = ::pread(descriptor_, to.data(), std::min(to.size(), kChunkBytes),
                                  static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_failure("read", path_.string(), errno);
    if (count == 0) {
      return fail(ErrorKind::kBadInput, path_.string() + " ends at byte " + std::to_string(offset) +
                                            ", before the end of what it should hold.");
    }
    offset += static_cast<std::uint64_t>(count);
    to = to.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Status write_all(int descriptor, ByteView bytes, std::string_view name) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), std::min(bytes.size(), kChunkBytes));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_failure("write", name, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Result<PendingFile> PendingFile::create(const fs::path& path) {
  PendingFile file;
  OTR_TRY_ASSIGN(file.target_, resolve_target(path));
  const fs::path folder = file.target_.has_parent_path() ? file.target_.parent_path() : ".";
  std::string name = (folder / ".otr-XXXXXX.tmp").string();
  file.descriptor_ = ::mkostemps(name.data(), 4, O_CLOEXEC);
  if (file.descriptor_ < 0) return system_failure("write into folder", folder.string(), errno);
  file.temporary_ = std::move(name);
  return file;
}

PendingFile::PendingFile(PendingFile&& other) noexcept
    : target_(std::move(other.target_)),
      temporary_(std::exchange(other.temporary_, {})),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_bytes_(other.size_bytes_),
      mapped_(std::exchange(other.mapped_, {})) {}

PendingFile& PendingFile::operator=(PendingFile&& other) noexcept {
  std::swap(target_, other.target_);
  std::swap(temporary_, other.temporary_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_bytes_, other.size_bytes_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

PendingFile::~PendingFile() {
  unmap();
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void PendingFile::unmap() {
  if (mapped_.empty()) return;
  ::munmap(const_cast<std::uint8_t*>(mapped_.data()), mapped_.size());
  mapped_ = {};
}

Status PendingFile::write_at(std::uint64_t offset, ByteView bytes) {
  unmap();
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(descriptor_, bytes.data(), std::min(bytes.size(), kChunkBytes),
                                   static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_failure("write", target_.string(), errno);
    offset += static_cast<std::uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    size_bytes_ = std::max(size_bytes_, offset);
  }
  return {};
}

Status PendingFile::shift(std::uint64_t from, std::uint64_t to) {
  if (from == to) return {};
  unmap();
  const std::uint64_t count = size_bytes_ - from;
  Bytes block(std::min<std::uint64_t>(kChunkBytes, count));
  for (std::uint64_t done = 0; done < count;) {
    if (interrupted()) {
      return fail(ErrorKind::kCancelled, "stopped writing " + target_.string() + ".");
    }
    const std::uint64_t size = std::min<std::uint64_t>(block.size(), count - done);
    // Towards the end of the file the last block goes first, or it would be written over.
    const std::uint64_t at = to > from ? count - done - size : done;
    for (std::uint64_t have = 0; have < size;) {
      const ssize_t got = ::pread(descriptor_, block.data() + have, size - have,
                                  static_cast<off_t>(from + at + have));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return system_failure("read back", target_.string(), got < 0 ? errno : EIO);
      have += static_cast<std::uint64_t>(got);
    }
    OTR_TRY(write_at(to + at, ByteView(block).first(size)));
    done += size;
  }
  if (to < from && ::ftruncate(descriptor_, static_cast<off_t>(to + count)) != 0) {
    return system_failure("shorten", target_.string(), errno);
  }
  size_bytes_ = to + count;
  return {};
}

Result<ByteView> PendingFile::view() {
  if (!mapped_.empty() || size_bytes_ == 0) return mapped_;
  void* const memory = ::mmap(nullptr, size_bytes_, PROT_READ, MAP_SHARED, descriptor_, 0);
  if (memory == MAP_FAILED) return system_failure("read back", target_.string(), errno);
  mapped_ = {static_cast<const std::uint8_t*>(memory), size_bytes_};
  return mapped_;
}

Status PendingFile::publish(mode_t mode) {
  unmap();
  const fs::path folder_path = target_.has_parent_path() ? target_.parent_path() : ".";
  const Descriptor folder(::open(folder_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open()) return system_failure("write into folder", folder_path.string(), errno);
  // Some file systems report a failed write only when the file is closed.
  if (::fchmod(descriptor_, mode) != 0 || ::fsync(descriptor_) != 0 ||
      ::close(std::exchange(descriptor_, -1)) != 0 ||
      ::rename(temporary_.c_str(), target_.c_str()) != 0) {
    return system_failure("write", target_.string(), errno);
  }
  temporary_.clear();
  // File systems that cannot flush a folder say EINVAL; there is nothing more to be done then.
  if (::fsync(folder.get()) != 0 && errno != EINVAL) {
    return system_failure("flush the folder after writing", target_.string(), errno);
  }
  return {};
}

Status write_file_atomically(const fs::path& path, ByteView bytes, mode_t mode) {
  OTR_TRY_ASSIGN(PendingFile file, PendingFile::create(path));
  OTR_TRY(file.write_at(0, bytes));
  return file.publish(mode);
}

}  // namespace otr::env
