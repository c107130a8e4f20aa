#pragma once
// The system's own calls, for tests that look at some of them, or do something beside them.

#include "storage/fs/file_layer.hpp"

namespace stele::fs {

class PassingFileLayer : public FileLayer {
 public:
  int open(const std::string& path, int flags, mode_t mode) override {
    return system_.open(path, flags, mode);
  }
  ssize_t write(int fd, const void* data, std::size_t size) override { return system_.write(fd, data, size); }
  ssize_t pread(int fd, void* data, std::size_t size, off_t offset) override {
    return system_.pread(fd, data, size, offset);
  }
  int ftruncate(int fd, off_t size) override { return system_.ftruncate(fd, size); }
  int fdatasync(int fd) override { return system_.fdatasync(fd); }
  int fsync(int fd) override { return system_.fsync(fd); }
  int sync_file_range(int fd, off_t offset, off_t size, unsigned flags) override {
    return system_.sync_file_range(fd, offset, size, flags);
  }
  int link(const std::string& from, const std::string& to) override { return system_.link(from, to); }
  int rename(const std::string& from, const std::string& to) override { return system_.rename(from, to); }
  int unlink(const std::string& path) override { return system_.unlink(path); }
  int mkdir(const std::string& path, mode_t mode) override { return system_.mkdir(path, mode); }
  int fchmod(int fd, mode_t mode) override { return system_.fchmod(fd, mode); }
  int statvfs(const std::string& path, struct statvfs& info) override { return system_.statvfs(path, info); }

 private:
  FileLayer& system_ = FileLayer::system();
};

}  // namespace stele::fs
