// Files in and out of memory. No file of somebody else is mapped: a mapped file that somebody
// truncates kills the reader with SIGBUS, and a model must not change under a run that has checked
// its root. Only a PendingFile, which nobody else knows, shows itself as memory.
//
// Errors are kIo with the path, the system's reason and, for a full disk, what to do.
#ifndef OTR_ENV_FILE_H_
#define OTR_ENV_FILE_H_

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace otr::env {

// Called now and then with the bytes read so far and the expected total (0 where unknown, as for a
// pipe).
using ReadProgress = std::function<void(std::size_t done_bytes, std::size_t total_bytes)>;

// The whole content, of a regular file or a pipe. kBadInput if it is longer than `max_bytes`, found
// before reading where the size is known; kCancelled if interrupted() (signal.h) becomes true.
[[nodiscard]] Result<Bytes> read_file(const std::filesystem::path& path, std::size_t max_bytes,
                                      const ReadProgress& progress = {});

// kUsage if something is at this path that is no regular file, such as a pipe, whose reader might
// wait for ever.
[[nodiscard]] Status check_is_file(const std::filesystem::path& path);

// A regular file that is read in parts, for what does not fit into memory as a whole.
class InputFile {
 public:
  [[nodiscard]] static Result<InputFile> open(const std::filesystem::path& path);
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;
  ~InputFile();

  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }  // when it was opened
  // Fills all of `to`. An error if the file ends before, or kCancelled as for read_file.
  [[nodiscard]] Status read_at(std::uint64_t offset, std::span<std::uint8_t> to) const;

 private:
  InputFile(std::filesystem::path path, int descriptor, std::uint64_t size_bytes);

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_bytes_ = 0;
};

// A new file that nobody sees until it is whole: a hidden one (".otr-") in the folder of `path`,
// which takes that path's place when it is published and is removed if it never is. Only a process
// killed before (SIGKILL) leaves it behind. What write_file_atomically says of links and of what is
// no regular file holds here too.
class PendingFile {
 public:
  [[nodiscard]] static Result<PendingFile> create(const std::filesystem::path& path);
  PendingFile(PendingFile&& other) noexcept;
  PendingFile& operator=(PendingFile&& other) noexcept;
  ~PendingFile();

  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  // Writes at any place, of which those before may still be missing (they read as zeros).
  [[nodiscard]] Status write_at(std::uint64_t offset, ByteView bytes);
  // Moves everything from `from` on to `to`; the file ends where its last byte then is. Between the
  // two, if `to` is the greater, anything may stand. kCancelled as for read_file.
  [[nodiscard]] Status shift(std::uint64_t from, std::uint64_t to);
  // The content, not as memory of this process but as pages of the file, until the next call of
  // another function. A reader dies of SIGBUS if somebody truncates it meanwhile; that would be
  // someone who may write into the folder and looks for hidden files to break.
  [[nodiscard]] Result<ByteView> view();
  // On disk, with permissions `mode`, in the place of the path; nothing else may be called then.
  [[nodiscard]] Status publish(mode_t mode);

 private:
  PendingFile() = default;
  void unmap();

  std::filesystem::path target_;
  std::string temporary_;  // empty once published or moved away
  int descriptor_ = -1;
  std::uint64_t size_bytes_ = 0;
  ByteView mapped_;
};

// Afterwards either the file holds exactly `bytes` with permissions `mode`, on disk, or there is an
// error, the old file is untouched and no other file is left behind. One exception: if the last
// flush of the folder fails, the error says so and the new file is in place. A symbolic link is
// followed. Whatever is not a regular file is refused with kUsage, so that /dev/stdout is never
// replaced.
[[nodiscard]] Status write_file_atomically(const std::filesystem::path& path, ByteView bytes,
                                           mode_t mode);

// Writes all bytes to an open descriptor such as standard output; `name` is for the error.
[[nodiscard]] Status write_all(int descriptor, ByteView bytes, std::string_view name);

}  // namespace otr::env

#endif  // OTR_ENV_FILE_H_
