#include "server/line_writer.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <optional>
#include <thread>
#include <vector>

#include "base/unique_fd.hpp"
#include "server/access_log.hpp"
#include "tests/support/catch.hpp"

namespace stele {
namespace {

struct Pipe {
  Pipe() {
    int ends[2];
    REQUIRE(::pipe2(&ends[0], O_CLOEXEC) == 0);
    out.reset(ends[0]);
    in.reset(ends[1]);
    ::signal(SIGPIPE, SIG_IGN);
    ::fcntl(in.get(), F_SETPIPE_SZ, 4096);
  }
  UniqueFd out, in;
};

std::string notice(std::uint64_t lost) {
  return "lost " + std::to_string(lost);
}

// Line by line, until `enough(line)`, or the end.
template <class Enough>
void read_lines(int fd, Enough enough) {
  std::string text;
  char piece[4096];
  for (;;) {
    const ssize_t got = ::read(fd, &piece[0], sizeof piece);
    if (got <= 0) return;
    text.append(&piece[0], static_cast<std::size_t>(got));
    for (std::size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
      if (enough(text.substr(0, end))) return;
    }
  }
}

TEST_CASE(
    "line writer: nobody waits for a pipe that nobody reads, and who reads later is told what is missing "
    "(I10)") {
  constexpr std::uint64_t lines = 10'000;
  Pipe pipe;
  LineWriter writer(pipe.in.get(), notice, {.capacity = 10'000});
  // Comes to its end although nothing is read.
  for (std::uint64_t i = 0; i < lines; ++i) writer.write("line " + std::to_string(i));
  const std::uint64_t lost = writer.lost();
  CHECK(lost > 0);
  std::uint64_t seen = 0, told = 0, next = 0;
  bool in_order = true;
  read_lines(pipe.out.get(), [&](const std::string& line) {
    if (line.starts_with("lost ")) {
      told += std::stoull(line.substr(5));
    } else {
      const std::uint64_t number = std::stoull(line.substr(5));
      in_order = in_order && number >= next;
      next = number + 1;
      ++seen;
    }
    return seen + told == lines;
  });
  CHECK(seen + told == lines);
  CHECK(told == lost);
  CHECK(in_order);
  // And goes on.
  writer.write("line 10000");
  read_lines(pipe.out.get(), [&](const std::string& line) { return line == "line 10000"; });
  CHECK(writer.lost() == lost);
}

TEST_CASE("line writer: what waits is written before its end, by many threads whole lines") {
  Pipe pipe;
  ::fcntl(pipe.in.get(), F_SETPIPE_SZ, 1 << 16);
  {
    LineWriter writer(pipe.in.get(), notice, {});
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 100; ++n) writer.write("0123456789");
      });
    }
    for (auto& thread : threads) thread.join();
  }
  pipe.in.reset();
  int whole = 0, others = 0;
  read_lines(pipe.out.get(), [&](const std::string& line) {
    ++(line == "0123456789" ? whole : others);
    return false;
  });
  CHECK(whole == 800);
  CHECK(others == 0);
}

TEST_CASE("line writer: its end does not wait for a pipe that nobody reads") {
  static Pipe& pipe = *new Pipe;  // its thread hangs in it until the process ends
  std::optional<LineWriter> writer;
  writer.emplace(pipe.in.get(), notice, LineWriter::Limits());
  for (int i = 0; i < 10'000; ++i) writer->write("0123456789");
  writer.reset();  // comes back
  SUCCEED();
}

TEST_CASE("line writer: what cannot be written is counted, and later lines are tried again") {
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  REQUIRE(full.get() >= 0);
  LineWriter writer(full.get(), notice, {});
  for (std::uint64_t i = 1; i <= 3; ++i) {
    writer.write("a line");
    while (writer.lost() < i) std::this_thread::yield();
    CHECK(writer.lost() == i);
  }
}

TEST_CASE("access log: says how many lines are missing, as text and as JSON") {
  const std::string time = "2026-11-23T06:00:00.000Z";
  CHECK(lost_line(12, Config::LogFormat::text, time).starts_with(time + " - 12 lines of requests were lost"));
  CHECK(lost_line(12, Config::LogFormat::json, time)
            .starts_with(R"({"time":")" + time + R"(","lost_lines":12,)"));
}

}  // namespace
}  // namespace stele
