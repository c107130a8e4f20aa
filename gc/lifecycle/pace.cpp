#include "gc/lifecycle/pace.hpp"

#include <algorithm>

namespace stele::gc {
namespace {

using std::chrono::steady_clock;

// A step is one write, or two when versions had to be read in between.
constexpr std::uint64_t own_writes = 2;
constexpr std::chrono::seconds remembered{1};
constexpr std::chrono::seconds longest_rest{1};

}  // namespace

Pace::Pace(const sql::Writer& writer, std::size_t alone, std::size_t beside_others)
    : writer_(writer),
      alone_(alone),
      beside_others_(std::min(alone, beside_others)),
      writes_(writer.statistics().writes) {}

std::size_t Pace::size() {
  const std::uint64_t writes = writer_.statistics().writes;
  const auto now = steady_clock::now();
  if (writes - writes_ > own_writes) until_ = now + remembered;
  writes_ = writes;
  beside_ = now < until_;
  return beside_ ? beside_others_ : alone_;
}

steady_clock::duration Pace::rest(steady_clock::duration worked) const {
  return std::min<steady_clock::duration>(beside_ ? 2 * worked : worked, longest_rest);
}

}  // namespace stele::gc
