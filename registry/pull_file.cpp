#include "registry/pull_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <new>
#include <system_error>
#include <utility>

#include "base/durable_file.hpp"
#include "base/hasher.hpp"
#include "base/random.hpp"
#include "base/unique_fd.hpp"

namespace stele {

// At the beginning of the file. What identifies it never changes and has a checksum.
struct PullFileHeader {
  static constexpr std::array<char, 16> our_magic{"stele pulls 1\n"};
  static constexpr std::size_t bytes = 4096;

  std::array<char, 16> magic;
  std::uint64_t words;
  std::array<char, 32> stamp;
  std::int64_t checksum;

  std::array<char, 40> boot_id;  // of the machine's run in which it was opened last
  std::atomic<std::uint64_t> closed;
  std::atomic<std::uint64_t> flushes;
  std::atomic<std::uint64_t> lost;
  std::atomic<std::uint64_t> told;  // as much of `lost` as the catalog knows of

  std::int64_t identity() const {
    return row_checksum({{magic.data(), magic.size()}, std::to_string(words), {stamp.data(), stamp.size()}});
  }
};
static_assert(sizeof(PullFileHeader) <= PullFileHeader::bytes);

namespace {

std::string failure(const std::string& what) {
  return what + ": " + std::generic_category().message(errno);
}

// Whether a page that was allocated can be written again on a full disk. Where it cannot, a store into the
// mapping would end the process.
bool keeps_what_it_allocated(int fd) {
  struct statfs info{};
  if (::fstatfs(fd, &info) != 0) return false;
  constexpr std::array<std::uint32_t, 8> copying_or_remote{
      0x9123683e,  // btrfs
      0x2fc12fc1,  // zfs
      0xca451a4e,  // bcachefs
      0x00006969,  // nfs
      0xff534d42,  // cifs
      0xfe534d42,  // smb2
      0x00c36400,  // ceph
      0x65735546,  // fuse
  };
  return std::find(copying_or_remote.begin(), copying_or_remote.end(),
                   static_cast<std::uint32_t>(info.f_type)) == copying_or_remote.end();
}

PullFileHeader& header_in(std::byte* memory) {
  return *std::launder(reinterpret_cast<PullFileHeader*>(memory));
}

std::size_t file_bytes(const PullFile::Place& place) {
  return PullFileHeader::bytes + place.words * sizeof(PullTable::Word);
}

}  // namespace

PullFile PullFile::open(const Place& place, const std::optional<catalog::PullRecord>& expected) {
  PullFile file;
  if (place.path.empty()) {
    file.begin(place);
    return file;
  }
  struct stat info{};
  if (::lstat(place.path.c_str(), &info) == 0) {
    file.remark_ = file.take(place, expected);
    if (file.memory_) return file;
    const std::string aside = place.path + ".set-aside";
    if (file.never_used_) {
      file.remark_ += "; a new one takes its place";
    } else if (::rename(place.path.c_str(), aside.c_str()) == 0) {
      file.remark_ += "; it was set aside as " + aside;
    } else {
      file.remark_ += "; " + failure("it cannot be set aside as " + aside);
    }
  } else if (expected) {
    file.remark_ = place.path + " is missing";
  }
  if (const std::string why = file.create(place); !why.empty()) {
    file.begin(place);
    file.remark_ += (file.remark_.empty() ? "" : "; ") + why +
                    "; until the next start pulls are recorded in memory alone, and a crash forgets them";
  }
  return file;
}

PullFile::PullFile(PullFile&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)),
      bytes_(other.bytes_),
      in_memory_(other.in_memory_),
      remark_(std::move(other.remark_)) {}

PullFile::~PullFile() {
  if (memory_) ::munmap(memory_, bytes_);
}

bool PullFile::map(int fd, std::size_t bytes) {
  // All pages now, so that nobody waits for the disk on first reading one.
  const int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED | MAP_POPULATE;
  void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (at == MAP_FAILED) return false;
  memory_ = static_cast<std::byte*>(at);
  bytes_ = bytes;
  return true;
}

// Maps the file that is there. What is wrong with it, or else what it cannot be relied on for; not mapped:
// not at all.
std::string PullFile::take(const Place& place, const std::optional<catalog::PullRecord>& expected) {
  const UniqueFd fd(::open(place.path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return failure(place.path + " cannot be opened");
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return place.path + " is not a file";
  const std::size_t bytes = file_bytes(place);
  if (static_cast<std::uint64_t>(info.st_size) != bytes)
    return place.path + " has another size than it was made with";
  if (!keeps_what_it_allocated(fd.get()))
    return place.path + " is on a file system that it cannot be kept on";
  // A hole, made by copying the file, would be filled when the disk may be full.
  if (const int error = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes)); error != 0) {
    errno = error;
    return failure(place.path + " cannot be allocated");
  }
  if (!map(fd.get(), bytes)) return failure(place.path + " cannot be mapped");

  PullFileHeader& header = header_in(memory_);
  const auto unusable = [&](const char* why) {
    ::munmap(std::exchange(memory_, nullptr), bytes_);
    return place.path + why;
  };
  if (header.magic != PullFileHeader::our_magic || header.words != place.words ||
      header.checksum != header.identity()) {
    return unusable(" is damaged");
  }
  if (!expected || expected->stamp != stamp()) {
    // The file has its name before the catalog knows of it; a process that ends between the two leaves this.
    never_used_ = header.flushes == 0 && header.closed == 0;
    return unusable(never_used_ ? " is of a start that was cut off" : " belongs to another catalog");
  }
  if (expected->flushes < header.flushes)
    return unusable(" is newer than the catalog, perhaps a restored snapshot");
  std::string remark;
  const std::string last_boot(header.boot_id.data(), ::strnlen(header.boot_id.data(), header.boot_id.size()));
  if (header.closed != 1 && (place.boot_id.empty() || last_boot != place.boot_id)) {
    // What did reach the disk is as good as it was; a power cut leaves each word old or new.
    remark = place.path + " was not closed before the machine went down";
    lose_pull();
    header.flushes = expected->flushes;
  }
  if (expected->flushes > header.flushes + 1) return unusable(" is older than the catalog");
  // Pulls come only after this is on the disk: otherwise a power cut would find a file that was closed.
  header.closed = 0;
  std::strncpy(header.boot_id.data(), place.boot_id.c_str(), header.boot_id.size() - 1);
  if (::msync(memory_, PullFileHeader::bytes, MS_SYNC) != 0) return unusable(" cannot be written");
  return remark;
}

// A new file, complete before it has its name. What went wrong; empty: nothing.
std::string PullFile::create(const Place& place) {
  const std::string temporary = place.path + ".new";
  const UniqueFd fd(::open(temporary.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return failure(temporary + " cannot be made");
  const auto refused = [&](std::string why) {
    ::unlink(temporary.c_str());
    if (memory_) ::munmap(std::exchange(memory_, nullptr), bytes_);
    return why;
  };
  if (!keeps_what_it_allocated(fd.get())) {
    return refused(place.path +
                   " would be on a file system that writes pages anew or on another machine, where "
                   "a full disk would end the server");
  }
  const std::size_t bytes = file_bytes(place);
  if (const int error = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes)); error != 0) {
    errno = error;
    return refused(failure(place.path + " cannot be allocated"));
  }
  if (!map(fd.get(), bytes)) return refused(failure(place.path + " cannot be mapped"));
  begin(place);
  if (::msync(memory_, bytes_, MS_SYNC) != 0 || ::fsync(fd.get()) != 0 ||
      ::rename(temporary.c_str(), place.path.c_str()) != 0) {
    return refused(failure(place.path + " cannot be made"));
  }
  // A table that a power cut takes is begun anew and knows less, which keeps more: no reason to refuse this
  // one.
  static_cast<void>(sync_directory_of(place.path));
  return {};
}

// Makes the header of a new table, which does not know what was before it.
void PullFile::begin(const Place& place) {
  if (!memory_) {
    in_memory_ = true;
    if (!map(-1, file_bytes(place))) throw std::bad_alloc();
  }
  PullFileHeader& header = *new (memory_) PullFileHeader{};
  header.magic = PullFileHeader::our_magic;
  header.words = place.words;
  const std::string stamp = random_hex(header.stamp.size() / 2);
  std::copy(stamp.begin(), stamp.end(), header.stamp.begin());
  header.checksum = header.identity();
  std::strncpy(header.boot_id.data(), place.boot_id.c_str(), header.boot_id.size() - 1);
  lose_pull();
}

PullTable::Word* PullFile::words() const {
  return std::launder(reinterpret_cast<PullTable::Word*>(memory_ + PullFileHeader::bytes));
}

std::string PullFile::stamp() const {
  const auto& stamp = header_in(memory_).stamp;
  return {stamp.data(), stamp.size()};
}

std::uint64_t PullFile::flushes() const {
  return header_in(memory_).flushes;
}
void PullFile::count_flush() {
  ++header_in(memory_).flushes;
}
void PullFile::lose_pull() noexcept {
  ++header_in(memory_).lost;
}
std::uint64_t PullFile::lost() const noexcept {
  return header_in(memory_).lost;
}
bool PullFile::has_untold_loss() const noexcept {
  const PullFileHeader& header = header_in(memory_);
  return header.told != header.lost;
}
void PullFile::told(std::uint64_t lost) noexcept {
  header_in(memory_).told = lost;
}

void PullFile::let_pages_go() noexcept {
  // Of memory alone it would be the end of what is in it.
  if (!in_memory_) ::madvise(memory_, bytes_, MADV_DONTNEED);
}

void PullFile::close() noexcept {
  if (in_memory_ || ::msync(memory_, bytes_, MS_SYNC) != 0) return;
  header_in(memory_).closed = 1;
  ::msync(memory_, PullFileHeader::bytes, MS_SYNC);
}

std::string present_boot_id() {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(in, id);
  return id;
}

}  // namespace stele
