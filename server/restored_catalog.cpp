#include "server/restored_catalog.hpp"

#include <spdlog/spdlog.h>

#include <filesystem>
#include <fstream>

#include "gc/pause.hpp"
#include "storage/catalog/meta.hpp"

namespace stele {
namespace {

constexpr const char* key = "restored";
constexpr const char* reason =
    "this catalog is older than its data directory, a restored snapshot; `stele sweep --all` and `stele gc "
    "resume` once you are sure that nothing is missing";

Result<std::int64_t> newest_event(const RegistryContext& context) {
  return context.database.read(
      [](sql::Session& session) -> Result<std::int64_t> { return catalog::newest_event(session); });
}

Task<Result<void>> write_mark(const RegistryContext& context, bool restored) {
  auto pending = context.writer.write({key}, [&](sql::Tx& tx) -> Result<void> {
    if (restored) {
      catalog::put_meta(tx, key, to_string(context.clock.now()));
    } else {
      catalog::delete_meta(tx, key);
    }
    return {};
  });
  co_return co_await pending;
}

}  // namespace

std::int64_t RestoredCatalog::noted() const {
  std::ifstream file(path_);
  std::int64_t number = 0;
  return file >> number ? number : 0;
}

Result<void> RestoredCatalog::look() {
  const auto newest = newest_event(context_);
  if (!newest) return newest.error();
  if (*newest >= noted()) return note();
  spdlog::warn("{}. Until then neither the sweep nor the collector removes a blob", reason);
  if (auto marked = sync_wait(write_mark(context_, true)); !marked) return marked;
  const gc::Pause collection(context_, "collection");
  auto paused = sync_wait(collection.begin(reason, audit::Actor{}));
  // It may rest already.
  if (!paused && paused.error().code() != Errc::parameter_invalid) return paused;
  return note();
}

bool RestoredCatalog::found() const {
  const auto mark = context_.database.read([](sql::Session& session) -> Result<std::optional<std::string>> {
    return catalog::find_meta(session, key);
  });
  return !mark || mark->has_value();  // when in doubt, nothing goes
}

Result<void> RestoredCatalog::confirm() {
  return sync_wait(write_mark(context_, false));
}

Result<void> RestoredCatalog::note() const {
  const auto newest = newest_event(context_);
  if (!newest) return newest.error();
  const std::string unfinished = path_ + ".new";
  std::ofstream file(unfinished, std::ios::trunc);
  file << *newest << '\n';
  file.close();
  std::error_code failure;
  if (file) std::filesystem::rename(unfinished, path_, failure);
  if (!file || failure) return Error(Errc::io, path_ + " cannot be written");
  return {};
}

}  // namespace stele
