// stele_ceiling: the least that a machine must do for what a bar asks, without a registry around it. Where
// even this does not reach a bar, the bar is beyond the machine (docs/benchmarks.md). Prints one line of
// JSON.

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <atomic>
#include <barrier>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/hasher.hpp"
#include "base/unique_fd.hpp"
#include "bench/load/latencies.hpp"

namespace stele::load {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

struct Options {
  std::string directory;
  std::uint64_t bytes = 0;
  unsigned clients = 1;
  double seconds = 3;
};

struct Connected {
  UniqueFd client;
  UniqueFd server;
};

// Over loopback, as a registry's clients are.
std::vector<Connected> connect(unsigned count) {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener.get(), generic, length) != 0 || ::listen(listener.get(), 128) != 0 ||
      ::getsockname(listener.get(), generic, &length) != 0)
    fail("listen");
  std::vector<Connected> all(count);
  for (Connected& pair : all) {
    pair.client.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(pair.client.get(), generic, length) != 0) fail("connect");
    pair.server.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const int on = 1;
    for (const int fd : {pair.client.get(), pair.server.get()})
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  return all;
}

void send_all(int fd, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t sent = ::send(fd, data, size, MSG_NOSIGNAL);
    if (sent <= 0) fail("send");
    data += sent;
    size -= static_cast<std::size_t>(sent);
  }
}

void receive_all(int fd, char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t got = ::recv(fd, data, size, MSG_WAITALL);
    if (got <= 0) fail("receive");
    data += got;
    size -= static_cast<std::size_t>(got);
  }
}

void write_all(int fd, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t written = ::write(fd, data, size);
    if (written <= 0) fail("write");
    data += written;
    size -= static_cast<std::size_t>(written);
  }
}

UniqueFd create(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) fail("create " + path);
  return file;
}

UniqueFd open_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) fail("make " + path);
  UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) fail("open " + path);
  return directory;
}

// One body off a socket, hashed on one thread while another writes it; synced, named, its directory synced.
std::string ingest(const Options& options) {
  constexpr std::size_t piece = 1024 * 1024;
  constexpr std::uint64_t writeback = 8 * piece;
  const auto pairs = connect(1);
  const UniqueFd directory = open_directory(options.directory);
  std::vector<char> source(piece, 'x');
  std::array<std::vector<char>, 2> buffers{std::vector<char>(piece), std::vector<char>(piece)};
  std::barrier turn(2);
  std::size_t size = 0;
  const char* data = nullptr;
  Hasher hasher(DigestAlgorithm::sha256);
  const auto started = SteadyClock::now();
  std::thread sender([&] {
    for (std::uint64_t left = options.bytes; left > 0;) {
      const std::size_t now = std::min<std::uint64_t>(left, piece);
      send_all(pairs[0].client.get(), source.data(), now);
      left -= now;
    }
  });
  std::thread hashing([&] {
    for (;;) {
      turn.arrive_and_wait();
      if (size == 0) return;
      hasher.update(as_bytes(std::string_view(data, size)));
      turn.arrive_and_wait();
    }
  });
  const std::string temporary = options.directory + "/body.part";
  {
    const UniqueFd file = create(temporary);
    std::uint64_t written = 0;
    for (unsigned which = 0; written < options.bytes; which ^= 1) {
      const std::size_t now = std::min<std::uint64_t>(options.bytes - written, piece);
      receive_all(pairs[0].server.get(), buffers[which].data(), now);
      if (size > 0) turn.arrive_and_wait();  // the piece before is hashed
      data = buffers[which].data();
      size = now;
      turn.arrive_and_wait();
      write_all(file.get(), data, now);
      written += now;
      if (written % writeback == 0)
        ::sync_file_range(file.get(), static_cast<off_t>(written - writeback), static_cast<off_t>(writeback),
                          SYNC_FILE_RANGE_WRITE);
    }
    turn.arrive_and_wait();
    size = 0;
    turn.arrive_and_wait();
    if (::fdatasync(file.get()) != 0) fail("fdatasync");
  }
  const std::string name = options.directory + "/" + std::to_string(::getpid());
  if (::rename(temporary.c_str(), name.c_str()) != 0 || ::fsync(directory.get()) != 0) fail("rename");
  Latencies latencies;
  latencies.add(SteadyClock::now() - started);
  sender.join();
  hashing.join();
  const double seconds = std::chrono::duration<double>(SteadyClock::now() - started).count();
  return report(seconds, options.bytes, latencies);
}

// Clients that send a small body and wait for one byte, over and over.
std::string with_clients(const Options& options, std::vector<Connected>& pairs) {
  std::vector<Latencies> latencies(options.clients);
  std::vector<std::thread> threads;
  const auto started = SteadyClock::now();
  const auto until = started + std::chrono::duration_cast<SteadyClock::duration>(
                                   std::chrono::duration<double>(options.seconds));
  for (unsigned i = 0; i < options.clients; ++i) {
    threads.emplace_back([&, i] {
      const std::vector<char> body(options.bytes, 'x');
      char answer = 0;
      for (auto before = SteadyClock::now(); before < until; before = SteadyClock::now()) {
        send_all(pairs[i].client.get(), body.data(), body.size());
        receive_all(pairs[i].client.get(), &answer, 1);
        latencies[i].add(SteadyClock::now() - before);
      }
      pairs[i].client.reset();
    });
  }
  for (auto& thread : threads) thread.join();
  Latencies all;
  for (const auto& each : latencies) all.merge(each);
  return report(std::chrono::duration<double>(SteadyClock::now() - started).count(),
                all.count() * options.bytes, all);
}

// Whatever has come is appended to one file and synced once, then all of it is answered: a manifest push.
std::string commit(const Options& options) {
  auto pairs = connect(options.clients);
  const UniqueFd directory = open_directory(options.directory);
  const UniqueFd log = create(options.directory + "/log");
  std::thread server([&] {
    std::vector<pollfd> polled;
    for (const Connected& pair : pairs) polled.push_back({pair.server.get(), POLLIN, 0});
    std::vector<char> batch, body(options.bytes);
    std::vector<int> waiting;
    for (std::size_t left = polled.size(); left > 0;) {
      ::poll(polled.data(), polled.size(), -1);
      batch.clear();
      waiting.clear();
      for (pollfd& one : polled) {
        if (one.fd < 0 || one.revents == 0) continue;
        const ssize_t got = ::recv(one.fd, body.data(), body.size(), MSG_WAITALL);
        if (got <= 0) {
          one.fd = -1;
          --left;
          continue;
        }
        (void)Digest::of(DigestAlgorithm::sha256, std::string_view(body.data(), body.size()));
        batch.insert(batch.end(), body.begin(), body.end());
        waiting.push_back(one.fd);
      }
      if (waiting.empty()) continue;
      write_all(log.get(), batch.data(), batch.size());
      if (::fdatasync(log.get()) != 0) fail("fdatasync");
      for (const int fd : waiting) send_all(fd, "1", 1);
    }
  });
  std::string result = with_clients(options, pairs);
  server.join();
  return result;
}

// Each body becomes a file that is synced and named, its directory synced: a blob push, without a record.
std::string blobs(const Options& options) {
  constexpr unsigned workers = 4;
  auto pairs = connect(options.clients);
  const UniqueFd directory = open_directory(options.directory);
  std::vector<UniqueFd> shards;
  for (int i = 0; i < 256; ++i) shards.push_back(open_directory(options.directory + "/" + std::to_string(i)));
  std::atomic<unsigned> number{0};
  std::vector<std::thread> threads;
  for (unsigned worker = 0; worker < workers; ++worker) {
    threads.emplace_back([&, worker] {
      std::vector<pollfd> polled;
      for (std::size_t i = worker; i < pairs.size(); i += workers)
        polled.push_back({pairs[i].server.get(), POLLIN, 0});
      std::vector<char> body(options.bytes);
      for (std::size_t left = polled.size(); left > 0;) {
        ::poll(polled.data(), polled.size(), -1);
        for (pollfd& one : polled) {
          if (one.fd < 0 || one.revents == 0) continue;
          const ssize_t got = ::recv(one.fd, body.data(), body.size(), MSG_WAITALL);
          if (got <= 0) {
            one.fd = -1;
            --left;
            continue;
          }
          (void)Digest::of(DigestAlgorithm::sha256, std::string_view(body.data(), body.size()));
          const unsigned mine = number.fetch_add(1);
          const std::string name =
              options.directory + "/" + std::to_string(mine % 256) + "/" + std::to_string(mine);
          const std::string temporary = options.directory + "/part-" + std::to_string(mine);
          {
            const UniqueFd file = create(temporary);
            write_all(file.get(), body.data(), body.size());
            if (::fdatasync(file.get()) != 0) fail("fdatasync");
          }
          if (::rename(temporary.c_str(), name.c_str()) != 0 || ::fsync(shards[mine % 256].get()) != 0)
            fail("rename");
          send_all(one.fd, "1", 1);
        }
      }
    });
  }
  std::string result = with_clients(options, pairs);
  for (auto& thread : threads) thread.join();
  return result;
}

}  // namespace
}  // namespace stele::load

int main(int argc, char** argv) {
  using namespace stele::load;
  CLI::App app("What this machine can do at most");
  app.require_subcommand(1);
  Options options;
  const auto job = [&](const char* name, const char* what) {
    CLI::App* command = app.add_subcommand(name, what);
    command->add_option("--directory", options.directory, "new, on the disk that is measured")->required();
    command->add_option("--bytes", options.bytes, "size of each body")->required();
    command->add_option("--clients", options.clients);
    command->add_option("--seconds", options.seconds);
    return command;
  };
  const CLI::App* ingesting = job("ingest", "one body, hashed, written and synced");
  const CLI::App* committing = job("commit", "small bodies into one log, a sync for each batch");
  job("blobs", "small bodies, a synced file each");
  CLI11_PARSE(app, argc, argv);
  try {
    std::cout << (ingesting->parsed()    ? ingest(options)
                  : committing->parsed() ? commit(options)
                                         : blobs(options))
              << '\n';
  } catch (const std::exception& failure) {
    std::cerr << "stele_ceiling: " << failure.what() << '\n';
    return 1;
  }
  return 0;
}
