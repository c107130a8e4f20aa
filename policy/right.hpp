#pragma once
// What somebody may do.

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace stele::policy {

enum class Right : std::uint8_t {
  pull,
  push,
  remove,
  promote,
  rollback,
  release_tag,
  hold,
  release_hold,
  approve,
  bypass_governance,
  report_in_use,
  lifecycle,
  admin,
  audit,
  upkeep,
};
inline constexpr int right_count = static_cast<int>(Right::upkeep) + 1;

// As access rules name it: "delete" for remove. upkeep (copying the catalog, sweeping) is for the local
// socket alone: no rule can give it.
std::string_view to_string(Right);
std::optional<Right> parse_right(std::string_view name);

// A right that no route asks over one repository, only over the whole server: a rule that gives it for some
// repositories gives nothing.
bool is_of_the_server(Right);

// A set of them.
class Rights {
 public:
  constexpr Rights() = default;
  constexpr Rights(std::initializer_list<Right> rights) {
    for (const Right right : rights) add(right);
  }
  constexpr void add(Right right) { bits_ |= bit(right); }
  constexpr bool has(Right right) const { return (bits_ & bit(right)) != 0; }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr bool within(Rights wider) const { return (bits_ & ~wider.bits_) == 0; }
  constexpr Rights and_also(Rights other) const { return Rights(bits_ & other.bits_); }
  friend constexpr bool operator==(Rights, Rights) = default;

 private:
  constexpr explicit Rights(std::uint32_t bits) : bits_(bits) {}
  static constexpr std::uint32_t bit(Right right) { return std::uint32_t{1} << static_cast<unsigned>(right); }
  std::uint32_t bits_ = 0;
};

// "pull, push", in the order above.
std::string to_string(Rights);

}  // namespace stele::policy
