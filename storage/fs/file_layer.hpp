#pragma once
// The system calls that the filesystem blob store makes, so that tests can make the n-th of them fail and can
// record their order. Semantics, return values and errno are those of the calls of the same name.

#include <sys/statvfs.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace stele::fs {

// Thread-safe.
class FileLayer {
 public:
  virtual ~FileLayer() = default;
  virtual int open(const std::string& path, int flags, mode_t mode) = 0;
  virtual ssize_t write(int fd, const void* data, std::size_t size) = 0;
  virtual ssize_t pread(int fd, void* data, std::size_t size, off_t offset) = 0;
  virtual int ftruncate(int fd, off_t size) = 0;
  virtual int fdatasync(int fd) = 0;
  virtual int fsync(int fd) = 0;
  virtual int sync_file_range(int fd, off_t offset, off_t size, unsigned flags) = 0;
  virtual int link(const std::string& from, const std::string& to) = 0;
  virtual int rename(const std::string& from, const std::string& to) = 0;
  virtual int unlink(const std::string& path) = 0;
  virtual int mkdir(const std::string& path, mode_t mode) = 0;
  virtual int fchmod(int fd, mode_t mode) = 0;
  virtual int statvfs(const std::string& path, struct statvfs& info) = 0;

  // The kernel's own; lives for as long as the program.
  static FileLayer& system();
};

}  // namespace stele::fs
