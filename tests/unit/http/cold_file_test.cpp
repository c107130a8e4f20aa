// Files on file systems that cannot tell whether their pages are in memory: no I/O thread waits for a disk
// (I10).

#include <fcntl.h>
#include <sys/uio.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>

#include "http/client.hpp"
#include "http/self_signed.hpp"
#include "http/server.hpp"
#include "http/tls.hpp"
#include "tests/unit/http/raw_client.hpp"

namespace stele::http {
namespace {

struct Unobserved final : Observer {
  void request_finished(const RequestSummary&) override {}
};

struct Answering final : Handler {
  std::function<Response(Exchange&)> answer;
  Task<Response> handle(Exchange& http) override { co_return answer(http); }
  Response refuse(int status, std::string_view) override { return Response(status); }
};

struct OpenFile {
  explicit OpenFile(const char* path) : fd(::open(path, O_RDONLY | O_CLOEXEC)) {}
  UniqueFd fd;
};

// A certificate for 127.0.0.1 in files of its own.
class Certificate {
 public:
  Certificate() {
    std::string pattern = "/tmp/stele-cold-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
    const std::string names[] = {"127.0.0.1"};
    const auto made = make_self_signed(names, SystemClock().now(), 2);
    REQUIRE(made.has_value());
    std::ofstream(cert()) << made->certificate;
    std::ofstream(path_ + "/key") << made->key;
  }
  ~Certificate() { std::filesystem::remove_all(path_); }
  std::string cert() const { return path_ + "/cert"; }
  TlsFiles files() const { return {cert(), path_ + "/key", "", false, CertificateName::common_name}; }

 private:
  std::string path_;
};

TEST_CASE("a file that may be cold is read by the pool, and the I/O thread serves others meanwhile") {
  std::signal(SIGPIPE, SIG_IGN);
  const auto file = std::make_shared<OpenFile>("/proc/version");
  REQUIRE(file->fd.get() >= 0);
  std::string content(1000, '\0');
  iovec part{content.data(), content.size()};
  REQUIRE(::preadv2(file->fd.get(), &part, 1, 0, RWF_NOWAIT) == -1);
  REQUIRE(errno == EOPNOTSUPP);  // otherwise this is not the file to try it with
  content.resize(static_cast<std::size_t>(::pread(file->fd.get(), content.data(), content.size(), 0)));

  const bool encrypted = GENERATE(false, true);
  CAPTURE(encrypted);
  std::optional<Certificate> certificate;
  std::unique_ptr<TlsContext> tls;
  if (encrypted) tls = TlsContext::load(certificate.emplace().files()).value();
  std::promise<void> asked;
  Answering handler;
  handler.answer = [&](Exchange& http) {
    if (http.request().path == "/other") return std::move(Response(200).text("other"));
    asked.set_value();
    Segment segment;
    segment.file = FileSlice{file, file->fd.get(), 0, content.size()};
    return std::move(Response(200).add_segment(std::move(segment)));
  };
  ThreadPool pool("test-cold", 1);
  std::promise<void> ended;
  const auto busy = pool.start([end = ended.get_future().share()] { end.wait(); });
  Unobserved observer;
  ServerOptions options;
  options.threads = 1;
  Server server(options, observer, pool);
  const auto port = server.listen_tcp("127.0.0.1", 0, handler, tls.get()).value().port;
  server.start();
  ClientTarget target;
  target.url = (encrypted ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(port);
  if (encrypted) target.ca_file = certificate->cert();
  std::atomic<bool> arrived{false};
  auto cold = std::async(std::launch::async, [&] {
    auto answer = request(target, "GET", "/file");
    arrived = true;
    return answer;
  });
  asked.get_future().wait();
  const auto other = request(target, "GET", "/other");
  CHECK((other.has_value() && other->body == "other"));
  CHECK_FALSE(arrived);  // the pool has not read it yet
  ended.set_value();
  const auto answer = cold.get();
  CHECK((answer.has_value() && answer->body == content));
  server.stop(std::chrono::seconds(1));
}

}  // namespace
}  // namespace stele::http
