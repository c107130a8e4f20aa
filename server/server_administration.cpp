#include "server/server_administration.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "gc/sweep.hpp"

namespace stele {

Task<Result<http::FileSlice>> ServerAdministration::copy_catalog() {
  auto pending = copies_.start([this]() -> Result<http::FileSlice> {
    const auto path = context_.backups.copy_for_download();
    if (!path) return path.error();
    struct Copy {
      UniqueFd fd;
    };
    auto copy = std::make_shared<Copy>();
    copy->fd.reset(::open(path->c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info{};
    if (!copy->fd || ::fstat(copy->fd.get(), &info) != 0)
      return Error(Errc::io, "the copy of the catalog cannot be read");
    ::unlink(path->c_str());  // the open descriptor is all that is needed of it
    const int fd = copy->fd.get();
    return http::FileSlice{std::move(copy), fd, 0, static_cast<std::uint64_t>(info.st_size)};
  });
  co_return co_await pending;
}

Task<Result<gc::SweepReport>> ServerAdministration::sweep(gc::SweepLimits limits) {
  limits.older_catalog = context_.restored_catalog.found();
  auto report = co_await gc::sweep(context_.registry, context_.uploads, limits);
  if (report && limits.older_catalog && limits.remove_many) {
    auto confirming = context_.registry.db.start([this] { return context_.restored_catalog.confirm(); });
    const Result<void> confirmed = co_await confirming;
    if (!confirmed) co_return confirmed.error();
  }
  co_return report;
}

Result<UniqueFd> ServerAdministration::scratch_file() {
  UniqueFd file(::open(context_.directory.path().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file) return file;
  const bool full = errno == ENOSPC || errno == EDQUOT;
  return Error(full ? Errc::no_space : Errc::io,
               "no file can be made in the data directory" +
                   std::string(full ? ": it is full; make room and try again" : ""));
}

}  // namespace stele
