// What uploads hold in memory (I10).
#include <atomic>
#include <coroutine>
#include <cstring>
#include <memory>
#include <vector>

#include "registry/buffer_budget.hpp"
#include "tests/unit/registry/uploads_fixture.hpp"

namespace stele::upload_buffers_test {
namespace {

using namespace uploads_test;

TEST_CASE("uploads: 64 transfers share a few dozen megabytes of buffers (I10)") {
  BufferBudget budget;
  std::vector<std::unique_ptr<BufferBudget::Buffer>> buffers;
  CHECK(budget.next_size(1 << 30) == BufferBudget::largest);
  for (int i = 0; i < 1000; ++i) {
    const std::size_t size = budget.next_size(1 << 30);
    CHECK(size >= BufferBudget::smallest);
    auto buffer = budget.buffer(size);
    if (!buffer) break;
    buffers.push_back(std::move(buffer));
  }
  CHECK(buffers.size() >= 64);
  CHECK(buffers.size() < 1000);
  CHECK(budget.used() <= BufferBudget::total_bytes);
  CHECK_FALSE(budget.part(BufferBudget::smallest));
  buffers.clear();
  CHECK(budget.used() == 0);
  CHECK(budget.next_size(1 << 30) == BufferBudget::largest);
  CHECK(budget.next_size(10) <= 4096);
}

// A client that sends so much and then stands still until it is told to go on.
class StandingSource final : public ByteSource {
 public:
  StandingSource(std::string text, std::uint64_t announced) : text_(std::move(text)), announced_(announced) {}

  Task<Result<std::size_t>> read_full(ByteSpan out) override {
    std::size_t filled = 0;
    while (filled < out.size()) {
      const auto got = co_await read_arrived(out.subspan(filled));
      if (!*got) {
        co_await wait();
        continue;
      }
      if (**got == 0) break;
      filled += **got;
    }
    co_return filled;
  }
  Task<Result<std::optional<std::size_t>>> read_arrived(ByteSpan out) override {
    const std::size_t got = std::min(out.size(), text_.size() - at_);
    if (got == 0 && !over_) co_return std::optional<std::size_t>();
    std::memcpy(out.data(), text_.data() + at_, got);
    at_ += got;
    co_return std::optional<std::size_t>(got);
  }
  Task<void> wait() override {
    if (over_) co_return;
    stands_ = true;
    co_await Standing{*this};
  }
  std::optional<std::uint64_t> length() const override { return announced_; }

  bool stands() const { return stands_; }
  // The rest comes, and the end.
  void go_on(const std::string& rest) {
    text_ += rest;
    over_ = true;
    awaiter_.resume();
  }

 private:
  struct Standing {
    StandingSource& source;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> awaiter) { source.awaiter_ = awaiter; }
    void await_resume() const noexcept {}
  };
  std::string text_;
  const std::uint64_t announced_;
  std::size_t at_ = 0;
  std::atomic<bool> stands_ = false;
  bool over_ = false;
  std::coroutine_handle<> awaiter_;
};

// Lets everything else on this executor go first.
struct Yield {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> awaiter) const { Executor::current()->post(awaiter); }
  void await_resume() const noexcept {}
};

TEST_CASE("uploads: clients that stand still hold no more memory than there is for all, however many (I10)") {
  constexpr std::size_t count = 400, begun = 100'000;
  const std::size_t size = GENERATE(60'000, 300'000);  // small bodies and large ones
  UploadFixture fixture;
  std::vector<std::string> texts;
  std::vector<UploadId> ids;
  std::vector<std::unique_ptr<StandingSource>> sources;
  for (std::size_t i = 0; i < count; ++i) {
    texts.push_back(content(size, static_cast<unsigned>(i)));
    ids.push_back(fixture.start());
    sources.push_back(std::make_unique<StandingSource>(texts[i].substr(0, std::min(begun, size - 1)), size));
  }
  std::size_t right = 0, ended = 0, held = 0;
  const auto push = [&](std::size_t i) -> Task<void> {
    const auto got =
        co_await fixture.uploads->append(repository, ids[i], *sources[i], std::nullopt, fixture.actor);
    right += got && *got == size;
    ++ended;
  };
  sync_wait([&]() -> Task<void> {
    for (std::size_t i = 0; i < count; ++i) spawn(push(i));
    for (const auto& source : sources)
      while (!source->stands()) co_await Yield();
    held = fixture.uploads->statistics().buffered;
    for (std::size_t i = 0; i < count; ++i) sources[i]->go_on(texts[i].substr(std::min(begun, size - 1)));
    while (ended < count) co_await Yield();
  }());
  CHECK(right == count);
  CHECK(held > 0);
  CHECK(held <= BufferBudget::total_bytes);
  CHECK(fixture.uploads->statistics().buffered == 0);
  for (std::size_t i = 0; i < count; i += 50) {
    const Digest digest = Digest::of(sha256, texts[i]);
    REQUIRE(fixture.finish(ids[i], digest).has_value());
    CHECK((fixture.stored(digest) == texts[i]));
  }
}

}  // namespace
}  // namespace stele::upload_buffers_test
