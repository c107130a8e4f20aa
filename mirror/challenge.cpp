#include "mirror/challenge.hpp"

#include <cctype>

#include "http/message.hpp"

namespace stele::mirror {
namespace {

bool is_token(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  void skip(std::string_view characters) {
    while (!rest_.empty() && characters.find(rest_.front()) != std::string_view::npos) rest_.remove_prefix(1);
  }
  std::string token() {
    std::string text;
    while (!rest_.empty() && is_token(rest_.front())) take(text);
    return text;
  }
  // A token or a quoted string.
  std::string value() {
    if (!rest_.starts_with('"')) return token();
    rest_.remove_prefix(1);
    std::string text;
    while (!rest_.empty() && rest_.front() != '"') {
      if (rest_.front() == '\\' && rest_.size() > 1) rest_.remove_prefix(1);
      take(text);
    }
    if (!rest_.empty()) rest_.remove_prefix(1);
    return text;
  }
  bool accept(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool empty() const { return rest_.empty(); }
  void skip_one() { rest_.remove_prefix(1); }

 private:
  void take(std::string& into) {
    into += rest_.front();
    rest_.remove_prefix(1);
  }
  std::string_view rest_;
};

}  // namespace

std::optional<Challenge> parse_challenges(const std::vector<std::string_view>& fields) {
  std::optional<Challenge> bearer;
  std::optional<Challenge> basic;
  for (const std::string_view field : fields) {
    Reader reader(field);
    std::optional<Challenge>* current = nullptr;
    while (!reader.empty()) {
      reader.skip(" \t,");
      const std::string word = reader.token();
      reader.skip(" \t");
      if (word.empty()) {
        if (!reader.empty()) reader.skip_one();
      } else if (reader.accept('=')) {
        reader.skip(" \t");
        const std::string value = reader.value();
        if (!current || !*current) continue;
        if (http::equals_ignoring_case(word, "realm")) (*current)->realm = value;
        if (http::equals_ignoring_case(word, "service")) (*current)->service = value;
      } else if (http::equals_ignoring_case(word, "Bearer")) {
        current = &bearer;
        bearer.emplace();
      } else if (http::equals_ignoring_case(word, "Basic")) {
        current = &basic;
        basic.emplace().kind = Challenge::Kind::basic;
      } else {
        current = nullptr;  // another scheme and its parameters
      }
    }
  }
  return bearer ? bearer : basic;
}

}  // namespace stele::mirror
