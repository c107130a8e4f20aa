#pragma once
// What a power cut would leave, told from the recorded calls: bytes count once their file was synced, names
// once their directory was. Assumes nothing that POSIX does not promise, in particular no order between what
// is not synced.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/support/injecting_file_layer.hpp"

namespace stele::fs {

class DurabilityModel {
 public:
  explicit DurabilityModel(const std::vector<Operation>& record) {
    for (const auto& operation : record) {
      if (operation.error == 0) replay(operation);
    }
  }

  // The file's bytes, its name and the names of every directory above it.
  bool durable(const std::string& path) const {
    if (unsynced_files_.contains(path)) return false;
    for (std::string name = path; name != "."; name = parent(name)) {
      const auto names = unsynced_names_.find(parent(name));
      if (names != unsynced_names_.end() && names->second.contains(name)) return false;
    }
    return true;
  }
  bool bytes_durable(const std::string& path) const { return !unsynced_files_.contains(path); }

 private:
  static std::string parent(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? "." : path.substr(0, slash);
  }

  void replay(const Operation& operation) {
    switch (operation.call) {
      case Call::open:
        if (operation.flags & O_CREAT) {
          unsynced_files_.insert(operation.path);
          unsynced_names_[parent(operation.path)].insert(operation.path);
        }
        break;
      case Call::write:
      case Call::ftruncate:
        unsynced_files_.insert(operation.path);
        break;
      case Call::fdatasync:
      case Call::fsync:
        unsynced_files_.erase(operation.path);
        unsynced_names_.erase(operation.path);
        break;
      case Call::link:
        if (unsynced_files_.contains(operation.path)) unsynced_files_.insert(operation.to);
        unsynced_names_[parent(operation.to)].insert(operation.to);
        break;
      case Call::rename:
        if (unsynced_files_.erase(operation.path)) unsynced_files_.insert(operation.to);
        unsynced_names_[parent(operation.path)].erase(operation.path);
        unsynced_names_[parent(operation.to)].insert(operation.to);
        break;
      case Call::mkdir:
        unsynced_names_[parent(operation.path)].insert(operation.path);
        break;
      case Call::pread:
      case Call::sync_file_range:  // promises nothing
      case Call::unlink:
      case Call::fchmod:
      case Call::statvfs:
        break;
    }
  }

  std::set<std::string> unsynced_files_;
  std::map<std::string, std::set<std::string>> unsynced_names_;
};

}  // namespace stele::fs
