#pragma once
// Internal to api/admin/: a lifecycle plan as JSON, out and in. A plan of a million manifests has hundreds of
// megabytes: it is written into a file without a name and sent from there.

#include <string>

#include "base/unique_fd.hpp"
#include "gc/lifecycle/runs.hpp"
#include "http/message.hpp"

namespace stele::api {

// Not thread-safe.
class PlanDocument {
 public:
  explicit PlanDocument(UniqueFd file) : file_(std::move(file)) {}
  Result<void> add(const gc::PlannedItem&);  // no_space, io
  // {"plan": {…}, "items": […]}
  Result<http::Response> finish(const gc::PlanSummary&) &&;

 private:
  Result<void> flush();

  UniqueFd file_;
  std::string buffer_;
  std::uint64_t written_ = 0;
  bool any_ = false;
};

// Of such a document what would be removed; other items may be left out of it. parameter_invalid: it is no
// plan, or its hash is not that of its items.
Result<gc::ApprovedPlan> read_plan(const std::string& text);

}  // namespace stele::api
