// Proxies of the outbound client: which one, and that none is a way around the check of addresses.
#include "http/proxy.hpp"

#include <cstdlib>

#include "http/address_kind.hpp"
#include "http/fetcher.hpp"
#include "tests/unit/http/scripted_server.hpp"

namespace stele::http::proxy_test {
namespace {

constexpr const char* variables[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",
                                     "all_proxy",  "ALL_PROXY",  "no_proxy",    "NO_PROXY"};

// The proxy variables of this process are those of a test, and none else, for its time.
class Environment {
 public:
  Environment(std::initializer_list<std::pair<const char*, std::string>> values) {
    for (const char* const name : variables) {
      const char* const value = std::getenv(name);
      before_.emplace_back(name, value ? std::optional<std::string>(value) : std::nullopt);
      ::unsetenv(name);
    }
    for (const auto& [name, value] : values) ::setenv(name, value.c_str(), 1);
  }
  ~Environment() {
    for (const auto& [name, value] : before_) {
      if (value) {
        ::setenv(name, value->c_str(), 1);
      } else {
        ::unsetenv(name);
      }
    }
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::vector<std::pair<const char*, std::optional<std::string>>> before_;
};

Url url(const std::string& text) {
  return Url::parse(text).value();
}

Task<std::string> fetched(Fetcher& fetcher, FetchRequest request) {
  auto answer = co_await fetcher.fetch(std::move(request));
  if (!answer) co_return answer.error().message();
  auto body = co_await answer->read_all(1000);
  if (!body) co_return body.error().message();
  co_return std::move(*body);
}

// The body, or the words of the failure.
std::string ask(FetchRequest request) {
  request.limits.connect = request.limits.head = request.limits.window = std::chrono::milliseconds(60'000);
  request.may_follow = [](const Url&, const Url&) -> Result<void> { return {}; };
  request.may_connect = [](const Url&, std::string_view address) {
    return kind_of_address(address) == AddressKind::global;
  };
  Fetcher fetcher;
  return sync_wait(fetched(fetcher, std::move(request)));
}

std::string response(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string redirect(const std::string& to) {
  return "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nConnection: close\r\nLocation: " + to +
         "\r\n\r\n";
}

// A proxy whose network has a registry that sends its blobs from elsewhere.
struct Network {
  explicit Network(std::string elsewhere) : to(std::move(elsewhere)) {}
  std::string to;
  ScriptedServer proxy{[this](ScriptedPeer& peer) {
    const std::string head = peer.request();
    peer.send(head.starts_with("GET http://registry.example/ ") ? redirect(to) : response("a layer"));
  }};
  std::string address() const { return proxy.url("").origin(); }
};

TEST_CASE("proxy: which one is what was written, or what the environment says for the scheme") {
  const Environment environment({{"http_proxy", "http://small:1"},
                                 {"HTTP_PROXY", "http://large:2"},
                                 {"HTTPS_PROXY", "http://secure:3"},
                                 {"NO_PROXY", "internal.example,10.0.0.0/8"}});
  CHECK(proxy_for("", url("http://a.example/")) == "http://small:1");
  CHECK(proxy_for("", url("https://a.example/")) == "http://secure:3");
  CHECK(proxy_for("", url("https://git.internal.example/")).empty());
  CHECK(proxy_for("", url("https://10.1.2.3/")).empty());
  CHECK(proxy_for("none", url("https://a.example/")).empty());
  CHECK(proxy_for("http://mine:4", url("https://a.example/")) == "http://mine:4");
  CHECK(proxy_for("http://mine:4", url("https://internal.example/")) == "http://mine:4");
  const Environment capitals({{"HTTP_PROXY", "http://large:2"}, {"ALL_PROXY", "socks5://all:5"}});
  CHECK(proxy_for("", url("http://a.example/")) == "http://large:2");
  CHECK(proxy_for("", url("https://a.example/")) == "socks5://all:5");
  const Environment nothing({});
  CHECK(proxy_for("", url("https://a.example/")).empty());
}

TEST_CASE("proxy: what NO_PROXY names") {
  const auto [list, target, named] = GENERATE(table<const char*, const char*, bool>({
      {"*", "https://a.example/", true},
      {"", "https://a.example/", false},
      {" , ,", "https://a.example/", false},
      {"a.example", "https://a.example/", true},
      {"A.Example", "https://a.example/", true},
      {"example", "https://a.example/", true},
      {".example", "https://a.example/", true},
      {"*.example", "https://a.example/", true},
      {"xample", "https://a.example/", false},
      {"b.example, a.example", "https://a.example/", true},
      {"b.example a.example", "https://a.example/", true},
      {"a.example:443", "https://a.example/", true},
      {"a.example:5000", "https://a.example/", false},
      {"a.example:5000", "https://a.example:5000/", true},
      {"a.example:x", "https://a.example/", false},
      {"10.0.0.0/8", "https://10.200.3.4/", true},
      {"10.0.0.0/8", "https://11.0.0.1/", false},
      {"10.0.0.0/12", "https://10.15.0.1/", true},
      {"10.0.0.0/12", "https://10.16.0.1/", false},
      {"10.0.0.0/33", "https://10.0.0.0/", false},
      {"10.0.0.0/", "https://10.0.0.0/", false},
      {"0.0.0.0/0", "https://10.16.0.1/", true},
      {"0.0.0.0/0", "https://a.example/", false},
      {"10.0.0.1", "https://10.0.0.1/", true},
      {"10.0.0.1:443", "https://10.0.0.1/", true},
      {"0.0.1", "https://10.0.0.1/", false},
      {"::1", "https://[::1]/", true},
      {"[::1]:5000", "https://[::1]:5000/", true},
      {"[::1]:5000", "https://[::1]/", false},
      {"[::1", "https://[::1]/", false},
      {"fd00::/8", "https://[fd12::1]/", true},
      {"fd00::/8", "https://10.0.0.1/", false},
  }));
  CAPTURE(list, target);
  CHECK(without_proxy(list, url(target)) == named);
}

TEST_CASE("proxy: one in the own network is no address that is refused, though others named the host") {
  const Network network("http://cdn.example/layer");
  FetchRequest request(url("http://registry.example/"));
  const char* const variable = GENERATE("", "http_proxy", "HTTP_PROXY");
  const Environment environment({{*variable ? variable : "all_proxy", network.address()}});
  if (!*variable) request.proxy = network.address();
  CHECK(ask(request) == "a layer");
  const auto heads = network.proxy.requests();
  REQUIRE(heads.size() == 2);
  CHECK(heads[1].starts_with("GET http://cdn.example/layer HTTP/1.1\r\n"));
}

TEST_CASE("SSRF: neither a proxy nor NO_PROXY beside it is a way around the check of addresses") {
  ScriptedServer inside([](ScriptedPeer& peer) {
    peer.request();
    peer.send(response("inside"));
  });
  const std::string port = std::to_string(inside.url("/").port());
  const Network network(GENERATE("http://localhost:", "http://127.0.0.1:", "http://127.1:") + port + "/");
  FetchRequest request(url("http://registry.example/"));
  SECTION("NO_PROXY names the host: a direct connection, which is checked") {
    const Environment environment({{"http_proxy", network.address()}, {"NO_PROXY", "localhost,127.0.0.0/8"}});
    CHECK(ask(request).find("a loopback address") != std::string::npos);
  }
  SECTION("a written proxy is asked whatever NO_PROXY says, and not for an address that is refused") {
    const Environment environment({{"NO_PROXY", "localhost,127.0.0.0/8"}});
    request.proxy = network.address();
    const std::string said = ask(request);
    CHECK((said == "a layer" || said.find("a loopback address") != std::string::npos));
    CHECK((said == "a layer") == (network.to.find("localhost") != std::string::npos));
  }
  CHECK(inside.connections() == 0);
}

}  // namespace
}  // namespace stele::http::proxy_test
