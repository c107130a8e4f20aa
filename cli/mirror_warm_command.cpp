#include "cli/mirror_warm_command.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <iostream>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "cli/quantities.hpp"
#include "cli/server_link.hpp"

namespace stele {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* usual_platform = "linux/amd64";
constexpr std::size_t most_at_once = 32;

struct WarmOptions {
  ServerLink link;
  std::string list;
  std::vector<std::string> platforms;
  bool all_platforms = false;
  bool referrers = false;
  std::size_t concurrency = 4;
};

// One line of the list and what became of it.
struct Image {
  std::string text;  // as it stands in the list
  std::string repository, reference;
  Json answer = nullptr;
  std::string problem;
  std::string retry;  // what to add about when
};

// "a/b:tag", "a/b@sha256:…", "a/b:tag@sha256:…" (the digest counts), "a/b" (latest). A colon before the last
// slash is a port's.
Image image_of(const std::string& text) {
  Image image;
  image.text = text;
  std::string name = text;
  if (const std::size_t at = name.find('@'); at != std::string::npos) {
    image.reference = name.substr(at + 1);
    name.resize(at);
  }
  const std::size_t colon = name.rfind(':');
  if (colon != std::string::npos && name.find('/', colon) == std::string::npos) {
    if (image.reference.empty()) image.reference = name.substr(colon + 1);
    name.resize(colon);
  }
  if (image.reference.empty()) image.reference = "latest";
  image.repository = name;
  return image;
}

// One image reference per line; what stands behind # is comment.
std::vector<Image> read_list(std::istream& lines) {
  std::vector<Image> images;
  for (std::string line; std::getline(lines, line);) {
    line.resize(std::min(line.size(), line.find('#')));
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string::npos) continue;
    images.push_back(image_of(line.substr(first, line.find_last_not_of(" \t\r") - first + 1)));
  }
  return images;
}

std::string came_text(const Json& answer) {
  const Json& mirrored = answer["mirrored"];
  const auto blobs = mirrored.value("fetched_blobs", 0), manifests = mirrored.value("fetched_manifests", 0);
  if (blobs == 0 && manifests == 0) return "was here";
  return "fetched, " + std::to_string(blobs) + " blobs, " +
         size_text(mirrored.value("fetched_bytes", std::int64_t{0}));
}

// Several images at once, each by one request that is answered when it is there.
class Warming {
 public:
  Warming(const WarmOptions& options, http::ClientTarget target, std::vector<Image> images)
      : options_(options),
        target_(std::move(target)),
        images_(std::move(images)),
        bar_(!options.link.json && ::isatty(STDOUT_FILENO) != 0) {}

  // How many did not come.
  std::size_t run() {
    std::vector<std::thread> workers;
    const std::size_t count = std::min(options_.concurrency, images_.size());
    for (std::size_t i = 0; i < count; ++i) workers.emplace_back([this] { work(); });
    if (bar_) watch();
    for (std::thread& worker : workers) worker.join();
    if (bar_) std::cout << "\r\033[K" << std::flush;
    return failed_;
  }

  const std::vector<Image>& images() const { return images_; }

 private:
  void work() {
    for (;;) {
      const std::size_t mine = next_.fetch_add(1);
      if (mine >= images_.size()) return;
      Image& image = images_[mine];
      fetch(image);
      const std::lock_guard lock(mutex_);
      ++done_;
      if (!image.problem.empty()) ++failed_;
      if (!options_.link.json) {
        if (bar_) std::cout << "\r\033[K";
        std::cout << shown(image.text) << ": "
                  << (image.problem.empty() ? came_text(image.answer) : "failed, " + image.problem) << '\n'
                  << std::flush;
      }
      changed_.notify_all();
    }
  }

  void fetch(Image& image) const {
    Json body{{"repository", image.repository}, {"reference", image.reference}};
    if (!options_.all_platforms) {
      body["platforms"] = options_.platforms;
      if (options_.platforms.empty()) body["platforms"].push_back(usual_platform);
    }
    if (options_.referrers) body["referrers"] = "fetch";
    // What a list may hold is not yet known to be UTF-8.
    const std::string text = body.dump(-1, ' ', false, Json::error_handler_t::replace);
    const auto answer = http::request(target_, "POST", "/api/v1/mirrors/fetches", text);
    if (!answer) {
      image.problem = shown(answer.error().message());
    } else if (answer->status != 200) {
      image.problem = shown(message_of(*answer));
      image.retry = retry_of(answer->body);
    } else {
      image.answer = Json::parse(answer->body, nullptr, false);
      if (!image.answer.is_object() || !image.answer.contains("mirrored"))
        image.problem = "what answers there is no Stele server that mirrors";
    }
  }

  static std::string retry_of(const std::string& body) {
    const auto json = Json::parse(body, nullptr, false);
    if (!json.is_object() || !json.contains("errors") || !json["errors"].is_array() || json["errors"].empty())
      return {};
    const Json detail = json["errors"][0].value("detail", Json());
    return detail.is_object() ? text_of(detail, "retry_after") : std::string();
  }

  // Draws until all are done.
  void watch() {
    std::unique_lock lock(mutex_);
    while (done_ < images_.size()) {
      lock.unlock();
      const std::string arriving = arriving_text();
      lock.lock();
      if (done_ >= images_.size()) return;
      std::cout << "\r\033[K" << (bar() + arriving).substr(0, columns()) << std::flush;
      changed_.wait_for(lock, std::chrono::milliseconds(500));
    }
  }

  // Of a line that stays one: what wraps is not taken back by the next one.
  static std::size_t columns() {
    winsize size{};
    const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    return known ? size.ws_col - 1U : 79U;
  }

  // "[#####-----] 5 of 10".
  std::string bar() const {
    constexpr std::size_t width = 30;
    const std::size_t full = done_ * width / images_.size();
    return "[" + std::string(full, '#') + std::string(width - full, '-') + "] " + std::to_string(done_) +
           " of " + std::to_string(images_.size()) +
           (failed_ > 0 ? ", " + std::to_string(failed_) + " failed" : "");
  }

  std::string arriving_text() const {
    const auto answer = http::request(target_, "GET", "/api/v1/mirrors");
    if (!answer || answer->status != 200) return {};
    const auto json = Json::parse(answer->body, nullptr, false);
    if (!json.is_object() || !json.contains("mirrors")) return {};
    std::int64_t arrived = 0, all = 0, blobs = 0;
    for (const Json& mirror : json["mirrors"]) {
      for (const Json& fetch : mirror["fetches"]) {
        ++blobs;
        arrived += fetch.value("arrived_bytes", std::int64_t{0});
        if (fetch["bytes"].is_number()) all += fetch["bytes"].get<std::int64_t>();
      }
    }
    if (blobs == 0) return {};
    return ", arriving: " + size_text(arrived) + " of " + size_text(all) + " in " + std::to_string(blobs) +
           " blobs";
  }

  const WarmOptions& options_;
  const http::ClientTarget target_;
  std::vector<Image> images_;
  const bool bar_;  // drawn below the lines
  std::atomic<std::size_t> next_{0};
  std::mutex mutex_;  // done_, failed_ and the terminal
  std::condition_variable changed_;
  std::size_t done_ = 0;
  std::size_t failed_ = 0;
};

void print_json(const std::vector<Image>& images, std::size_t failed) {
  Json document{{"images", Json::array()}, {"failed", failed}};
  for (const Image& image : images) {
    Json entry{{"image", image.text},
               {"fetched", image.problem.empty()},
               {"answer", image.answer},
               {"problem", nullptr}};
    if (!image.problem.empty()) entry["problem"] = image.problem;
    document["images"].push_back(std::move(entry));
  }
  std::cout << document.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

void print_outcome(const std::vector<Image>& images, std::size_t failed) {
  std::vector<std::vector<std::string>> rows;
  for (const Image& image : images) {
    if (!image.problem.empty())
      rows.push_back({shown(image.text), image.retry.empty() ? "-" : image.retry + " s", image.problem});
    if (!image.answer.is_object() || !image.problem.empty()) continue;
    for (const Json& warning : image.answer["mirrored"].value("warnings", Json::array()))
      std::cerr << "stele: warning: " << shown(image.text) << ": " << shown(warning.get<std::string>())
                << '\n';
  }
  if (failed == 0) {
    std::cout << images.size() << " images are here\n";
    return;
  }
  std::cout << images.size() - failed << " of " << images.size()
            << " images are here. What failed, which the same command tries again:\n";
  print_table({"IMAGE", "ASK AGAIN IN", "WHY"}, rows);
}

void warm(const WarmOptions& options, int& exit_status) {
  auto target = options.link.target();
  if (!target) {
    exit_status = wrong_usage(target.error().message());
    return;
  }
  std::vector<Image> images;
  if (options.list == "-") {
    images = read_list(std::cin);
  } else {
    std::ifstream file(options.list);
    images = read_list(file);
    if (!file.eof()) {
      exit_status = wrong_usage("the list " + options.list + " cannot be read");
      return;
    }
  }
  if (images.empty()) {
    exit_status =
        wrong_usage("the list has no image; write one reference a line, as in docker.io/library/python:3.14");
    return;
  }
  Warming warming(options, std::move(*target), std::move(images));
  const std::size_t failed = warming.run();
  if (options.link.json) {
    print_json(warming.images(), failed);
  } else {
    print_outcome(warming.images(), failed);
  }
  if (failed > 0) exit_status = exit_failed;
}

}  // namespace

void add_mirror_warm(CLI::App& mirror, int& exit_status) {
  CLI::App* const command = mirror.add_subcommand(
      "warm", "Have images fetched before anybody asks for them; what is here is not fetched again");
  const auto options = std::make_shared<WarmOptions>();
  command
      ->add_option("list", options->list,
                   "One image reference a line, # begins a comment; - is the standard input")
      ->type_name("FILE")
      ->required();
  CLI::Option* const platform =
      command
          ->add_option("--platform", options->platforms,
                       "Of an image for several platforms; may be repeated. Without: linux/amd64")
          ->type_name("OS/ARCH[/VARIANT]");
  command->add_flag("--all-platforms", options->all_platforms, "Everything that an index lists")
      ->excludes(platform);
  command->add_flag("--referrers", options->referrers, "Signatures and SBOMs too");
  command->add_option("--concurrency", options->concurrency, "Images at once")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1}, most_at_once));
  options->link.add_options(*command);
  command->callback([options, &exit_status] { warm(*options, exit_status); });
}

}  // namespace stele
