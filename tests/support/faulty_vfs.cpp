#include "tests/support/faulty_vfs.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <new>

namespace stele::sql {
namespace {

// One write or truncation that no sync has followed yet.
struct Unsynced {
  std::uint64_t offset;
  std::string bytes;
  bool truncates = false;  // to `offset`
};

struct DiskFile {
  std::string synced;
  std::vector<Unsynced> since;
  bool entry_synced = false;  // its name survives
};

void put(std::string& content, std::uint64_t offset, std::string_view bytes) {
  if (content.size() < offset + bytes.size()) content.resize(offset + bytes.size());
  content.replace(offset, bytes.size(), bytes);
}

}  // namespace

struct FaultyVfs::Impl {
  mutable std::mutex mutex;
  std::string name;
  sqlite3_vfs vfs{};
  sqlite3_vfs* real = nullptr;
  std::optional<Fault> fault;
  unsigned calls = 0;
  bool has_fired = false;
  std::map<std::string, DiskFile> disk;
  Observer* observer = nullptr;

  std::unique_lock<std::recursive_mutex> one_at_a_time() {
    return observer ? std::unique_lock(observer->one_at_a_time()) : std::unique_lock<std::recursive_mutex>();
  }

  // The fault that hits this call, if any.
  std::optional<Fault> hit(Call call) {
    const std::lock_guard lock(mutex);
    if (!fault) return std::nullopt;
    if (fault->call ? *fault->call != call : call == Call::read) return std::nullopt;
    ++calls;
    if (calls < fault->nth || (calls > fault->nth && !fault->from_then_on)) return std::nullopt;
    has_fired = true;
    errno = fault->error;  // which SQLite asks for later, as it would after a failed system call
    return fault;
  }
};

namespace {

struct File {
  sqlite3_file base;
  FaultyVfs::Impl* owner;
  sqlite3_file* real;
  DiskFile* on_disk;        // null for shared memory, temporary files
  const std::string* path;  // of on_disk's

  FaultyVfs::Observer* observer() const { return on_disk ? owner->observer : nullptr; }
};

using Call = FaultyVfs::Call;

File& of(sqlite3_file* file) {
  return *reinterpret_cast<File*>(file);
}
FaultyVfs::Impl& of(sqlite3_vfs* vfs) {
  return *static_cast<FaultyVfs::Impl*>(vfs->pAppData);
}

int close(sqlite3_file* file) {
  return of(file).real->pMethods->xClose(of(file).real);
}

int read(sqlite3_file* file, void* buffer, int size, sqlite3_int64 offset) {
  if (of(file).owner->hit(Call::read)) return SQLITE_IOERR_READ;
  return of(file).real->pMethods->xRead(of(file).real, buffer, size, offset);
}

int write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
  File& self = of(file);
  const auto fault = self.owner->hit(Call::write);
  // As SQLite's own: a write that ran out of space is FULL, everything else an I/O error.
  const int failed = fault && fault->error == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
  if (fault && !fault->half) return failed;
  const int written = fault ? size / 2 : size;
  const auto held = self.owner->one_at_a_time();
  const int code = self.real->pMethods->xWrite(self.real, data, written, offset);
  if (code == SQLITE_OK && self.on_disk) {
    const std::lock_guard lock(self.owner->mutex);
    self.on_disk->since.push_back(
        {static_cast<std::uint64_t>(offset),
         std::string(static_cast<const char*>(data), static_cast<std::size_t>(written)), false});
    if (auto* observer = self.observer())
      observer->written(*self.path, static_cast<std::uint64_t>(offset),
                        {static_cast<const char*>(data), static_cast<std::size_t>(written)});
  }
  return fault ? failed : code;
}

int truncate(sqlite3_file* file, sqlite3_int64 size) {
  File& self = of(file);
  if (self.owner->hit(Call::truncate)) return SQLITE_IOERR_TRUNCATE;
  const auto held = self.owner->one_at_a_time();
  const int code = self.real->pMethods->xTruncate(self.real, size);
  if (code == SQLITE_OK && self.on_disk) {
    const std::lock_guard lock(self.owner->mutex);
    self.on_disk->since.push_back({static_cast<std::uint64_t>(size), {}, true});
    if (auto* observer = self.observer()) observer->truncated(*self.path, static_cast<std::uint64_t>(size));
  }
  return code;
}

int sync(sqlite3_file* file, int flags) {
  File& self = of(file);
  if (self.owner->hit(Call::sync)) {
    // As Linux does: what could not be written counts as clean. Reads still see it, no later sync writes it.
    const std::lock_guard lock(self.owner->mutex);
    if (self.on_disk) self.on_disk->since.clear();
    return SQLITE_IOERR_FSYNC;
  }
  const auto held = self.owner->one_at_a_time();
  const int code = self.real->pMethods->xSync(self.real, flags);
  if (code == SQLITE_OK && self.on_disk) {
    const std::lock_guard lock(self.owner->mutex);
    if (auto* observer = self.observer()) observer->synced(*self.path, !self.on_disk->entry_synced);
    for (const Unsynced& change : self.on_disk->since) {
      if (change.truncates) {
        self.on_disk->synced.resize(change.offset);
      } else {
        put(self.on_disk->synced, change.offset, change.bytes);
      }
    }
    self.on_disk->since.clear();
    self.on_disk->entry_synced = true;  // SQLite syncs the directory of a new log with its first sync
  }
  return code;
}

int shm_map(sqlite3_file* file, int region, int size, int extend, void volatile** out) {
  File& self = of(file);
  if (extend) {
    if (const auto fault = self.owner->hit(Call::map)) return SQLITE_IOERR_SHMSIZE;
  }
  return self.real->pMethods->xShmMap(self.real, region, size, extend, out);
}

int file_size(sqlite3_file* f, sqlite3_int64* size) {
  return of(f).real->pMethods->xFileSize(of(f).real, size);
}
int lock_file(sqlite3_file* f, int level) {
  return of(f).real->pMethods->xLock(of(f).real, level);
}
int unlock_file(sqlite3_file* f, int level) {
  return of(f).real->pMethods->xUnlock(of(f).real, level);
}
int check_lock(sqlite3_file* f, int* out) {
  return of(f).real->pMethods->xCheckReservedLock(of(f).real, out);
}
int control(sqlite3_file* f, int op, void* arg) {
  return of(f).real->pMethods->xFileControl(of(f).real, op, arg);
}
int sector_size(sqlite3_file* f) {
  return of(f).real->pMethods->xSectorSize(of(f).real);
}
int characteristics(sqlite3_file* f) {
  return of(f).real->pMethods->xDeviceCharacteristics(of(f).real);
}
int shm_lock(sqlite3_file* f, int at, int n, int flags) {
  return of(f).real->pMethods->xShmLock(of(f).real, at, n, flags);
}
void shm_barrier(sqlite3_file* f) {
  of(f).real->pMethods->xShmBarrier(of(f).real);
}
int shm_unmap(sqlite3_file* f, int remove) {
  return of(f).real->pMethods->xShmUnmap(of(f).real, remove);
}

const sqlite3_io_methods methods = {
    2,           close,      read,    write,       truncate,        sync,    file_size, lock_file,
    unlock_file, check_lock, control, sector_size, characteristics, shm_map, shm_lock,  shm_barrier,
    shm_unmap,   nullptr,    nullptr};

int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  auto& owner = of(vfs);
  file->pMethods = nullptr;
  if (owner.hit(Call::open)) return SQLITE_CANTOPEN;
  auto* self = new (file) File{};
  self->owner = &owner;
  self->real = reinterpret_cast<sqlite3_file*>(self + 1);
  const auto held = owner.one_at_a_time();
  const int code = owner.real->xOpen(owner.real, path, self->real, flags, out_flags);
  if (code != SQLITE_OK) return code;
  self->base.pMethods = &methods;
  if (path && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL))) {
    const std::lock_guard lock(owner.mutex);
    const auto [entry, first] = owner.disk.try_emplace(path);
    self->on_disk = &entry->second;
    self->path = &entry->first;
    if (first) {  // what was there before is on the disk
      std::ifstream before(path, std::ios::binary);
      entry->second.synced.assign(std::istreambuf_iterator<char>(before), {});
      entry->second.entry_synced = !entry->second.synced.empty();
    }
    // The driver makes the main file and syncs its directory before SQLite sees it.
    if (flags & SQLITE_OPEN_MAIN_DB) self->on_disk->entry_synced = true;
    if (auto* observer = self->observer())
      observer->opened_file(entry->first, (flags & SQLITE_OPEN_MAIN_DB) != 0);
  }
  return SQLITE_OK;
}

int remove(sqlite3_vfs* vfs, const char* path, int sync_directory) {
  auto& owner = of(vfs);
  if (owner.hit(Call::remove)) return SQLITE_IOERR_DELETE;
  const auto held = owner.one_at_a_time();
  const int code = owner.real->xDelete(owner.real, path, sync_directory);
  if (code == SQLITE_OK) {
    const std::lock_guard lock(owner.mutex);
    if (owner.observer) owner.observer->removed(path);
    owner.disk[path] = DiskFile();
  }
  return code;
}

int last_error(sqlite3_vfs* v, int n, char* out) {
  return of(v).real->xGetLastError(of(v).real, n, out);
}
int access(sqlite3_vfs* v, const char* p, int f, int* out) {
  return of(v).real->xAccess(of(v).real, p, f, out);
}
int full_path(sqlite3_vfs* v, const char* p, int n, char* out) {
  return of(v).real->xFullPathname(of(v).real, p, n, out);
}
int randomness(sqlite3_vfs* v, int n, char* out) {
  return of(v).real->xRandomness(of(v).real, n, out);
}
int sleep(sqlite3_vfs* v, int us) {
  return of(v).real->xSleep(of(v).real, us);
}
int current_time(sqlite3_vfs* v, double* out) {
  return of(v).real->xCurrentTime(of(v).real, out);
}
int current_time64(sqlite3_vfs* v, sqlite3_int64* out) {
  return of(v).real->xCurrentTimeInt64(of(v).real, out);
}

}  // namespace

FaultyVfs::FaultyVfs() : impl_(std::make_unique<Impl>()) {
  static std::atomic<unsigned> count{0};
  impl_->name = "faulty-" + std::to_string(++count);
  impl_->real = sqlite3_vfs_find(nullptr);
  sqlite3_vfs& vfs = impl_->vfs;
  vfs.iVersion = 2;
  vfs.szOsFile = static_cast<int>(sizeof(File)) + impl_->real->szOsFile;
  vfs.mxPathname = impl_->real->mxPathname;
  vfs.zName = impl_->name.c_str();
  vfs.pAppData = impl_.get();
  vfs.xOpen = open;
  vfs.xDelete = remove;
  vfs.xAccess = access;
  vfs.xFullPathname = full_path;
  vfs.xRandomness = randomness;
  vfs.xSleep = sleep;
  vfs.xCurrentTime = current_time;
  vfs.xGetLastError = last_error;
  vfs.xCurrentTimeInt64 = current_time64;
  sqlite3_vfs_register(&vfs, 0);
}

FaultyVfs::~FaultyVfs() {
  sqlite3_vfs_unregister(&impl_->vfs);
}

const std::string& FaultyVfs::name() const {
  return impl_->name;
}

void FaultyVfs::inject(const Fault& fault) {
  const std::lock_guard lock(impl_->mutex);
  impl_->fault = fault;
  impl_->calls = 0;
  impl_->has_fired = false;
}

void FaultyVfs::observe(Observer* observer) {
  impl_->observer = observer;
}

void FaultyVfs::clear() {
  const std::lock_guard lock(impl_->mutex);
  impl_->fault.reset();
}

bool FaultyVfs::fired() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->has_fired;
}

std::optional<std::string> FaultyVfs::after_power_cut(const std::string& path, std::uint32_t seed) const {
  constexpr std::size_t sector = 512;
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->disk.find(path);
  if (found == impl_->disk.end()) {  // never touched
    std::ifstream file(path, std::ios::binary);
    if (!file) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  if (!found->second.entry_synced && seed == 0) return std::nullopt;
  std::string content = found->second.synced;
  if (seed == 0) return content;
  std::uint32_t state = seed;
  const auto survives = [&] {
    state = state * 1664525u + 1013904223u;
    return (state >> 16 & 1) != 0;
  };
  for (const Unsynced& change : found->second.since) {
    if (change.truncates) {
      if (survives()) content.resize(change.offset);
      continue;
    }
    // Cut at the disk's sectors, not at the write's.
    for (std::size_t from = 0; from < change.bytes.size();) {
      const std::size_t to =
          std::min<std::size_t>(change.bytes.size(), from + sector - (change.offset + from) % sector);
      if (survives())
        put(content, change.offset + from, std::string_view(change.bytes).substr(from, to - from));
      from = to;
    }
  }
  return content;
}

}  // namespace stele::sql
