#include "bench/load/push.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <exception>
#include <iostream>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/hasher.hpp"
#include "base/random.hpp"
#include "bench/load/latencies.hpp"

namespace stele::load {
namespace {

constexpr std::size_t unique_bytes = 64;
constexpr std::uint64_t small_body = 64 * 1024;  // up to here head and body go out in one call
constexpr std::string_view image_manifest = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view layer = "stele bench layer";

// Random bytes in memory that `sendfile` can send: all bodies share them in front of their unique ending, so
// that neither making nor hashing nor sending a body costs this program anything.
class SharedPart {
 public:
  explicit SharedPart(std::size_t size) : size_(size), fd_(::memfd_create("stele-load", MFD_CLOEXEC)) {
    if (!fd_ || ::ftruncate(fd_.get(), static_cast<off_t>(std::max<std::size_t>(size, 1))) != 0) {
      throw std::runtime_error("no memory for the bodies");
    }
    map_ = ::mmap(nullptr, std::max<std::size_t>(size, 1), PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
    if (map_ == MAP_FAILED) throw std::runtime_error("no memory for the bodies");
    std::mt19937_64 random(1);
    auto* const words = static_cast<std::uint64_t*>(map_);
    for (std::size_t i = 0; i < size / sizeof(std::uint64_t); ++i) words[i] = random();
    hasher_.update(as_bytes(text()));
  }
  ~SharedPart() { ::munmap(map_, std::max<std::size_t>(size_, 1)); }
  SharedPart(const SharedPart&) = delete;
  SharedPart& operator=(const SharedPart&) = delete;

  std::string_view text() const { return {static_cast<const char*>(map_), size_}; }
  FileBody file(std::string_view ending) const { return {fd_.get(), 0, size_, ending}; }
  // Over all of it; the ending goes into a copy.
  const Hasher& hasher() const { return hasher_; }

 private:
  std::size_t size_;
  UniqueFd fd_;
  void* map_ = nullptr;
  Hasher hasher_{DigestAlgorithm::sha256};
};

// Lets the host of a virtual machine put memory behind pages that nobody touched lately: writing 100 MB to a
// file costs ten times the CPU when each page of the cache is new to the host, and whoever writes next would
// pay.
void back_memory(std::size_t size) {
  constexpr std::size_t enough = std::size_t{4} << 30;
  size = std::min(size, enough);
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
  void* const map = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (map != MAP_FAILED) ::munmap(map, size);
}

struct Body {
  std::string own;  // all of it when it is small, else its ending
  std::string tag;  // of a manifest
  Digest digest;
};

struct Run {
  const PushOptions& options;
  const SharedPart& shared;
  const std::string run_id = random_hex(12);

  std::string host() const { return "\r\nHost: " + options.target.str() + "\r\n"; }
  bool is_shared() const { return !options.manifests && options.bytes > small_body; }
  Body make_body(unsigned client, std::uint64_t index) const;
};

std::string manifest_text(const std::string& unique, std::uint64_t size) {
  const Digest config = Digest::of(DigestAlgorithm::sha256, "{}");
  const Digest content = Digest::of(DigestAlgorithm::sha256, layer);
  std::string text =
      R"({"schemaVersion":2,"mediaType":")" + std::string(image_manifest) +
      R"(","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":")" + config.str() +
      R"(","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":")" +
      content.str() + R"(","size":)" + std::to_string(layer.size()) + R"(}],"annotations":{"unique":")" +
      unique;
  text.resize(std::max<std::size_t>(text.size(), size < 3 ? 0 : size - 3), '.');
  return text + R"("}})";
}

Body Run::make_body(unsigned client, std::uint64_t index) const {
  std::string unique = run_id + "-" + std::to_string(client) + "-" + std::to_string(index);
  if (options.manifests) {
    std::string text = manifest_text(unique, options.bytes);
    Digest digest = Digest::of(DigestAlgorithm::sha256, text);
    const std::string tag =
        options.tag_prefix + (options.numbered ? std::to_string(options.first + index) : unique);
    return {std::move(text), tag, std::move(digest)};
  }
  unique.resize(unique_bytes, '.');
  if (is_shared()) {
    Hasher hasher = shared.hasher();
    hasher.update(as_bytes(unique));
    return {std::move(unique), {}, hasher.finish()};
  }
  unique += shared.text();
  unique.resize(std::min<std::uint64_t>(unique.size(), options.bytes));
  Digest digest = Digest::of(DigestAlgorithm::sha256, unique);
  return {std::move(unique), {}, std::move(digest)};
}

void expect(const Answer& answer, int status, const char* what) {
  if (answer.status == status) return;
  throw std::runtime_error(std::string(what) + " was answered " + std::to_string(answer.status) +
                           " instead of " + std::to_string(status));
}

// One connection's pushes.
class Pusher {
 public:
  Pusher(const Run& run, unsigned number) : run_(run), client_(run.options.target) {
    const PushOptions& options = run.options;
    for (std::uint64_t i = number; i < options.count; i += options.clients) {
      bodies_.push_back(run.make_body(number, i));
    }
  }

  void push_all(SteadyClock::time_point until) {
    for (const Body& body : bodies_) {
      const auto started = SteadyClock::now();
      if (started >= until) break;
      if (run_.options.manifests) {
        push_manifest(body);
      } else {
        push_blob(body);
      }
      latencies_.add(SteadyClock::now() - started);
    }
  }

  // Every `step`-th of what was pushed. Returns how many were read back.
  std::uint64_t verify(std::uint64_t step) {
    std::uint64_t verified = 0;
    for (std::uint64_t i = 0; i < latencies_.count(); i += step, ++verified) {
      const Body& body = bodies_[i];
      const std::string kind =
          run_.options.manifests ? "/manifests/" + body.tag : "/blobs/" + body.digest.str();
      Hasher hasher(DigestAlgorithm::sha256);
      const Answer answer =
          client_.exchange("GET /v2/" + run_.options.repository + kind + " HTTP/1.1" + run_.host() +
                               "Accept: " + std::string(image_manifest) + "\r\n\r\n",
                           {}, [&](std::string_view piece) { hasher.update(as_bytes(piece)); });
      expect(answer, 200, "reading back");
      if (hasher.finish() != body.digest)
        throw std::runtime_error("what was read back is not what was pushed");
    }
    return verified;
  }

  const Latencies& latencies() const { return latencies_; }
  const std::vector<Body>& bodies() const { return bodies_; }

 private:
  void push_blob(const Body& body) {
    const Answer begun = client_.exchange("POST /v2/" + run_.options.repository + "/blobs/uploads/ HTTP/1.1" +
                                          run_.host() + "Content-Length: 0\r\n\r\n");
    expect(begun, 202, "POST of an upload");
    const FileBody file = run_.is_shared() ? run_.shared.file(body.own) : FileBody{};
    std::string request = "PUT " + begun.location +
                          (begun.location.find('?') == std::string::npos ? "?" : "&") +
                          "digest=" + body.digest.str() + " HTTP/1.1" + run_.host() +
                          "Content-Type: application/octet-stream\r\nContent-Length: " +
                          std::to_string(body.own.size() + file.length) + "\r\n\r\n";
    if (!run_.is_shared()) request += body.own;
    expect(client_.exchange(request, file), 201, "PUT of an upload");
  }

  void push_manifest(const Body& body) {
    std::string request = "PUT /v2/" + run_.options.repository + "/manifests/" + body.tag + " HTTP/1.1" +
                          run_.host() + "Content-Type: " + std::string(image_manifest) +
                          "\r\nContent-Length: " + std::to_string(body.own.size()) + "\r\n\r\n";
    request += body.own;
    expect(client_.exchange(request), 201, "PUT of a manifest");
  }

  const Run& run_;
  Client client_;
  std::vector<Body> bodies_;
  Latencies latencies_;
};

// What the manifests refer to.
void push_dependencies(const Run& run) {
  Client client(run.options.target);
  for (const std::string_view content : {std::string_view("{}"), layer}) {
    const Answer begun = client.exchange("POST /v2/" + run.options.repository + "/blobs/uploads/ HTTP/1.1" +
                                         run.host() + "Content-Length: 0\r\n\r\n");
    expect(begun, 202, "POST of an upload");
    const bool has_query = begun.location.find('?') != std::string::npos;
    std::string request = "PUT " + begun.location + (has_query ? "&" : "?") +
                          "digest=" + Digest::of(DigestAlgorithm::sha256, content).str() + " HTTP/1.1" +
                          run.host() + "Content-Length: " + std::to_string(content.size()) + "\r\n\r\n";
    request += content;
    expect(client.exchange(request), 201, "PUT of an upload");
  }
}

}  // namespace

std::string push(const PushOptions& options) {
  const SharedPart shared(options.manifests || options.bytes <= unique_bytes ? 0
                                                                             : options.bytes - unique_bytes);
  const Run run{options, shared};
  if (options.manifests) push_dependencies(run);

  SteadyClock::time_point started, ended, until;
  std::barrier ready(options.clients, [&]() noexcept {
    back_memory(options.count * std::max<std::uint64_t>(options.bytes, 8 * 1024));
    if (options.announce) std::cout << "started" << std::endl;
    started = SteadyClock::now();
    const auto limit = std::chrono::duration<double>(options.seconds > 0 ? options.seconds : 1e6);
    until = started + std::chrono::duration_cast<SteadyClock::duration>(limit);
  });
  std::barrier done(options.clients, [&]() noexcept { ended = SteadyClock::now(); });

  std::vector<std::exception_ptr> failures(options.clients);
  std::vector<std::unique_ptr<Pusher>> pushers(options.clients);
  std::vector<std::uint64_t> verified(options.clients);
  std::vector<std::thread> threads;
  const std::uint64_t step =
      options.verify == 0
          ? 1
          : std::max<std::uint64_t>(1, options.count / std::max<std::uint64_t>(1, options.verify));
  const auto attempt = [&failures](unsigned i, const auto& action) {
    try {
      if (!failures[i]) action();
    } catch (...) {
      failures[i] = std::current_exception();
    }
  };
  for (unsigned i = 0; i < options.clients; ++i) {
    threads.emplace_back([&, i] {
      attempt(i, [&] { pushers[i] = std::make_unique<Pusher>(run, i); });
      ready.arrive_and_wait();
      attempt(i, [&] { pushers[i]->push_all(until); });
      done.arrive_and_wait();
      attempt(i, [&] { verified[i] = pushers[i]->verify(step); });
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }

  Latencies all;
  std::uint64_t read_back = 0;
  for (unsigned i = 0; i < options.clients; ++i) {
    all.merge(pushers[i]->latencies());
    read_back += verified[i];
  }
  std::string more = "\"verified\": " + std::to_string(read_back);
  if (options.print_digests) {
    more += ", \"digests\": [";
    for (const auto& pusher : pushers) {
      for (const Body& body : pusher->bodies())
        more += (more.back() == '[' ? "\"" : ", \"") + body.digest.str() + '"';
    }
    more += "]";
    if (options.manifests) more += ", \"tag\": \"" + pushers[0]->bodies().at(0).tag + '"';
  }
  return report(std::chrono::duration<double>(ended - started).count(), all.count() * options.bytes, all,
                more);
}

}  // namespace stele::load
