#include "storage/fs/failure.hpp"

#include <system_error>

namespace stele::fs {
namespace {

std::string sentence(std::string_view action, int error) {
  return "could not " + std::string(action) + ": " + std::generic_category().message(error);
}

}  // namespace

Error call_failure(std::string_view action, int error) {
  if (error == ENOSPC) {
    return Error(Errc::no_space, sentence(action, error) +
                                     "; free space on the file system of the data directory, then try again");
  }
  if (error == EDQUOT) {
    return Error(Errc::no_space,
                 sentence(action, error) +
                     "; raise the quota of the user that runs stele or free space, then try again");
  }
  return Error(Errc::io, sentence(action, error));
}

Error sync_failure(StoreLatch& latch, std::string_view call, std::string_view name, int error) {
  latch.close(std::string(call) + " of " + std::string(name) +
              " failed: " + std::generic_category().message(error));
  return latch.check().error();
}

}  // namespace stele::fs
