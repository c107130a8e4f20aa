#include "bench/load/client.hpp"

#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <vector>

namespace stele::load {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw std::runtime_error("not a number: " + std::string(text));
  }
  return value;
}

// Distribution's locations are absolute, Stele's relative.
std::string path_of(std::string_view location) {
  if (const std::size_t scheme = location.find("://"); scheme != std::string_view::npos) {
    location.remove_prefix(std::min(location.find('/', scheme + 3), location.size()));
  }
  return std::string(location);
}

}  // namespace

Target Target::parse(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) throw std::runtime_error("not HOST:PORT: " + address);
  return {address.substr(0, colon), address.substr(colon + 1)};
}

UniqueFd connect_to(const Target& target) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(target.host.c_str(), target.port.c_str(), &hints, &found)) {
    throw std::runtime_error(target.str() + ": " + gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
  UniqueFd fd(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || ::connect(fd.get(), found->ai_addr, found->ai_addrlen) != 0) fail("connect to " + target.str());
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

Answer parse_answer(std::string_view head) {
  Answer answer;
  if (!head.starts_with("HTTP/1.1 ") || head.size() < 12) throw std::runtime_error("no HTTP/1.1 answer");
  answer.status = static_cast<int>(number(head.substr(9, 3)));
  head.remove_prefix(head.find("\r\n") + 2);
  while (!head.starts_with("\r\n")) {
    const std::string_view line = head.substr(0, head.find("\r\n"));
    head.remove_prefix(line.size() + 2);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) throw std::runtime_error("a header field without a colon");
    const std::string_view name = line.substr(0, colon);
    std::string_view value = line.substr(colon + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    if (same_name(name, "Content-Length")) answer.content_length = number(value);
    if (same_name(name, "Location")) answer.location = path_of(value);
    if (same_name(name, "Transfer-Encoding")) throw std::runtime_error("a chunked answer");
  }
  return answer;
}

Client::Client(const Target& target) : fd_(connect_to(target)) {}

void Client::send(std::string_view text, int flags) const {
  while (!text.empty()) {
    const ssize_t sent = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL | flags);
    if (sent < 0) fail("send");
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void Client::send(const FileBody& file) const {
  auto offset = static_cast<off_t>(file.offset);
  for (std::uint64_t left = file.length; left > 0;) {
    const ssize_t sent = ::sendfile(fd_.get(), file.fd, &offset, left);
    if (sent <= 0) fail("sendfile");
    left -= static_cast<std::uint64_t>(sent);
  }
  send(file.ending, 0);
}

std::size_t Client::receive(char* into, std::size_t size) const {
  const ssize_t got = ::recv(fd_.get(), into, size, 0);
  if (got < 0) fail("receive");
  if (got == 0) throw std::runtime_error("the server closed the connection");
  return static_cast<std::size_t>(got);
}

Answer Client::exchange(std::string_view text, const FileBody& file,
                        const std::function<void(std::string_view)>& sink) {
  send(text, file.length > 0 ? MSG_MORE : 0);
  if (file.length > 0) send(file);
  std::string head(16 * 1024, '\0');
  std::size_t filled = 0;
  std::size_t end = std::string::npos;
  while (end == std::string::npos) {
    if (filled == head.size()) throw std::runtime_error("the head of the answer is larger than 16 KiB");
    filled += receive(head.data() + filled, head.size() - filled);
    end = std::string_view(head).substr(0, filled).find("\r\n\r\n");
  }
  end += 4;
  const Answer answer = parse_answer(std::string_view(head).substr(0, end));
  const std::string_view early = std::string_view(head).substr(end, filled - end);
  if (early.size() > answer.content_length) throw std::runtime_error("more body than Content-Length");
  if (sink && !early.empty()) sink(early);
  std::vector<char> buffer;
  for (std::uint64_t left = answer.content_length - early.size(); left > 0;) {
    if (buffer.empty()) buffer.resize(256 * 1024);
    const std::size_t got = receive(buffer.data(), std::min<std::uint64_t>(left, buffer.size()));
    if (sink) sink(std::string_view(buffer.data(), got));
    left -= got;
  }
  return answer;
}

}  // namespace stele::load
