#include "api/admin/in_use_body.hpp"

#include <nlohmann/json.hpp>

#include "base/printable.hpp"

namespace stele::api {
namespace {

Error invalid_report(std::string message) {
  return Error(Errc::parameter_invalid, std::move(message));
}

// One object with three members, the list's items being texts: whatever event does not fit ends it.
class BodyReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit BodyReader(std::size_t most) : most_(most) {}

  InUseBody body;
  bool has_images = false;
  std::string problem;

  bool start_object(std::size_t) override {
    if (opened_) return wrong_value();
    return opened_ = true;
  }
  bool end_object() override { return true; }
  bool key(std::string& name) override {
    member_ = name;
    for (const std::string& known : seen_) {
      if (known == name) return fail("the request's body has the member " + in_quotes(name) + " twice");
    }
    if (name != "images" && name != "lease" && name != "allow_empty") {
      return fail("the request's body has a member " + in_quotes(name) +
                  " that is not known here; known are images, lease, allow_empty");
    }
    seen_.push_back(name);
    return true;
  }
  bool start_array(std::size_t) override {
    if (!opened_ || in_list_ || member_ != "images") return wrong_value();
    has_images = true;
    return in_list_ = true;
  }
  bool end_array() override {
    in_list_ = false;
    member_.clear();
    return true;
  }
  bool string(std::string& text) override {
    if (in_list_) {
      if (body.images.size() == most_)
        return fail("a report may name at most " + std::to_string(most_) +
                    " images; report parts of the cluster under names of their own");
      body.images.push_back(std::move(text));
      return true;
    }
    if (!opened_ || member_ != "lease") return wrong_value();
    body.lease = std::move(text);
    return true;
  }
  bool boolean(bool value) override {
    if (!opened_ || in_list_ || member_ != "allow_empty") return wrong_value();
    body.allow_empty = value;
    return true;
  }
  bool null() override { return wrong_value(); }
  bool number_integer(std::int64_t) override { return wrong_value(); }
  bool number_unsigned(std::uint64_t) override { return wrong_value(); }
  bool number_float(double, const std::string&) override { return wrong_value(); }
  bool binary(nlohmann::json::binary_t&) override { return wrong_value(); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return fail("the request's body is not valid JSON (near byte " + std::to_string(position) + ")");
  }

 private:
  bool fail(std::string message) {
    if (problem.empty()) problem = std::move(message);
    return false;
  }
  bool wrong_value() {
    return fail(
        "the request's body must be an object with images, a list of texts, perhaps lease, a text as in "
        "\"24h\", and perhaps allow_empty, true or false");
  }

  const std::size_t most_;
  bool opened_ = false;
  bool in_list_ = false;
  std::string member_;
  std::vector<std::string> seen_;
};

}  // namespace

Result<InUseBody> parse_in_use_body(std::string_view text, std::size_t most) {
  BodyReader reader(most);
  const bool whole = nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  if (!whole) return invalid_report(reader.problem);
  if (!reader.has_images) return invalid_report("images is missing: the list of what the cluster runs");
  return std::move(reader.body);
}

}  // namespace stele::api
