#pragma once
// Writes that want their turn beside something longer: from the first to the last moment one of them waits
// behind whatever the writer is at. What takes many writes lets one in between each two of them; what takes a
// single one lets none.

#include <atomic>
#include <functional>
#include <future>
#include <utility>

#include "storage/sql/writer.hpp"

namespace stele {

class WritesBeside {
 public:
  // `look` runs inside each of them, on the writer's thread.
  WritesBeside(sql::Writer& writer, std::function<void(sql::Tx&)> look)
      : writer_(writer), look_(std::move(look)) {
    queue();
  }
  ~WritesBeside() {
    done_ = true;
    ended_.get_future().wait();
  }
  WritesBeside(const WritesBeside&) = delete;
  WritesBeside& operator=(const WritesBeside&) = delete;

 private:
  void queue() {
    [[maybe_unused]] const auto pending = writer_.write({}, [this](sql::Tx& tx) -> Result<void> {
      look_(tx);
      if (done_) {
        ended_.set_value();
      } else {
        queue();  // behind what waits by now, before what comes after this batch
      }
      return {};
    });
  }

  sql::Writer& writer_;
  const std::function<void(sql::Tx&)> look_;
  std::atomic<bool> done_{false};
  std::promise<void> ended_;
};

}  // namespace stele
