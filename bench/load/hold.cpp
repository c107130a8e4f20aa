#include "bench/load/hold.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <stdexcept>
#include <thread>
#include <vector>

#include "bench/load/latencies.hpp"

namespace stele::load {
namespace {

// What each transfer may move per tick: slow enough that none of them ends.
constexpr std::size_t download_step = 256 * 1024;
constexpr std::size_t upload_step = 128 * 1024;
constexpr auto tick = std::chrono::milliseconds(20);

void send_text(const Client& client, const std::string& text) {
  if (::send(client.fd(), text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size())) {
    throw std::runtime_error("the request could not be sent");
  }
}

void begin(Client& client, const HoldOptions& options) {
  const std::string host = " HTTP/1.1\r\nHost: " + options.target.str() + "\r\n";
  if (!options.path.empty()) return send_text(client, "GET " + options.path + host + "\r\n");
  const Answer begun = client.exchange("POST /v2/" + options.repository + "/blobs/uploads/" + host +
                                       "Content-Length: 0\r\n\r\n");
  if (begun.status != 202)
    throw std::runtime_error("POST of an upload was answered " + std::to_string(begun.status));
  send_text(client, "PUT " + begun.location + (begun.location.find('?') == std::string::npos ? "?" : "&") +
                        "digest=sha256:" + std::string(64, '0') + host +
                        "Content-Length: " + std::to_string(options.bytes) + "\r\n\r\n");
}

}  // namespace

std::string hold(const HoldOptions& options) {
  const bool down = !options.path.empty();
  std::vector<Client> clients;
  for (unsigned i = 0; i < options.transfers; ++i) begin(clients.emplace_back(options.target), options);

  std::vector<char> buffer(std::max(download_step, upload_step), 'x');
  std::vector<std::uint64_t> moved(options.transfers);
  std::vector<bool> ended(options.transfers);
  const auto started = SteadyClock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(SteadyClock::now() - started).count(); };
  while (seconds() < options.seconds) {
    for (unsigned i = 0; i < options.transfers; ++i) {
      if (ended[i]) continue;
      const ssize_t step =
          down ? ::recv(clients[i].fd(), buffer.data(), download_step, MSG_DONTWAIT | MSG_TRUNC)
               : ::send(clients[i].fd(), buffer.data(), upload_step, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (step > 0) moved[i] += static_cast<std::uint64_t>(step);
      ended[i] = step == 0 || (step < 0 && errno != EAGAIN) || moved[i] >= options.bytes;
    }
    std::this_thread::sleep_for(tick);
  }
  std::uint64_t bytes = 0;
  unsigned in_flight = 0;
  for (unsigned i = 0; i < options.transfers; ++i) {
    bytes += moved[i];
    if (!ended[i] && moved[i] > 0) ++in_flight;
  }
  return report(seconds(), bytes, Latencies(), "\"in_flight\": " + std::to_string(in_flight));
}

}  // namespace stele::load
