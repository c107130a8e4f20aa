#include "server/request_metrics.hpp"

#include <thread>

#include "server/metrics_text.hpp"
#include "tests/support/catch.hpp"

namespace stele {
namespace {

struct Finished {
  http::Exchange::Note note;
  http::Peer peer;
  std::string id = "id";
  void record(RequestMetrics& metrics, std::string_view method, int status, std::int64_t microseconds,
              bool complete = true) {
    metrics.record({method, "/v2/", note, peer, nullptr, id, status, 10, 20, microseconds, complete});
  }
};

TEST_CASE("server: requests are counted by endpoint, method and status, on 64 threads at once") {
  RequestMetrics metrics;
  RequestMetrics other;
  std::vector<std::thread> threads;
  for (int i = 0; i < 64; ++i) {
    threads.emplace_back([&] {
      Finished finished;
      finished.note.route = "blob";
      for (int n = 0; n < 500; ++n) {
        finished.record(metrics, "GET", 200, 100);
        finished.record(other, "PUT", 201, 101, n % 5 != 0);
        if (n % 100 == 0) static_cast<void>(metrics.totals());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const RequestMetrics::Totals totals = metrics.totals();
  CHECK(totals.requests.size() == 1);
  CHECK(totals.requests.at({"blob", "GET", 200}) == 32'000);
  CHECK(totals.bytes_received == 320'000);
  CHECK(totals.bytes_sent == 640'000);
  CHECK(totals.broken == 0);
  CHECK(totals.durations.at("blob").buckets[0] == 32'000);  // bounds are inclusive
  const RequestMetrics::Totals others = other.totals();
  CHECK(others.requests.at({"blob", "PUT", 201}) == 32'000);
  CHECK(others.broken == 6'400);
  CHECK(others.durations.at("blob").buckets[1] == 32'000);
}

TEST_CASE("server: every duration falls into one bucket") {
  RequestMetrics metrics;
  Finished finished;
  for (const std::int64_t bound : RequestMetrics::bounds) {
    finished.record(metrics, "GET", 200, bound);
    finished.record(metrics, "GET", 200, bound + 1);
  }
  finished.record(metrics, "GET", 200, 0);
  const auto durations = metrics.totals().durations.at("other");
  std::uint64_t sum = 0;
  for (const std::uint64_t count : durations.buckets) sum += count;
  CHECK(sum == durations.count);
  CHECK(sum == 2 * RequestMetrics::bounds.size() + 1);
  CHECK(durations.buckets.front() == 2);
  CHECK(durations.buckets.back() == 1);
}

TEST_CASE("server: clients' own method names are no labels (I10)") {
  RequestMetrics metrics;
  Finished finished;
  for (int i = 0; i < 1000; ++i) finished.record(metrics, "M" + std::to_string(i), 405, 1);
  finished.record(metrics, "get", 405, 1);
  finished.record(metrics, "-", 400, 1);
  CHECK(metrics.totals().requests.size() == 2);
  MetricsSnapshot snapshot;
  snapshot.requests = metrics.totals();
  snapshot.version = "1\"\\\n";
  const std::string text = metrics_text(snapshot);
  CHECK(text.find("stele_http_requests_total{endpoint=\"other\",method=\"other\",status=\"405\"} 1001") !=
        std::string::npos);
  CHECK(text.find("version=\"1\\\"\\\\\\n\"") != std::string::npos);
}

}  // namespace
}  // namespace stele
