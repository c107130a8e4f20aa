#pragma once
// Where the table of pulls lies: a file that is mapped into memory, so that whatever was stored is there
// after kill -9 without anybody having written it. A power cut may take it; then the file says that it was
// not closed.

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "registry/pull_table.hpp"
#include "storage/catalog/pulls.hpp"

namespace stele {

// The mapped file, or memory alone where a file cannot be had or cannot be relied on. Nothing is written back
// before close(), except by the kernel.
class PullFile {
 public:
  struct Place {
    std::string path;  // empty: memory alone
    std::size_t words;
    std::string boot_id;  // of the machine's present run; empty: not known, and no other run is this one
  };

  // Takes the file at `place` if it is whole and belongs to `expected`; begins a new one otherwise, the old
  // one set aside as `PATH.set-aside`, unless a start that was cut off left it before the catalog knew it.
  // What cannot be relied on counts as lost pulls (see below); it does not keep a server from starting.
  static PullFile open(const Place& place, const std::optional<catalog::PullRecord>& expected);

  PullFile(PullFile&&) noexcept;
  PullFile& operator=(PullFile&&) = delete;
  ~PullFile();  // as a crash would leave it

  PullTable::Word* words() const;
  std::string stamp() const;
  bool in_memory() const { return in_memory_; }
  // Why what was there is not relied on, or why there is no file: for the log. Empty: all is well.
  const std::string& remark() const { return remark_; }

  // How many transactions took from the table. The catalog counts them too, and may be one ahead.
  std::uint64_t flushes() const;
  void count_flush();

  // Pulls that were not recorded, whether the catalog knows of it already, and telling that it does.
  // Thread-safe.
  void lose_pull() noexcept;
  std::uint64_t lost() const noexcept;
  bool has_untold_loss() const noexcept;
  void told(std::uint64_t lost) noexcept;

  // For whoever has read all of it: its pages stay in the page cache, and are this process's memory again as
  // they are used.
  void let_pages_go() noexcept;

  // All that was recorded is in the catalog, or on the disk when this returns.
  void close() noexcept;

 private:
  PullFile() = default;
  bool map(int fd, std::size_t bytes);
  std::string take(const Place&, const std::optional<catalog::PullRecord>& expected);
  std::string create(const Place&);
  void begin(const Place&);

  std::byte* memory_ = nullptr;
  std::size_t bytes_ = 0;
  bool in_memory_ = false;
  bool never_used_ = false;  // what take() refused: no catalog ever took anything from it
  std::string remark_;
};

// /proc/sys/kernel/random/boot_id; empty when it cannot be read.
std::string present_boot_id();

}  // namespace stele
