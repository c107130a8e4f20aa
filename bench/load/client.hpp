#pragma once
// One blocking HTTP/1.1 connection, as small as a load program can have it. Everything that goes wrong throws
// std::runtime_error: a run with a failed request is no measurement.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/unique_fd.hpp"

namespace stele::load {

struct Target {
  std::string host;  // a loopback address
  std::string port;
  // From "127.0.0.1:5000".
  static Target parse(const std::string& address);
  std::string str() const { return host + ":" + port; }
};

UniqueFd connect_to(const Target&);

// What follows the text of a request without passing through this program's memory: `length` bytes of `fd`
// from `offset`, and then a few of its own.
struct FileBody {
  int fd = -1;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::string_view ending = {};
};

struct Answer {
  int status = 0;
  std::string location;  // its path and query only
  std::uint64_t content_length = 0;
};

// The status line and the header fields; throws on anything that this program cannot deal with (a chunked
// body).
Answer parse_answer(std::string_view head);

class Client {
 public:
  explicit Client(const Target&);

  // Sends the text (head and body, or their beginning) and the file behind it, and reads the whole answer.
  // The body of the answer goes to `sink` in pieces.
  Answer exchange(std::string_view text, const FileBody& file = {},
                  const std::function<void(std::string_view)>& sink = {});

  // For transfers that are left in the middle.
  int fd() const { return fd_.get(); }

 private:
  void send(std::string_view text, int flags) const;
  void send(const FileBody& file) const;
  std::size_t receive(char* into, std::size_t size) const;

  UniqueFd fd_;
};

}  // namespace stele::load
