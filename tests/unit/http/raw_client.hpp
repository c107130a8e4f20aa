#pragma once
// A connection that sends what it is told, byte by byte.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/unique_fd.hpp"
#include "tests/support/catch.hpp"

namespace stele::http {

class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }

  // False when the other side has ended the connection.
  bool try_send(std::string_view text) {
    return ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  void send(std::string_view text) { REQUIRE(try_send(text)); }

  // Everything until the end of the connection.
  std::string read_all() {
    std::string all;
    char buffer[4096];
    for (ssize_t got; (got = ::recv(fd_.get(), buffer, sizeof buffer, 0)) > 0;)
      all.append(buffer, static_cast<std::size_t>(got));
    return all;
  }

  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
};

}  // namespace stele::http
