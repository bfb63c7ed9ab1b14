#include "settlement/test_faults.h"

#include <sqlite3.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace otr::settlement {
namespace {

// What one write replaced, to be put back.
struct Undo {
  std::string path;
  sqlite3_int64 offset = 0;
  std::vector<char> old;
  sqlite3_int64 old_size = 0;
  int size = 0;
};

struct Faults {
  Fault fault = Fault::kNone;
  std::uint64_t at = 0, count = 0;
  bool is_down = false;
  std::vector<Undo> unflushed;
};
Faults faults;

struct FaultyFile {
  sqlite3_file base;
  sqlite3_file* real;
  const char* path;  // SQLite keeps it while the file is open
};

sqlite3_file* real_of(sqlite3_file* file) { return reinterpret_cast<FaultyFile*>(file)->real; }
const char* path_of(sqlite3_file* file) {
  const char* path = reinterpret_cast<FaultyFile*>(file)->path;
  return path == nullptr ? "" : path;
}

bool loses_power() {
  return faults.fault == Fault::kLoseNothing || faults.fault == Fault::kLoseAll ||
         faults.fault == Fault::kLoseSome;
}

// Whether this write or flush is the faulty one, or one after a fault that lasts.
bool strikes() {
  ++faults.count;
  if (faults.fault == Fault::kNone) return false;
  if (faults.fault == Fault::kDiskFull) return faults.count >= faults.at;
  return faults.count == faults.at;
}

void remember(sqlite3_file* file, int size, sqlite3_int64 offset) {
  sqlite3_file* const real = real_of(file);
  Undo undo{.path = path_of(file), .offset = offset, .size = size};
  real->pMethods->xFileSize(real, &undo.old_size);
  if (offset < undo.old_size) {
    const auto kept = std::min<sqlite3_int64>(size, undo.old_size - offset);
    undo.old.resize(static_cast<std::size_t>(kept));
    real->pMethods->xRead(real, undo.old.data(), static_cast<int>(kept), offset);
  }
  faults.unflushed.push_back(std::move(undo));
}

int on_write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
  sqlite3_file* const real = real_of(file);
  if (faults.is_down) return SQLITE_IOERR_WRITE;
  if (strikes()) {
    if (faults.fault == Fault::kDiskFull) return SQLITE_FULL;
    if (faults.fault == Fault::kIoError) return SQLITE_IOERR_WRITE;
    faults.is_down = true;
    remember(file, size / 2, offset);
    real->pMethods->xWrite(real, data, size / 2, offset);
    return SQLITE_IOERR_WRITE;
  }
  remember(file, size, offset);
  return real->pMethods->xWrite(real, data, size, offset);
}

int on_sync(sqlite3_file* file, int flags) {
  sqlite3_file* const real = real_of(file);
  if (faults.is_down) return SQLITE_IOERR_FSYNC;
  if (strikes() && faults.fault != Fault::kDiskFull) {
    faults.is_down = loses_power();
    return SQLITE_IOERR_FSYNC;
  }
  const int code = real->pMethods->xSync(real, flags);
  const std::string path = path_of(file);
  std::erase_if(faults.unflushed, [&](const Undo& undo) { return undo.path == path; });
  return code;
}

int on_truncate(sqlite3_file* file, sqlite3_int64 size) {
  if (faults.is_down) return SQLITE_IOERR_TRUNCATE;
  return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

int on_close(sqlite3_file* file) {
  sqlite3_file* const real = real_of(file);
  const int code = real->pMethods == nullptr ? SQLITE_OK : real->pMethods->xClose(real);
  ::operator delete(real);
  return code;
}

int on_read(sqlite3_file* f, void* to, int n, sqlite3_int64 at) {
  return real_of(f)->pMethods->xRead(real_of(f), to, n, at);
}
int on_size(sqlite3_file* f, sqlite3_int64* size) {
  return real_of(f)->pMethods->xFileSize(real_of(f), size);
}
int on_lock(sqlite3_file* f, int level) { return real_of(f)->pMethods->xLock(real_of(f), level); }
int on_unlock(sqlite3_file* f, int level) {
  return real_of(f)->pMethods->xUnlock(real_of(f), level);
}
int on_reserved(sqlite3_file* f, int* out) {
  return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}
int on_control(sqlite3_file* f, int op, void* arg) {
  return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}
int on_sector(sqlite3_file* f) { return real_of(f)->pMethods->xSectorSize(real_of(f)); }
int on_device(sqlite3_file*) { return 0; }  // it promises nothing
int on_shm_map(sqlite3_file* f, int page, int size, int extend, void volatile** to) {
  return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, to);
}
int on_shm_lock(sqlite3_file* f, int offset, int n, int flags) {
  return real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags);
}
void on_shm_barrier(sqlite3_file* f) { real_of(f)->pMethods->xShmBarrier(real_of(f)); }
int on_shm_unmap(sqlite3_file* f, int remove) {
  return real_of(f)->pMethods->xShmUnmap(real_of(f), remove);
}

const sqlite3_io_methods kMethods = {
    2,           on_close,       on_read,      on_write,   on_truncate, on_sync,   on_size,
    on_lock,     on_unlock,      on_reserved,  on_control, on_sector,   on_device, on_shm_map,
    on_shm_lock, on_shm_barrier, on_shm_unmap, nullptr,    nullptr};

sqlite3_vfs* default_vfs() { return sqlite3_vfs_find(nullptr); }

int on_open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
  auto* faulty = reinterpret_cast<FaultyFile*>(file);
  sqlite3_vfs* const real_vfs = default_vfs();
  faulty->base.pMethods = nullptr;
  faulty->path = name;
  faulty->real =
      static_cast<sqlite3_file*>(::operator new(static_cast<std::size_t>(real_vfs->szOsFile)));
  std::memset(faulty->real, 0, static_cast<std::size_t>(real_vfs->szOsFile));
  const int code =
      faults.is_down ? SQLITE_CANTOPEN : real_vfs->xOpen(real_vfs, name, faulty->real, flags, out);
  if (code != SQLITE_OK) {
    ::operator delete(faulty->real);
    return code;
  }
  faulty->base.pMethods = &kMethods;
  return SQLITE_OK;
}

int on_delete(sqlite3_vfs*, const char* name, int sync) {
  if (faults.is_down) return SQLITE_IOERR_DELETE;
  return default_vfs()->xDelete(default_vfs(), name, sync);
}

void register_once() {
  static sqlite3_vfs layer = [] {
    sqlite3_vfs made = *default_vfs();
    made.zName = kFaultVfs;
    made.szOsFile = sizeof(FaultyFile);
    made.xOpen = on_open;
    made.xDelete = on_delete;
    made.pNext = nullptr;
    return made;
  }();
  static const int registered = sqlite3_vfs_register(&layer, 0);
  static_cast<void>(registered);
}

}  // namespace

void arm_faults(Fault fault, std::uint64_t at) {
  register_once();
  faults = {.fault = fault, .at = at};
}

std::uint64_t fault_operations() { return faults.count; }

void settle_disk() {
  if (faults.fault == Fault::kLoseAll || faults.fault == Fault::kLoseSome) {
    for (std::size_t i = faults.unflushed.size(); i-- > 0;) {
      const Undo& undo = faults.unflushed[i];
      if (faults.fault == Fault::kLoseSome && i % 2 == 0) continue;
      std::error_code ignored;
      if (!std::filesystem::exists(undo.path, ignored)) continue;
      // Where the file has grown, what did not reach the disk reads as zeros.
      std::vector<char> content = undo.old;
      content.resize(static_cast<std::size_t>(undo.size));
      std::fstream file(undo.path, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(undo.offset);
      file.write(content.data(), std::ssize(content));
      file.close();
      const bool has_grown =
          undo.offset + std::ssize(undo.old) >= undo.old_size && faults.fault == Fault::kLoseAll;
      if (has_grown && std::filesystem::file_size(undo.path, ignored) >
                           static_cast<std::uintmax_t>(undo.old_size)) {
        std::filesystem::resize_file(undo.path, static_cast<std::uintmax_t>(undo.old_size),
                                     ignored);
      }
    }
  }
  faults = {};
}

}  // namespace otr::settlement
