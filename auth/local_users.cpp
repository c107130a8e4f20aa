#include "auth/local_users.hpp"

#include <utility>

#include "base/digest.hpp"
#include "storage/catalog/logins.hpp"

namespace stele::auth {
namespace {

Error unknown(const UserName& name) {
  return Error(Errc::not_found,
               "there is no local user " + name.str() + "; stele user list shows those that there are");
}

LocalUser with_groups(sql::Session& session, catalog::UserRow row) {
  LocalUser user;
  user.groups = catalog::groups_of_user(session, row.id);
  user.row = std::move(row);
  return user;
}

LocalUser present(sql::Session& session, const UserName& name) {
  return with_groups(session, catalog::find_user(session, name.str()).value());
}

std::string joined(const std::vector<GroupName>& groups, std::string_view before) {
  std::string text;
  for (const GroupName& group : groups) text += (text.empty() ? "" : " ") + std::string(before) + group.str();
  return text;
}

void record(sql::Tx& tx, std::string_view action, const UserName& name, const std::string& reason,
            const audit::Actor& actor, Timestamp now) {
  audit::append(tx, audit::Event{action, {}, {}, std::nullopt, std::nullopt, name.str(), reason}, actor, now);
}

sql::Keys keys_of(const UserName& name) {
  return {"user:" + name.str()};
}

// What was made from the password before is over.
void end_tokens(sql::Tx& tx, const UserName& name, std::int64_t id) {
  catalog::begin_user_generation(tx, id);
  catalog::delete_login_tokens(tx, name.principal());
}

Error too_many_groups() {
  return Error(Errc::parameter_invalid, "a user may be in at most " +
                                            std::to_string(LocalUsers::most_groups) +
                                            " groups; take him out of some first");
}

}  // namespace

std::string LocalUser::fingerprint() const {
  const std::string text = "local " + std::to_string(row.id) + " " + std::to_string(row.generation);
  return std::string(Digest::of(DigestAlgorithm::sha256, text).hex().substr(0, 32));
}

LocalUsers::LocalUsers(sql::Database& database, sql::Writer& writer, const Clock& clock)
    : database_(database), writer_(writer), clock_(clock) {
  const auto count = database_.read(
      [](sql::Session& session) -> Result<std::int64_t> { return catalog::count_users(session); });
  count_ = count ? static_cast<std::size_t>(*count) : 1;
  had_any_ = count_ != 0;  // not known: asked at each login whether there is one
}

Result<std::optional<LocalUser>> LocalUsers::find(std::string_view typed) const {
  const auto name = UserName::parse_typed(typed);
  if (!name || !had_any()) return std::optional<LocalUser>();
  return database_.read([&](sql::Session& session) -> Result<std::optional<LocalUser>> {
    auto row = catalog::find_user(session, name->str());
    if (!row) return std::optional<LocalUser>();
    return std::optional<LocalUser>(with_groups(session, std::move(*row)));
  });
}

Task<Result<LocalUser>> LocalUsers::create(NewUser asked, PasswordHash password) {
  if (asked.groups.size() > most_groups) co_return too_many_groups();
  auto pending = writer_.write(keys_of(asked.name), [&](sql::Tx& tx) -> Result<LocalUser> {
    if (catalog::find_user(tx, asked.name.str())) {
      return Error(Errc::parameter_invalid,
                   "there is a local user " + asked.name.str() +
                       " already; stele user passwd gives him another password, stele user remove ends him");
    }
    const Timestamp now = clock_.now();
    catalog::UserRow row;
    row.name = asked.name.str();
    row.password = password.text();
    row.password_changed_at = now;
    row.created_at = now;
    row.created_by = asked.actor.principal.name();
    const std::int64_t id = catalog::insert_user(tx, row);
    for (const GroupName& group : asked.groups) catalog::add_user_to_group(tx, id, group.str());
    // Of somebody with this name that another source knew.
    catalog::delete_login_tokens(tx, asked.name.principal());
    record(tx, "user.create", asked.name, joined(asked.groups, "+"), asked.actor, now);
    return present(tx, asked.name);
  });
  had_any_ = true;  // before the first of them can log in
  auto made = co_await pending;
  if (made) ++count_;
  co_return made;
}

Result<std::vector<LocalUser>> LocalUsers::list(const std::string& after, std::int64_t limit) const {
  return database_.read([&](sql::Session& session) -> Result<std::vector<LocalUser>> {
    std::vector<LocalUser> users;
    for (catalog::UserRow& row : catalog::list_users(session, after, limit))
      users.push_back(with_groups(session, std::move(row)));
    return users;
  });
}

Task<Result<LocalUser>> LocalUsers::set_password(UserName name, PasswordHash password, audit::Actor actor) {
  auto pending = writer_.write(keys_of(name), [&](sql::Tx& tx) -> Result<LocalUser> {
    const auto user = catalog::find_user(tx, name.str());
    if (!user) return unknown(name);
    const Timestamp now = clock_.now();
    catalog::set_user_password(tx, user->id, password.text(), now);
    end_tokens(tx, name, user->id);
    record(tx, "user.password", name, {}, actor, now);
    return present(tx, name);
  });
  co_return co_await pending;
}

Task<Result<LocalUser>> LocalUsers::disable(UserName name, std::string reason, audit::Actor actor) {
  auto pending = writer_.write(keys_of(name), [&](sql::Tx& tx) -> Result<LocalUser> {
    const auto user = catalog::find_user(tx, name.str());
    if (!user) return unknown(name);
    const Timestamp now = clock_.now();
    if (!user->disabled_at) catalog::set_user_disabled(tx, user->id, now);
    end_tokens(tx, name, user->id);
    record(tx, "user.disable", name, reason, actor, now);
    return present(tx, name);
  });
  co_return co_await pending;
}

Task<Result<LocalUser>> LocalUsers::enable(UserName name, std::string reason, audit::Actor actor) {
  auto pending = writer_.write(keys_of(name), [&](sql::Tx& tx) -> Result<LocalUser> {
    const auto user = catalog::find_user(tx, name.str());
    if (!user) return unknown(name);
    catalog::set_user_disabled(tx, user->id, std::nullopt);
    // What was remembered of his password while he was disabled is over, too.
    catalog::begin_user_generation(tx, user->id);
    record(tx, "user.enable", name, reason, actor, clock_.now());
    return present(tx, name);
  });
  co_return co_await pending;
}

Task<Result<LocalUser>> LocalUsers::change_groups(UserName name, std::vector<GroupName> add,
                                                  std::vector<GroupName> remove, audit::Actor actor) {
  auto pending = writer_.write(keys_of(name), [&](sql::Tx& tx) -> Result<LocalUser> {
    const auto user = catalog::find_user(tx, name.str());
    if (!user) return unknown(name);
    for (const GroupName& group : remove) catalog::remove_user_from_group(tx, user->id, group.str());
    for (const GroupName& group : add) catalog::add_user_to_group(tx, user->id, group.str());
    LocalUser changed = present(tx, name);
    if (changed.groups.size() > most_groups) return too_many_groups();
    std::string words = joined(add, "+");
    if (!remove.empty()) words += (words.empty() ? "" : " ") + joined(remove, "-");
    record(tx, "user.groups", name, words, actor, clock_.now());
    return changed;
  });
  co_return co_await pending;
}

Task<Result<void>> LocalUsers::remove(UserName name, std::string reason, audit::Actor actor) {
  auto pending = writer_.write(keys_of(name), [&](sql::Tx& tx) -> Result<void> {
    const auto user = catalog::find_user(tx, name.str());
    if (!user) return unknown(name);
    catalog::delete_user(tx, user->id);
    catalog::delete_login_tokens(tx, name.principal());
    record(tx, "user.remove", name, reason, actor, clock_.now());
    return {};
  });
  auto removed = co_await pending;
  if (removed && count_ > 1) --count_;
  co_return removed;
}

}  // namespace stele::auth
