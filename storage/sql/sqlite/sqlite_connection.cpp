#include "storage/sql/sqlite/sqlite_connection.hpp"

#include <sqlite3.h>

#include <cerrno>
#include <charconv>
#include <mutex>

#include "storage/sql/sqlite/sqlite_error.hpp"

namespace stele::sql {
namespace {

// SQLite's allocation statistics take a process-wide lock at every allocation; nothing reads them. Too late,
// and without harm, when something in the process has used SQLite before.
void configure_library() {
  static std::once_flag once;
  std::call_once(once, [] { sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); });
}

}  // namespace

// --- statements

SqliteStatement::SqliteStatement(SqliteConnection& connection, std::string_view sql)
    : connection_(connection) {
  const char* tail = nullptr;
  errno = 0;
  const int code = sqlite3_prepare_v3(connection.handle(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement_, &tail);
  if (code != SQLITE_OK) throw sqlite_failure(connection.handle(), code, sql.substr(0, 60));
  const int count = sqlite3_bind_parameter_count(statement_);
  for (int index = 1; index <= count; ++index) {
    const char* name = sqlite3_bind_parameter_name(statement_, index);
    const std::string_view text = name ? name : "";
    std::size_t number = 0;
    if (text.size() < 2 || text[0] != '$' ||
        std::from_chars(text.data() + 1, text.data() + text.size(), number).ptr !=
            text.data() + text.size() ||
        number == 0 || number > 999) {
      sqlite3_finalize(statement_);
      throw Failure(Failure::Kind::other,
                    "a statement has a parameter that is not $1, $2, …: " + std::string(sql));
    }
    if (parameters_.size() < number) parameters_.resize(number, 0);
    parameters_[number - 1] = index;
  }
}

SqliteStatement::~SqliteStatement() {
  sqlite3_finalize(statement_);
}

void SqliteStatement::take() {
  in_use_ = true;
  ended_ = false;
}

void SqliteStatement::bind(int parameter, const Value& value) {
  const auto position = static_cast<std::size_t>(parameter - 1);
  int code = SQLITE_RANGE;
  if (position < parameters_.size() && parameters_[position] != 0) {
    const int index = parameters_[position];
    // The views live until the query ends, hence SQLITE_STATIC. A null pointer would bind NULL where an empty
    // value is meant.
    if (const auto* number = std::get_if<std::int64_t>(&value)) {
      code = sqlite3_bind_int64(statement_, index, *number);
    } else if (const auto* text = std::get_if<std::string_view>(&value)) {
      code = sqlite3_bind_text64(statement_, index, text->data() ? text->data() : "", text->size(),
                                 SQLITE_STATIC, SQLITE_UTF8);
    } else if (const auto* bytes = std::get_if<ByteView>(&value)) {
      const void* data = bytes->data() ? static_cast<const void*>(bytes->data()) : "";
      code = sqlite3_bind_blob64(statement_, index, data, bytes->size(), SQLITE_STATIC);
    } else {
      code = sqlite3_bind_null(statement_, index);
    }
  }
  if (code == SQLITE_OK) return;
  const std::string text = sqlite3_sql(statement_);
  reset();  // no Query owns the statement yet
  throw Failure(Failure::Kind::other,
                "parameter $" + std::to_string(parameter) + " cannot be bound in: " + text);
}

bool SqliteStatement::step() {
  if (ended_) return false;
  errno = 0;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  ended_ = true;
  if (code == SQLITE_DONE) return false;
  throw sqlite_failure(connection_.handle(), code, std::string_view(sqlite3_sql(statement_)).substr(0, 60));
}

void SqliteStatement::reset() {
  sqlite3_reset(statement_);  // repeats the error of step(), which was thrown there
  sqlite3_clear_bindings(statement_);
  in_use_ = false;
}

bool SqliteStatement::is_null(int column) {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}
std::int64_t SqliteStatement::integer(int column) {
  return sqlite3_column_int64(statement_, column);
}

std::string_view SqliteStatement::text(int column) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (!text) return {};
  return {text, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

ByteView SqliteStatement::bytes(int column) {
  const auto* bytes = static_cast<const std::byte*>(sqlite3_column_blob(statement_, column));
  if (!bytes) return {};
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

std::int64_t SqliteStatement::changes() {
  return connection_.changes();
}

// --- connections

SqliteConnection::SqliteConnection(const std::string& path, int flags, const std::string& vfs) : path_(path) {
  configure_library();
  errno = 0;
  const int code =
      sqlite3_open_v2(path.c_str(), &db_, flags | SQLITE_OPEN_NOMUTEX, vfs.empty() ? nullptr : vfs.c_str());
  if (code != SQLITE_OK) {
    const Failure failure = sqlite_failure(db_, code, "opening " + path);
    sqlite3_close(db_);
    throw failure;
  }
  sqlite3_extended_result_codes(db_, 1);
  // Somebody's sqlite3 shell on the same file may hold a lock for a moment.
  sqlite3_busy_timeout(db_, 5000);
  // A damaged or hostile schema must not run anything; a misspelt name in a query is an error, not a string.
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  // Nothing is written outside the data directory: /var/tmp may be read-only, and a kill would leave files
  // there.
  sqlite3_exec(db_, "PRAGMA temp_store=MEMORY", nullptr, nullptr, nullptr);
}

SqliteConnection::~SqliteConnection() {
  statements_.clear();
  sqlite3_close(db_);
}

Statement& SqliteConnection::statement(std::string_view sql) {
  auto found = statements_.find(sql);
  if (found == statements_.end()) found = statements_.try_emplace(std::string(sql)).first;
  for (const auto& copy : found->second) {
    if (copy->in_use()) continue;
    copy->take();
    return *copy;
  }
  SqliteStatement& added = *found->second.emplace_back(std::make_unique<SqliteStatement>(*this, sql));
  added.take();
  return added;
}

std::int64_t SqliteConnection::changes() const {
  return sqlite3_changes(db_);
}
bool SqliteConnection::in_transaction() const {
  return sqlite3_get_autocommit(db_) == 0;
}

void SqliteConnection::run(const std::string& sql) {
  errno = 0;
  const int code = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) throw sqlite_failure(db_, code, sql.substr(0, 60));
}

std::string SqliteConnection::value_of(const std::string& sql) {
  SqliteStatement query(*this, sql);
  return query.step() ? std::string(query.text(0)) : std::string();
}

void SqliteConnection::leave_log_on_close() {
  sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

}  // namespace stele::sql
