// Response bodies that are still arriving when the response begins, over real connections (I6: a part never
// ends as the whole).
#include <csignal>

#include "http/fetcher.hpp"
#include "http/growing_file.hpp"
#include "http/server.hpp"
#include "tests/unit/http/scripted_server.hpp"

namespace stele::http {
namespace {

struct NoObserver final : Observer {
  void request_finished(const RequestSummary& summary) override {
    const std::lock_guard lock(mutex);
    errors.push_back(summary.note.error);
  }
  std::mutex mutex;
  std::vector<std::string> errors;
};

struct Handling final : Handler {
  std::function<Response(Exchange&)> answer;
  Task<Response> handle(Exchange& http) override { co_return answer(http); }
  Response refuse(int status, std::string_view) override { return Response(status); }
};

// Pieces from a list, then an end or an error.
struct Pieces final : ArrivingBody {
  std::vector<std::string> texts;
  bool fails = false;
  std::size_t at = 0;
  Task<Result<Piece>> next() override {
    Piece piece;
    if (at < texts.size()) {
      piece.text = texts[at++];
      co_return std::move(piece);
    }
    if (fails) co_return Error(Errc::unavailable, "the upstream broke off");
    co_return std::move(piece);
  }
};

class Serving {
 public:
  explicit Serving(std::function<Response(Exchange&)> answer) : disk_("test-disk", 1) {
    std::signal(SIGPIPE, SIG_IGN);  // as the server does: sendfile cannot be told otherwise
    handler_.answer = std::move(answer);
    server.emplace(ServerOptions{}, observer, disk_);
    port_ = server->listen_tcp("127.0.0.1", 0, handler_).value().port;
    server->start();
  }
  // Everything that comes for this request, to the end of the connection; `reset` when it ended so.
  std::string raw(const std::string& request, bool& reset) const {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) > 0);
    std::string all;
    char buffer[4096];
    for (;;) {
      const ssize_t got = ::recv(fd.get(), buffer, sizeof buffer, 0);
      reset = got < 0;
      if (got <= 0) return all;
      all.append(buffer, static_cast<std::size_t>(got));
    }
  }
  FetchRequest request() const {
    FetchRequest request(Url::parse("http://127.0.0.1:" + std::to_string(port_) + "/").value());
    request.proxy = "none";
    return request;
  }

  NoObserver observer;
  std::optional<Server> server;

 private:
  ThreadPool disk_;
  Handling handler_;
  std::uint16_t port_ = 0;
};

Response arriving(std::vector<std::string> texts, std::optional<std::uint64_t> length, bool fails = false) {
  auto body = std::make_shared<Pieces>();
  body->texts = std::move(texts);
  body->fails = fails;
  Segment segment;
  segment.arriving = std::move(body);
  segment.arriving_length = length;
  Response response(200);
  response.add_segment(std::move(segment));
  return response;
}

const std::string one_request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

TEST_CASE("a body of known length arrives piece by piece under its Content-Length") {
  const Serving serving([](Exchange&) { return arriving({"abc", "defg"}, 7); });
  bool reset = false;
  const std::string all = serving.raw(one_request, reset);
  CHECK(!reset);
  CHECK(all.find("Content-Length: 7\r\n") != std::string::npos);
  CHECK(all.ends_with("\r\n\r\nabcdefg"));
}

TEST_CASE("a body of unknown length comes in chunks, and the connection serves the next request") {
  const Serving serving([](Exchange& http) {
    if (http.request().path == "/next") return std::move(Response(200).text("next"));
    return arriving({"abc", "0123456789abcdef"}, std::nullopt);
  });
  bool reset = false;
  const std::string all = serving.raw(
      "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", reset);
  CHECK(!reset);
  CHECK(all.find("Transfer-Encoding: chunked\r\n") != std::string::npos);
  CHECK(all.find("\r\n\r\n3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\nHTTP/1.1 200") != std::string::npos);
  CHECK(all.ends_with("next"));
}

TEST_CASE("to HTTP/1.0 a body of unknown length ends with its connection, and to HEAD there is none") {
  const Serving serving([](Exchange&) { return arriving({"abc", "def"}, std::nullopt); });
  bool reset = false;
  const std::string old = serving.raw("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", reset);
  CHECK(!reset);
  CHECK(old.ends_with("Connection: close\r\n\r\nabcdef"));
  CHECK(old.find("chunked") == std::string::npos);
  const std::string head = serving.raw("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", reset);
  CHECK(head.ends_with("\r\n\r\n"));
}

TEST_CASE("I6: a body that fails, ends early or has too much is ended with a reset, in each framing") {
  struct Kind {
    const char* name;
    std::optional<std::uint64_t> length;
    bool fails;
  };
  const Kind kind = GENERATE(Kind{"fails, known", 7, true}, Kind{"fails, unknown", std::nullopt, true},
                             Kind{"short", 7, false}, Kind{"long", 2, false});
  INFO(kind.name);
  const bool old = GENERATE(false, true);
  Serving serving([&](Exchange&) { return arriving({"abc"}, kind.length, kind.fails); });
  bool reset = false;
  const std::string all = serving.raw(old ? "GET / HTTP/1.0\r\n\r\n" : one_request, reset);
  CHECK(reset);
  CHECK(all.find("\r\n0\r\n") == std::string::npos);
  serving.server->stop(std::chrono::seconds(10));
  REQUIRE(serving.observer.errors.size() == 1);
  CHECK(!serving.observer.errors[0].empty());  // the log says why
}

// A file of pseudo-random bytes with one writer, whose steps the test decides.
class Growing {
 public:
  explicit Growing(std::size_t size) {
    content.reserve(size);
    std::uint32_t state = 1;
    for (std::size_t i = 0; i < size; ++i)
      content += static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
    char name[] = "/tmp/stele-growing-XXXXXX";
    auto fd = std::make_shared<UniqueFd>(::mkstemp(name));
    REQUIRE(*fd);
    ::unlink(name);
    const int number = fd->get();
    file = std::make_shared<GrowingFile>(std::move(fd), number, size);
    fd_ = number;
  }
  void write_to(std::size_t end) {
    while (written < end) {
      const ssize_t done =
          ::pwrite(fd_, content.data() + written, end - written, static_cast<off_t>(written));
      REQUIRE(done > 0);
      written += static_cast<std::size_t>(done);
    }
    file->advance(std::min(end, content.size() - 1));
  }

  std::string content;
  std::shared_ptr<GrowingFile> file;
  std::size_t written = 0;

 private:
  int fd_ = -1;
};

Response of(const Growing& growing, std::uint64_t first, std::uint64_t count) {
  Segment segment;
  segment.arriving = growing.file->read(first, count);
  segment.arriving_length = count;
  Response response(200);
  response.add_segment(std::move(segment));
  return response;
}

TEST_CASE("many readers, of the whole and of ranges, get the same bytes of a file that is still growing") {
  constexpr std::size_t size = 4'000'000;
  Growing growing(size);
  std::atomic<std::uint64_t> next{0};
  const Serving serving([&](Exchange&) {
    const std::uint64_t number = next++;
    if (number % 4 == 1) return of(growing, 1'000'000, 500'000);
    if (number % 4 == 3) return of(growing, size - 10, 10);
    return of(growing, 0, size);
  });
  Fetcher fetcher;
  std::vector<std::thread> readers;
  std::atomic<int> begun{0};
  std::atomic<int> right{0};
  constexpr int count = 16;
  for (int i = 0; i < count; ++i) {
    readers.emplace_back([&] {
      const auto work = [&]() -> Task<void> {
        auto fetched = co_await fetcher.fetch(serving.request());
        if (!fetched) co_return;
        ++begun;  // the head is here before a single byte of the body was written
        const auto body = co_await fetched->read_all(size);
        if (!body) co_return;
        if (*body == growing.content || *body == growing.content.substr(1'000'000, 500'000) ||
            *body == growing.content.substr(size - 10))
          ++right;
      };
      sync_wait(work());
    });
  }
  while (begun < count) std::this_thread::yield();
  for (std::size_t end = 0; end < size;) {
    end = std::min(size, end + 77'777);
    growing.write_to(end);
    std::this_thread::yield();
  }
  growing.file->finish(size);
  for (std::thread& reader : readers) reader.join();
  CHECK(right == count);
}

TEST_CASE("the last byte is kept back until the writer is content, and a failure then resets every reader") {
  Growing growing(100'000);
  Serving serving([&](Exchange&) { return of(growing, 0, 100'000); });
  Fetcher fetcher;
  growing.write_to(100'000);
  const auto work = [&]() -> Task<void> {
    auto fetched = co_await fetcher.fetch(serving.request());
    REQUIRE(fetched.has_value());
    std::vector<std::byte> buffer(10'000);
    std::size_t got = 0;
    while (got < 99'999) {
      const auto some = co_await fetched->read_some(buffer);
      REQUIRE(some.has_value());
      got += *some;
    }
    CHECK(got == 99'999);
    growing.file->fail(Error(Errc::digest_mismatch, "wrong bytes"));
    const auto last = co_await fetched->read_some(buffer);
    CHECK(!last.has_value());
  };
  sync_wait(work());
}

TEST_CASE(
    "a client that leaves changes nothing for the others, and a stop does not wait for what never comes") {
  Growing growing(1'000'000);
  Serving serving([&](Exchange&) { return of(growing, 0, 1'000'000); });
  Fetcher fetcher;
  const auto work = [&]() -> Task<void> {
    auto leaving = co_await fetcher.fetch(serving.request());
    auto staying = co_await fetcher.fetch(serving.request());
    REQUIRE(leaving.has_value());
    REQUIRE(staying.has_value());
    leaving->abort();
    growing.write_to(1'000'000);
    std::vector<std::byte> buffer(100'000);
    std::size_t got = 0;
    while (got < 999'999) {
      const auto some = co_await staying->read_some(buffer);
      REQUIRE(some.has_value());
      got += *some;
    }
    // The last byte never comes; whoever feeds the bodies is told when the grace is over.
    growing.file->fail(Error(Errc::unavailable, "this server is stopping"));
    CHECK(!co_await staying->read_some(buffer));
  };
  sync_wait(work());
  serving.server->stop(std::chrono::seconds(0));
}

TEST_CASE("a stop tells whoever feeds response bodies when its grace is over") {
  Growing growing(1000);
  NoObserver observer;
  ThreadPool disk("test-disk", 1);
  Handling handler;
  std::atomic<bool> asked{false};
  handler.answer = [&](Exchange&) {
    asked = true;
    return of(growing, 0, 1000);
  };
  ServerOptions options;
  options.on_grace_over = [&] { growing.file->fail(Error(Errc::unavailable, "stopping")); };
  Server server(std::move(options), observer, disk);
  const auto port = server.listen_tcp("127.0.0.1", 0, handler).value().port;
  server.start();
  Fetcher fetcher;
  FetchRequest request(Url::parse("http://127.0.0.1:" + std::to_string(port) + "/").value());
  request.proxy = "none";
  const auto work = [&]() -> Task<void> {
    auto fetched = co_await fetcher.fetch(std::move(request));
    REQUIRE(fetched.has_value());
    server.stop(std::chrono::seconds(0));  // returns although the body would never have come
  };
  sync_wait(work());
  CHECK(asked);
}

}  // namespace
}  // namespace stele::http
