#include "registry/pull_table.hpp"

#include <algorithm>
#include <stdexcept>

namespace stele {
namespace {

constexpr std::uint64_t dirty_bit = 1;
constexpr unsigned tick_shift = 1;
constexpr unsigned id_shift = 24;
constexpr std::uint64_t most_ticks =
    (std::uint64_t{1} << (id_shift - tick_shift)) - 1;  // until the year 2129
constexpr std::uint64_t highest_id = (std::uint64_t{1} << (64 - id_shift)) - 1;
constexpr std::size_t near_probes = 8;

constexpr std::uint64_t id_of(std::uint64_t word) {
  return word >> id_shift;
}
constexpr std::uint64_t ticks_of(std::uint64_t word) {
  return (word >> tick_shift) & most_ticks;
}
constexpr bool is_dirty(std::uint64_t word) {
  return (word & dirty_bit) != 0;
}

// Rounded up.
std::uint64_t ticks_at(Timestamp time) {
  if (time.microseconds <= 0) return 0;
  return (static_cast<std::uint64_t>(time.microseconds) + PullTable::tick_microseconds - 1) /
         PullTable::tick_microseconds;
}

Timestamp time_of(std::uint64_t word) {
  return {static_cast<std::int64_t>(ticks_of(word)) * PullTable::tick_microseconds};
}

}  // namespace

catalog::ManifestId PullTable::Dirty::manifest() const {
  return catalog::ManifestId(static_cast<std::int64_t>(id_of(word)));
}

Timestamp PullTable::Dirty::pulled_at() const {
  return time_of(word);
}

PullTable::PullTable(Word* words, std::size_t count, Timestamp now)
    : words_(words),
      mask_(count - 1),
      marked_(std::make_unique<std::atomic<std::uint8_t>[]>(count / block_words)) {
  if (count < block_words || (count & mask_) != 0)
    throw std::invalid_argument("a table of pulls has a power of two of words");
  std::uint64_t reusable = ticks_at(now);
  for (std::size_t at = 0; at < count; ++at) {
    const std::uint64_t word = words_[at].load(std::memory_order_relaxed);
    if (!is_dirty(word)) continue;
    mark(at);
    reusable = std::min(reusable, ticks_of(word));
  }
  reusable_ticks_ = reusable;
}

// Ids are given one after the other, so at first each manifest has the word of its own number, and those that
// were pushed together, and are pulled together, lie together. When the numbers have gone round the table,
// whole neighbourhoods are taken: the later probes are all over it.
std::size_t PullTable::place(std::uint64_t id, std::size_t probe) const noexcept {
  if (probe < near_probes) return (id + probe) & mask_;
  // Each by itself: a walk in equal steps would at times stay inside such a neighbourhood.
  std::uint64_t mixed = (id ^ probe << 48) * 0x9e3779b97f4a7c15;
  mixed = (mixed ^ mixed >> 32) * 0xd6e8feb86659fd93;
  return (mixed ^ mixed >> 32) & mask_;
}

// After the word was written: collect() takes the mark away before it reads, so one of the two sees the
// other.
void PullTable::mark(std::size_t at) noexcept {
  auto& marked = marked_[at / block_words];
  if (marked.load() == 0) marked.store(1);
}

bool PullTable::record(catalog::ManifestId manifest, Timestamp now) noexcept {
  const auto id = static_cast<std::uint64_t>(manifest);
  const std::uint64_t ticks = ticks_at(now);
  if (id == 0 || id > highest_id || ticks > most_ticks) return false;
  const std::uint64_t wanted = id << id_shift | ticks << tick_shift | dirty_bit;
  for (;;) {  // again only when another thread was faster
    std::size_t room = 0;
    std::uint64_t found = 0;
    bool has_room = false;
    for (std::size_t probe = 0; probe < most_probes; ++probe) {
      const std::size_t at = place(id, probe);
      const std::uint64_t word = words_[at].load(std::memory_order_relaxed);
      const bool own = id_of(word) == id;
      if (own && ticks_of(word) >= ticks) return true;
      const bool takes =
          own || word == 0 ||
          (!has_room && !is_dirty(word) && ticks_of(word) < reusable_ticks_.load(std::memory_order_relaxed));
      if (takes && (own || !has_room)) {
        room = at;
        found = word;
        has_room = true;
      }
      if (own || word == 0) break;
    }
    if (!has_room) return false;
    if (words_[room].compare_exchange_strong(found, wanted)) {
      mark(room);
      return true;
    }
  }
}

std::optional<Timestamp> PullTable::find(catalog::ManifestId manifest) const noexcept {
  const auto id = static_cast<std::uint64_t>(manifest);
  std::optional<Timestamp> latest;
  // To the end: two threads that were the first at once may have taken two words.
  for (std::size_t probe = 0; probe < most_probes; ++probe) {
    const std::uint64_t word = words_[place(id, probe)].load(std::memory_order_acquire);
    if (word == 0) break;
    if (id_of(word) == id) latest = std::max(latest, std::optional(time_of(word)));
  }
  return latest;
}

std::vector<PullTable::Dirty> PullTable::collect(std::size_t limit) {
  std::vector<Dirty> found;
  const std::size_t blocks = (mask_ + 1) / block_words;
  for (std::size_t n = 0; n < blocks; ++n) {
    const std::size_t block = next_block_;
    auto& marked = marked_[block];
    if (marked.load() != 0) {
      marked.store(0);
      for (std::size_t at = block * block_words; at < (block + 1) * block_words; ++at) {
        const std::uint64_t word = words_[at].load();
        if (!is_dirty(word)) continue;
        if (found.size() == limit) {
          marked.store(1);
          return found;
        }
        found.push_back({at, word});
      }
    }
    next_block_ = (block + 1) % blocks;
  }
  return found;
}

void PullTable::clean(const std::vector<Dirty>& dirty) noexcept {
  for (const Dirty& one : dirty) {
    std::uint64_t word = one.word;
    if (!words_[one.at].compare_exchange_strong(word, one.word & ~dirty_bit)) mark(one.at);
  }
}

void PullTable::put_back(const std::vector<Dirty>& dirty) noexcept {
  for (const Dirty& one : dirty) mark(one.at);
}

void PullTable::allow_reuse(Timestamp before) noexcept {
  reusable_ticks_ = ticks_at(before);
}

std::size_t PullTable::dirty() const noexcept {
  std::size_t count = 0;
  for (std::size_t block = 0; block * block_words <= mask_; ++block) {
    if (marked_[block].load() == 0) continue;
    for (std::size_t at = block * block_words; at < (block + 1) * block_words; ++at)
      count += is_dirty(words_[at].load(std::memory_order_relaxed));
  }
  return count;
}

}  // namespace stele
