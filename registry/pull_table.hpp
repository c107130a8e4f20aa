#pragma once
// When manifests were pulled, in one word each: what I/O threads write without a lock, a system call or an
// allocation. Where the words lie is the caller's business (registry/pull_file.hpp).

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "storage/catalog/catalog.hpp"

namespace stele {

// A word is 0 (empty) or: id of the manifest (40 bits), tick of its last pull (23 bits), dirty (1 bit). A
// tick is ten minutes, so a manifest that is pulled all the time changes its word six times an hour and is
// read otherwise. Times are rounded up: what is recorded is never earlier than the pull.
//
// Open addressing with a bounded probe. A word that is dirty stays until clean() has seen it; one that is
// clean and old (see allow_reuse) makes room for another manifest. No word becomes empty again, so a search
// ends at the first empty one.
//
// record(), find() and dirty() from any thread; the rest from one thread at a time.
class PullTable {
 public:
  using Word = std::atomic<std::uint64_t>;
  static_assert(Word::is_always_lock_free && sizeof(Word) == sizeof(std::uint64_t));

  static constexpr std::int64_t tick_microseconds = std::int64_t{10} * 60 * 1'000'000;
  static constexpr std::size_t block_words = 512;  // one page
  static constexpr std::size_t most_probes = 64;

  // `count`: a power of two, at least block_words. The words are as an earlier table left them, or zero; they
  // outlive this. Clean ones with a tick before `now` may make room at once: nobody has read them yet.
  PullTable(Word* words, std::size_t count, Timestamp now);

  // False: there was no room (or the id, or the time, cannot be written down): the pull is not recorded.
  bool record(catalog::ManifestId, Timestamp now) noexcept;

  std::optional<Timestamp> find(catalog::ManifestId) const noexcept;

  struct Dirty {
    std::size_t at;
    std::uint64_t word;
    catalog::ManifestId manifest() const;
    Timestamp pulled_at() const;
  };
  // At most `limit` dirty words. They are handed out once: then clean() or put_back() them.
  std::vector<Dirty> collect(std::size_t limit);
  // Each that has not changed meanwhile.
  void clean(const std::vector<Dirty>&) noexcept;
  void put_back(const std::vector<Dirty>&) noexcept;

  // Clean words of pulls before this time may make room.
  void allow_reuse(Timestamp before) noexcept;

  std::size_t dirty() const noexcept;

 private:
  std::size_t place(std::uint64_t id, std::size_t probe) const noexcept;
  void mark(std::size_t at) noexcept;

  Word* const words_;
  const std::size_t mask_;
  // Which blocks may have dirty words, so that collect() does not read all.
  std::unique_ptr<std::atomic<std::uint8_t>[]> marked_;
  std::size_t next_block_ = 0;
  std::atomic<std::uint64_t> reusable_ticks_{0};  // clean words with a lower tick
};

}  // namespace stele
