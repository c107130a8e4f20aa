#pragma once
// SQL as the catalog writes it, once for every engine: parameters are $1, $2, …; types are 64-bit integers,
// text, bytes and null; no engine's own functions. The engine is a driver below Statement (sqlite/, later
// postgres/).
//
// Failures of the engine are thrown as Failure and caught in two places only, Database::read() and Writer,
// which turn them into an Error: queries stay readable, and nothing above storage/ sees an exception.

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace stele::sql {

class Failure : public std::runtime_error {
 public:
  enum class Kind {
    full,        // no space: nothing was written; may work later
    io,          // reading or writing failed
    sync,        // fsync failed: the latch closes
    corrupt,     // the file is damaged
    constraint,  // a bug above, or a race between engines
    retry,       // serialisation failure: run the closure again
    other,
  };
  Failure(Kind kind, const std::string& what) : std::runtime_error(what), kind_(kind) {}
  Kind kind() const { return kind_; }
  // no_space, io, read_only, corrupt, unavailable (retry) or internal.
  Error to_error() const;

 private:
  Kind kind_;
};

// A parameter. Text and bytes are views: they must live until the query has ended.
using Value = std::variant<std::monostate, std::int64_t, std::string_view, ByteView>;

inline Value to_value(std::int64_t number) {
  return number;
}
inline Value to_value(std::string_view text) {
  return text;
}
inline Value to_value(const std::string& text) {
  return std::string_view(text);
}
inline Value to_value(const char* text) {
  return std::string_view(text);
}
inline Value to_value(ByteView bytes) {
  return bytes;
}
inline Value to_value(std::nullopt_t) {
  return std::monostate();
}
template <class T>
Value to_value(const std::optional<T>& value) {
  return value ? to_value(*value) : Value(std::monostate());
}

// A prepared statement of one session: the driver's side. Columns count from 0. Views of a column are valid
// until the next step() or reset().
class Statement {
 public:
  virtual ~Statement() = default;
  virtual void bind(int parameter, const Value&) = 0;  // parameters count from 1
  virtual bool step() = 0;                             // true: a row is there
  virtual void reset() = 0;                            // ends the query and forgets the parameters
  virtual bool is_null(int column) = 0;
  virtual std::int64_t integer(int column) = 0;
  virtual std::string_view text(int column) = 0;
  virtual ByteView bytes(int column) = 0;
  virtual std::int64_t changes() = 0;  // rows changed by the last execution
};

// A running query; ends when it goes out of scope.
class Query {
 public:
  explicit Query(Statement& statement) : statement_(&statement) {}
  Query(Query&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)) {}
  Query& operator=(Query&&) = delete;
  ~Query() {
    if (statement_) statement_->reset();
  }
  bool next() { return statement_->step(); }
  bool is_null(int column) const { return statement_->is_null(column); }
  std::int64_t integer(int column) const { return statement_->integer(column); }
  std::string_view text(int column) const { return statement_->text(column); }
  ByteView bytes(int column) const { return statement_->bytes(column); }
  std::optional<std::string> optional_text(int column) const {
    if (is_null(column)) return std::nullopt;
    return std::string(text(column));
  }

 private:
  Statement* statement_;
};

// Runs queries, one thread at a time. Statements are prepared once per session and SQL text.
class Session {
 public:
  virtual ~Session() = default;

  template <class... Arguments>
  Query query(std::string_view sql, const Arguments&... arguments) {
    Statement& prepared = statement(sql);
    int parameter = 0;
    (prepared.bind(++parameter, to_value(arguments)), ...);
    return Query(prepared);
  }

  // For statements without rows: the number of rows changed.
  template <class... Arguments>
  std::int64_t execute(std::string_view sql, const Arguments&... arguments) {
    Query running = query(sql, arguments...);
    while (running.next()) {
    }
    return changes(sql);
  }

 protected:
  // A statement for this text that no running query uses.
  virtual Statement& statement(std::string_view sql) = 0;
  // Of the statement that ended last.
  virtual std::int64_t changes(std::string_view sql) = 0;
};

}  // namespace stele::sql
