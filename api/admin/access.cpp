#include "api/admin/admin_handler.hpp"
#include "auth/authenticator.hpp"
#include "http/uri.hpp"
#include "policy/access_question.hpp"

namespace stele::api {

// GET /api/v1/access/explain?who=…[&group=…][&claim=…]&action=…[&repository=…]
AdminHandler::Answer AdminHandler::explain_access(http::Exchange& http, const AdminRoute&) {
  const http::QueryParameters query(http.request().query);
  policy::AccessWords words;
  words.who = query.first("who").value_or("");
  words.action = query.first("action").value_or("");
  words.repository = query.first("repository").value_or("");
  for (const std::string_view group : query.all("group")) words.groups.emplace_back(group);
  for (const std::string_view claim : query.all("claim")) words.claims.emplace_back(claim);
  auto question = policy::read_question(words);
  if (!question) co_return question.error();
  if (constexpr std::string_view robot = "robot:"; words.who.starts_with(robot)) {
    auto limits = context_.robots.limits_of(words.who.substr(robot.size()));
    if (!limits) co_return limits.error();
    question->caller.limits = std::move(*limits);
  }
  // Groups that are named are those of the question: what if she were in it? Otherwise those of now.
  if (constexpr std::string_view user = "user:"; words.who.starts_with(user) && words.groups.empty()) {
    auto known = co_await context_.authenticator.known_user(words.who.substr(user.size()));
    if (!known) co_return known.error();
    question->groups_from = *known ? policy::GroupsFrom::server : policy::GroupsFrom::nobody;
    if (*known) {
      question->caller.principal = Principal(std::string(user) + (*known)->name);
      question->caller.groups = std::move((*known)->groups);
    }
  }
  const auto name = RepositoryName::parse(question->repository);
  const auth::Needs asking(question->right, "asking");
  const bool may = context_.access.may(question->caller, asking, name ? &*name : nullptr).has_value();
  const auto policy = context_.policies.current();
  http::Response response(200);
  response.body(policy::answer_json(*policy, *question, may), "application/json");
  co_return response;
}

}  // namespace stele::api
