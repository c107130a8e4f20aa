#pragma once
// A server on loopback that does to each connection what the test's script says, byte for byte.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/unique_fd.hpp"
#include "http/url.hpp"
#include "tests/support/catch.hpp"

namespace stele::http {

// The heads of the requests that came, in their order; from several threads.
class RequestLog {
 public:
  void add(std::string head) {
    const std::lock_guard lock(mutex_);
    heads_.push_back(std::move(head));
  }
  std::vector<std::string> all() const {
    const std::lock_guard lock(mutex_);
    return heads_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> heads_;
};

// One accepted connection, in the script's hands.
class ScriptedPeer {
 public:
  ScriptedPeer(int fd, RequestLog& log) : fd_(fd), log_(log) {}

  // One request's head; empty when the client has gone.
  std::string request() {
    std::string head;
    char c = 0;
    while (!head.ends_with("\r\n\r\n") && ::recv(fd_.get(), &c, 1, 0) == 1) head += c;
    if (!head.empty()) log_.add(head);
    return head;
  }
  // False when the client has gone.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  // Returns when the client has closed.
  void wait_for_end() {
    char c = 0;
    while (::recv(fd_.get(), &c, 1, 0) > 0) {
    }
  }
  void reset() {
    const linger none{1, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
    fd_.reset();
  }

 private:
  UniqueFd fd_;
  RequestLog& log_;
};

class ScriptedServer {
 public:
  using Script = std::function<void(ScriptedPeer&)>;

  explicit ScriptedServer(Script script) : script_(std::move(script)) {
    listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
    REQUIRE(::listen(listener_.get(), 16) == 0);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    accepting_ = std::thread([this] { accept_all(); });
  }
  ~ScriptedServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    accepting_.join();
    for (std::thread& peer : peers_) peer.join();
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  Url url(const std::string& path, const std::string& host = "127.0.0.1") const {
    return Url::parse("http://" + host + ":" + std::to_string(port_) + path).value();
  }
  int connections() const { return connections_; }
  std::vector<std::string> requests() const { return log_.all(); }

 private:
  void accept_all() {
    for (;;) {
      const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      ++connections_;
      peers_.emplace_back([this, fd] {
        ScriptedPeer peer(fd, log_);
        script_(peer);
      });
    }
  }

  const Script script_;
  UniqueFd listener_;
  int port_ = 0;
  std::atomic<int> connections_{0};
  RequestLog log_;
  std::vector<std::thread> peers_;
  std::thread accepting_;
};

}  // namespace stele::http
