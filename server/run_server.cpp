#include "server/run_server.hpp"

#include <malloc.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <iostream>
#include <thread>

#include "server/diagnostic_log.hpp"
#include "server/stele_server.hpp"

namespace stele {
namespace {

// Two arenas are plenty for these threads, and large buffers go back to the system when they are freed.
void bound_memory() {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  mallopt(M_TRIM_THRESHOLD, 256 * 1024);
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

}  // namespace

int run_server(const Config& config, const std::string& version) {
  bound_memory();
  raise_descriptor_limit();
  // Before anything starts a thread (the log does): one that did not block them would be killed by them.
  sigset_t handled;
  sigemptyset(&handled);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&handled, number);
  pthread_sigmask(SIG_BLOCK, &handled, nullptr);
  set_up_diagnostic_log(config.log);
  ::umask(0077);
  signal(SIGPIPE, SIG_IGN);

  auto started = SteleServer::start(config, version);
  if (!started) {
    std::cerr << "stele: " << started.error().message() << '\n';
    return 1;
  }
  SteleServer& server = **started;
  if (const auto ticks = config.test.ticks_per_second; ticks != 1)
    spdlog::warn("connections have {} times less patience than documented: test.ticks_per_second", ticks);
  const std::string scheme = config.tls.enabled() ? "https" : "http";
  std::cout << "stele " << version << " serves " << scheme << "://" << server.address() << ", data in "
            << config.data << '\n';
  if (const std::string open_to = server.open_to(); !open_to.empty())
    std::cout << "rights: " << open_to << '\n';
  std::cout << "try: " << (server.has_logins() ? "docker login " + server.address() + " && " : std::string())
            << "docker pull alpine && docker tag alpine " << server.address()
            << "/demo/app:1.0.0 && docker push " << server.address() << "/demo/app:1.0.0" << std::endl;
  for (;;) {
    int number = 0;
    if (sigwait(&handled, &number) != 0) continue;
    if (number != SIGHUP) break;
    server.reload();
  }
  spdlog::info("stopping: requests under way may finish for {} seconds; a second signal ends them now",
               SteleServer::stop_grace.count());
  std::thread impatient([&] {
    // Ends with the process's own SIGHUP below when nobody is impatient.
    int number = 0;
    sigwait(&handled, &number);
    if (number != SIGHUP) server.hurry();
  });
  const std::string cut_off = server.stop();
  pthread_kill(impatient.native_handle(), SIGHUP);
  impatient.join();
  spdlog::info("stopped{}{}", cut_off.empty() ? "" : "; ", cut_off);
  return 0;
}

}  // namespace stele
