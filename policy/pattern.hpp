#pragma once
// Patterns for repositories and tags, always a full match: globs (`*` inside a path segment, `**` across,
// a whole segment `**/` also for no folder, as in gitignore and doublestar; `?`, `{a,b}`), `/RE2/`, `@preset`
// (presets.hpp), and `!pattern` for exclusions. A list is "any of the positives and none of the negatives".

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace re2 {
class RE2;
}

namespace stele::policy {

// Immutable; thread-safe.
class PatternList {
 public:
  // parameter_invalid, naming the pattern and what is wrong with it. A list without positives matches
  // nothing.
  static Result<PatternList> compile(const std::vector<std::string>& patterns);
  // The same of patterns that whoever read them has compiled before: std::invalid_argument is a bug.
  static PatternList of_checked(const std::vector<std::string>& patterns);

  PatternList(PatternList&&) noexcept;
  PatternList& operator=(PatternList&&) noexcept;
  ~PatternList();

  bool matches(std::string_view text) const;

 private:
  PatternList();
  std::vector<std::unique_ptr<re2::RE2>> positives_;
  std::vector<std::unique_ptr<re2::RE2>> negatives_;
};

// The regular expression of a pattern without its `!`, to be matched in full; parameter_invalid for a preset
// that does not exist or unbalanced braces. Whether it compiles is not looked at.
Result<std::string> pattern_to_regex(std::string_view pattern);

// The same of a glob, or of a piece of one that does not begin a path segment.
Result<std::string> glob_to_regex(std::string_view glob, bool begins_segment = true);

}  // namespace stele::policy
