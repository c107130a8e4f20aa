#include "cli/kubectl_images.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/printable.hpp"

namespace stele {
namespace {

constexpr std::size_t most_levels = 200;  // pods have about ten

Error invalid(std::string message) {
  return Error(Errc::parameter_invalid, std::move(message));
}

std::string too_many(std::size_t most) {
  return "there are more than " + std::to_string(most) +
         " images; report parts of the cluster, its namespaces for example, under names of their own";
}

class ImageFinder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  ImageFinder(std::size_t most, std::set<std::string>& images) : most_(most), images_(images) {}

  std::string kind;     // of the outermost object
  std::string message;  // that it has, if it is an error
  std::string problem;

  bool start_object(std::size_t) override { return open(false); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(true); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    key_ = std::move(name);
    return true;
  }
  bool string(std::string& text) override {
    if (levels_.empty() || levels_.back().list) return true;
    if (levels_.size() == 1) {
      if (key_ == "kind") kind = text;
      if (key_ == "message") message = text;
    }
    if (text.empty() || !is_image()) return true;  // a container that waits has no imageID yet
    images_.insert(std::move(text));
    if (images_.size() > most_) return fail(too_many(most_));
    return true;
  }
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(std::int64_t) override { return true; }
  bool number_unsigned(std::uint64_t) override { return true; }
  bool number_float(double, const std::string&) override { return true; }
  bool binary(nlohmann::json::binary_t&) override { return true; }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return fail("it is not JSON, or is cut off, at byte " + std::to_string(position));
  }

 private:
  struct Level {
    std::string name;  // the member that it is; of an item: the list's
    bool list;
  };

  bool fail(std::string why) {
    if (problem.empty()) problem = std::move(why);
    return false;
  }
  bool open(bool list) {
    if (levels_.size() == most_levels) return fail("it is nested too deeply");
    if (levels_.empty() && list) return fail("its outermost value is a list");
    const bool item = !levels_.empty() && levels_.back().list;
    levels_.push_back({item ? levels_.back().name : key_, list});
    return true;
  }
  bool close() {
    levels_.pop_back();
    return true;
  }
  bool is_image() const {
    const std::string& of = levels_.back().name;
    if (key_ == "image") return of == "containers" || of == "initContainers" || of == "ephemeralContainers";
    if (key_ == "imageID") {
      return of == "containerStatuses" || of == "initContainerStatuses" || of == "ephemeralContainerStatuses";
    }
    return key_ == "reference" && of == "image" && levels_.size() > 1 &&
           levels_[levels_.size() - 2].name == "volumes";
  }

  const std::size_t most_;
  std::set<std::string>& images_;
  std::vector<Level> levels_;
  std::string key_;
};

}  // namespace

Result<void> read_kubectl_images(std::istream& in, std::size_t most, std::set<std::string>& images) {
  ImageFinder finder(most, images);
  if (!nlohmann::json::sax_parse(in, &finder)) {
    return invalid(finder.problem.empty() ? std::string("it is not JSON") : finder.problem);
  }
  if (finder.kind.empty())
    return invalid("it is no Kubernetes object: kind is missing; it must be what kubectl get -o json prints");
  if (finder.kind == "Status")
    return invalid("it is an error of the API server: " + printable(finder.message, 300));
  return {};
}

Result<void> read_image_list(std::istream& in, std::size_t most, std::set<std::string>& images) {
  constexpr std::string_view blank = " \t\r";
  for (std::string line; std::getline(in, line);) {
    const std::size_t begin = line.find_first_not_of(blank);
    if (begin == std::string::npos || line[begin] == '#') continue;
    images.insert(line.substr(begin, line.find_last_not_of(blank) - begin + 1));
    if (images.size() > most) return invalid(too_many(most));
  }
  if (in.bad()) return invalid("it cannot be read to its end");
  return {};
}

}  // namespace stele
