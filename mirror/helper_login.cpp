// Docker's credential helpers: programs that are asked by name and answer with a login
// (docker/docker-credential-helpers, "get").
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <nlohmann/json.hpp>

#include "base/thread_pool.hpp"
#include "base/unique_fd.hpp"
#include "mirror/account.hpp"

namespace stele::mirror {
namespace {

using Time = std::chrono::steady_clock::time_point;

constexpr std::chrono::seconds helper_within(10);
constexpr std::size_t longest_helper_answer = 64 * 1024;
// Helpers do not say for how long theirs are good.
constexpr std::chrono::seconds believed(300);

struct Pipe {
  UniqueFd read, write;
  bool open() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return false;
    read = UniqueFd(ends[0]);
    write = UniqueFd(ends[1]);
    return true;
  }
};

// Whether the descriptor became readable in time.
bool readable(int fd, Time until) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd waiting{fd, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(left.count()));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

// One child process, ended with everything that it started and reaped whatever happens.
class Child {
 public:
  explicit Child(pid_t id) : id_(id), fd_(static_cast<int>(::syscall(SYS_pidfd_open, id, 0))) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (!reaped_) end();
  }
  // Its exit status; empty: a signal ended it, or the time was over.
  std::optional<int> wait(Time until) {
    if (fd_.get() < 0 || !readable(fd_.get(), until)) return std::nullopt;
    return reap();
  }

 private:
  void end() {
    ::kill(-id_, SIGKILL);
    reap();
  }
  std::optional<int> reap() {
    int status = 0;
    while (::waitpid(id_, &status, 0) < 0 && errno == EINTR) {
    }
    reaped_ = true;
    if (!WIFEXITED(status)) return std::nullopt;
    return WEXITSTATUS(status);
  }

  const pid_t id_;
  const UniqueFd fd_;
  bool reaped_ = false;
};

// No shell, its errors to nowhere, in a process group of its own.
int spawn(pid_t& id, const std::string& program, int input, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::string name = program;
  std::string verb = "get";
  const std::array<char*, 3> arguments = {name.data(), verb.data(), nullptr};
  const int failed = ::posix_spawnp(&id, name.c_str(), &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return failed;
}

// What it answers to the question.
Result<std::string> answer_of(const std::string& program, const std::string& question) {
  const auto wrong = [&](const std::string& what) { return Error(Errc::unavailable, program + " " + what); };
  Pipe in;
  Pipe out;
  if (!in.open() || !out.open()) return wrong("cannot be run: no pipe");
  // It fits into a pipe (PIPE_BUF), which has a reader: neither blocks nor raises SIGPIPE.
  if (::write(in.write.get(), question.data(), question.size()) != static_cast<ssize_t>(question.size()))
    return wrong("cannot be asked");
  in.write = UniqueFd();
  pid_t id = 0;
  if (const int failed = spawn(id, program, in.read.get(), out.write.get()); failed != 0) {
    return wrong(failed == ENOENT ? "is not in the PATH of the server" : "cannot be run");
  }
  Child child(id);
  in.read = UniqueFd();
  out.write = UniqueFd();
  const Time until = std::chrono::steady_clock::now() + helper_within;
  std::string text;
  std::array<char, 4096> piece{};
  for (;;) {
    if (!readable(out.read.get(), until))
      return wrong("did not answer within " + std::to_string(helper_within.count()) + " s");
    const ssize_t got = ::read(out.read.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return wrong("cannot be read from");
    if (got == 0) break;
    text.append(piece.data(), static_cast<std::size_t>(got));
    if (text.size() > longest_helper_answer) return wrong("answers more than 64 KiB");
  }
  const auto status = child.wait(until);
  if (!status) return wrong("did not end by itself");
  if (text.starts_with("credentials not found")) return wrong("has no credentials for " + question);
  if (*status != 0) return wrong("failed with exit status " + std::to_string(*status));
  return text;
}

class HelperLogin final : public LoginSource {
 public:
  HelperLogin(const Settings& settings, std::string host)
      : program_("docker-credential-" + settings.credential_helper),
        question_(settings.name == "docker.io" ? "https://index.docker.io/v1/" : std::move(host)),
        pool_("helper", 1) {}

  Task<Result<Login>> login() override {
    auto running = pool_.start([this] { return answer_of(program_, question_); });
    auto text = co_await running;
    if (!text) co_return text.error();
    const auto json = nlohmann::json::parse(*text, nullptr, false);
    const auto member = [&](const char* name) {
      const auto found = json.is_object() ? json.find(name) : json.end();
      return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    const std::string user = member("Username");
    const std::string secret = member("Secret");
    if (user.empty() || secret.empty())
      co_return Error(Errc::unavailable, program_ + " answers with what is no login");
    if (user == "<token>") {
      co_return Error(Errc::unavailable, program_ + " has an identity token for " + question_ +
                                             ", which cannot be used here: log in with a password or an "
                                             "access token");
    }
    Login login{basic_authorization(user, secret), believed};
    co_return std::move(login);
  }

 private:
  const std::string program_;
  const std::string question_;
  ThreadPool pool_;
};

}  // namespace

std::unique_ptr<LoginSource> helper_login(const Settings& settings, std::string host) {
  return std::make_unique<HelperLogin>(settings, std::move(host));
}

}  // namespace stele::mirror
