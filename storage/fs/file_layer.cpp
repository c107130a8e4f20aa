#include "storage/fs/file_layer.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

namespace stele::fs {
namespace {

class SystemFileLayer final : public FileLayer {
 public:
  int open(const std::string& path, int flags, mode_t mode) override {
    return ::open(path.c_str(), flags, mode);
  }
  ssize_t write(int fd, const void* data, std::size_t size) override { return ::write(fd, data, size); }
  ssize_t pread(int fd, void* data, std::size_t size, off_t offset) override {
    return ::pread(fd, data, size, offset);
  }
  int ftruncate(int fd, off_t size) override { return ::ftruncate(fd, size); }
  int fdatasync(int fd) override { return ::fdatasync(fd); }
  int fsync(int fd) override { return ::fsync(fd); }
  int sync_file_range(int fd, off_t offset, off_t size, unsigned flags) override {
    return ::sync_file_range(fd, offset, size, flags);
  }
  int link(const std::string& from, const std::string& to) override {
    return ::link(from.c_str(), to.c_str());
  }
  int rename(const std::string& from, const std::string& to) override {
    return ::rename(from.c_str(), to.c_str());
  }
  int unlink(const std::string& path) override { return ::unlink(path.c_str()); }
  int mkdir(const std::string& path, mode_t mode) override { return ::mkdir(path.c_str(), mode); }
  int fchmod(int fd, mode_t mode) override { return ::fchmod(fd, mode); }
  int statvfs(const std::string& path, struct statvfs& info) override {
    return ::statvfs(path.c_str(), &info);
  }
};

}  // namespace

FileLayer& FileLayer::system() {
  static SystemFileLayer layer;
  return layer;
}

}  // namespace stele::fs
