#include "gc/lifecycle/repository_view.hpp"

#include <algorithm>
#include <numeric>
#include <set>
#include <unordered_map>

#include "base/hasher.hpp"
#include "base/hex.hpp"
#include "gc/lifecycle/image_labels.hpp"
#include "policy/lifecycle_rules.hpp"
#include "registry/unknown.hpp"
#include "storage/catalog/in_use.hpp"
#include "storage/catalog/protection.hpp"

namespace stele::gc {
namespace {

using policy::no_row;
using policy::RowIndex;

constexpr std::string_view sha256 = "sha256:";
constexpr std::string_view sha512 = "sha512:";
constexpr std::int64_t rows_per_step = 1000;

std::uint8_t nibble(char c) {
  return static_cast<std::uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10);
}

template <class T>
RowIndex last_row(const std::vector<T>& rows) {
  return static_cast<RowIndex>(rows.size() - 1);
}

// The digest that an @signature tag names: "sha256-<hex>" with or without an ending; of a sha512 one what
// fits into a tag.
std::string signed_digest(std::string_view tag) {
  const std::size_t dash = tag.find('-');
  const std::size_t dot = tag.find('.');
  if (dash == std::string_view::npos) return {};
  return std::string(tag.substr(0, dash)) + ":" +
         std::string(tag.substr(dash + 1, dot == std::string_view::npos ? dot : dot - dash - 1));
}

// A time that nobody wrote down, as of what came in without one.
Timestamp known(Timestamp time) {
  return time.microseconds > 0 ? time : policy::never;
}

// Not in the catalog yet.
using Pushes = std::map<std::string, std::pair<catalog::ManifestId, Timestamp>, std::less<>>;

class Builder {
 public:
  Builder(const RegistryContext& context, const policy::Policy& policy, const Pushes& pushes,
          const std::optional<Timestamp>& at, sql::Session& session, RepositoryView& view)
      : context_(context),
        policy_(policy),
        pushes_(pushes),
        at_(at),
        session_(session),
        view_(view),
        snapshot_(view.snapshot) {}

  void build() {
    snapshot_.repository = view_.name.str();
    snapshot_.now = at_.value_or(lifecycle_time(context_));
    snapshot_.pulls_since = context_.pulls.since();
    add_manifests();
    add_links();
    add_references();
    add_tags();
    add_pulls();
    block();
    const auto rules = policy_.lifecycle()->rules_for(view_.name.str());
    if (policy::needs_of(rules).labels) add_labels(context_, rules, session_, view_);
  }

 private:
  RowIndex text(std::string_view value) {
    const auto [place, fresh] =
        texts_.try_emplace(std::string(value), static_cast<RowIndex>(snapshot_.texts.size()));
    if (fresh) snapshot_.texts.emplace_back(value);
    return place->second;
  }

  RowIndex blocker(policy::Blocker::Kind kind, std::string words) {
    const auto [place, fresh] = blockers_.try_emplace({static_cast<int>(kind), words},
                                                      static_cast<RowIndex>(snapshot_.blockers.size()));
    if (fresh) snapshot_.blockers.push_back({kind, std::move(words)});
    return place->second;
  }

  RowIndex row_of(catalog::ManifestId id) const {
    const auto found =
        std::lower_bound(by_id_.begin(), by_id_.end(), static_cast<std::int64_t>(id),
                         [](const auto& entry, std::int64_t wanted) { return entry.first < wanted; });
    return found == by_id_.end() || found->first != static_cast<std::int64_t>(id) ? no_row : found->second;
  }

  void add_manifests() {
    std::vector<std::string> subjects;  // of those that have one, by row
    std::vector<RowIndex> with_subject;
    view_.seen = {catalog::ManifestId(0), context_.clock.now()};
    catalog::visit_manifests(session_, view_.id, [&](const catalog::ManifestRow& row) {
      policy::SnapshotManifest manifest;
      manifest.id = static_cast<std::int64_t>(row.id);
      manifest.pushed_at = known(row.created_at);
      if (row.untagged_since) manifest.untagged_at = *row.untagged_since;
      manifest.bytes = row.size;
      manifest.artifact_type = text(row.artifact_type);
      snapshot_.manifests.push_back(manifest);
      view_.digests.add(row.digest);
      by_id_.emplace_back(manifest.id, last_row(snapshot_.manifests));
      view_.seen.highest = std::max(view_.seen.highest, row.id);
      if (row.subject) {
        subjects.emplace_back(*row.subject);
        with_subject.push_back(last_row(snapshot_.manifests));
      }
    });
    std::sort(by_id_.begin(), by_id_.end());
    view_.digests.index();
    for (std::size_t i = 0; i < subjects.size(); ++i) {
      policy::SnapshotManifest& manifest = snapshot_.manifests[static_cast<std::size_t>(with_subject[i])];
      manifest.subject = view_.digests.find(subjects[i]);
      if (manifest.subject == no_row) manifest.flags |= policy::SnapshotManifest::subject_is_elsewhere;
    }
  }

  void add_links() {
    catalog::visit_links(session_, view_.id, [&](const catalog::LinkRow& row) {
      snapshot_.blobs.push_back({row.size, row.elsewhere});
      blobs_.add(row.digest);
    });
    blobs_.index();
  }

  // The rows come by digest; each manifest wants its own together.
  void add_references() {
    std::vector<std::pair<RowIndex, RowIndex>> entries, uses;  // (manifest, what it needs)
    std::string last;
    RowIndex manifest_there = no_row, blob_there = no_row;
    catalog::visit_references(session_, view_.id, [&](const catalog::ReferenceInOrder& row) {
      if (row.kind == "subject") return;
      const RowIndex from = row_of(row.manifest);
      if (from == no_row) return;
      if (row.digest != last) {
        last = row.digest;
        manifest_there = view_.digests.find(last);
        blob_there = blobs_.find(last);
      }
      // buildkit's cache export lists layers as entries.
      if (row.kind == "entry" && manifest_there != no_row) {
        entries.emplace_back(from, manifest_there);
      } else if (blob_there != no_row) {
        uses.emplace_back(from, blob_there);
      }
    });
    fill(entries, snapshot_.entries, &policy::SnapshotManifest::entries);
    fill(uses, snapshot_.blob_uses, &policy::SnapshotManifest::blobs);
  }

  void fill(std::vector<std::pair<RowIndex, RowIndex>>& pairs, std::vector<RowIndex>& targets,
            policy::RowRange policy::SnapshotManifest::* range) {
    std::sort(pairs.begin(), pairs.end());
    targets.reserve(pairs.size());
    for (const auto& [from, to] : pairs) {
      policy::RowRange& own = snapshot_.manifests[static_cast<std::size_t>(from)].*range;
      if (own.count == 0) own.first = static_cast<std::uint32_t>(targets.size());
      ++own.count;
      targets.push_back(to);
    }
    pairs.clear();
    pairs.shrink_to_fit();
  }

  void add_tags() {
    const auto signature = policy::PatternList::compile({"@signature"}).value();
    catalog::visit_tags(session_, view_.id, [&](const catalog::TagRow& row) {
      policy::SnapshotTag tag;
      tag.name = row.name;
      tag.manifest = row_of(row.manifest);
      tag.bound_at = row.bound_at;
      tag.pushed_at = known(row.pushed_at);
      if (const auto again = pushes_.find(row.name);
          again != pushes_.end() && again->second.first == row.manifest)
        tag.pushed_at = std::max(tag.pushed_at, again->second.second);
      const policy::Match match = policy_.tag_rule(view_.name.str(), tag.name);
      if (match.rule->lifecycle_protects)
        tag.blocker = blocker(policy::Blocker::Kind::tag_rule, match.rule->name);
      if (signature.matches(tag.name)) {
        const RowIndex target = view_.digests.find(signed_digest(tag.name));
        tag.signs = target == no_row ? policy::SnapshotTag::signs_what_is_absent : target;
      }
      snapshot_.tags.push_back(std::move(tag));
    });
    order_equal_times();
  }

  // Times are equal where one request sets several tags, where many are imported, and by chance.
  void order_equal_times() {
    std::vector<std::pair<Timestamp, RowIndex>> by_time;
    by_time.reserve(snapshot_.tags.size());
    for (const policy::SnapshotTag& tag : snapshot_.tags)
      by_time.emplace_back(tag.pushed_at, static_cast<RowIndex>(by_time.size()));
    std::sort(by_time.begin(), by_time.end());
    for (std::size_t i = 0; i < by_time.size(); ++i) {
      const Timestamp time = by_time[i].first;
      const bool is_alone = (i == 0 || by_time[i - 1].first != time) &&
                            (i + 1 == by_time.size() || by_time[i + 1].first != time);
      if (is_alone) continue;
      policy::SnapshotTag& tag = snapshot_.tags[static_cast<std::size_t>(by_time[i].second)];
      tag.sequence = catalog::last_binding(session_, view_.id, tag.name);
    }
  }

  void add_pulls() {
    if (!snapshot_.pulls_since) return;
    context_.pulls.visit(session_, view_.id, [&](catalog::ManifestId id, Timestamp at) {
      const RowIndex row = row_of(id);
      if (row != no_row) snapshot_.manifests[static_cast<std::size_t>(row)].pulled_at = at;
    });
  }

  void block() {
    const auto block_manifest = [&](const std::string& digest, policy::Blocker::Kind kind,
                                    std::string words) {
      const RowIndex row = view_.digests.find(digest);
      if (row == no_row) return;
      RowIndex& own = snapshot_.manifests[static_cast<std::size_t>(row)].blocker;
      if (own == no_row) own = blocker(kind, std::move(words));
    };
    block_by_locks(block_manifest);
    block_by_holds(block_manifest);
    for (std::string after;;) {
      const auto digests = catalog::digests_in_use(session_, view_.name, after, rows_per_step);
      for (const Digest& digest : digests) {
        const auto clusters = catalog::clusters_using(session_, view_.name, digest);
        if (clusters.empty()) continue;
        const std::string others =
            clusters.size() > 1 ? " and " + std::to_string(clusters.size() - 1) + " more" : "";
        block_manifest(digest.str(), policy::Blocker::Kind::in_use, "cluster " + clusters.front() + others);
      }
      if (digests.size() < static_cast<std::size_t>(rows_per_step)) break;
      after = digests.back().str();
    }
  }

  // A lock names the tag through which it was stamped: that name cannot go while it points there.
  template <class BlockManifest>
  void block_by_locks(const BlockManifest& block_manifest) {
    const Timestamp release_time = at_.value_or(context_.release_clock.now());
    std::string digest, tag;
    for (;;) {
      const auto locks = catalog::list_locks(session_, view_.name, digest, tag, rows_per_step);
      for (const catalog::LockRow& lock : locks) {
        if (lock.until <= release_time) continue;
        block_manifest(lock.digest.str(), policy::Blocker::Kind::lock,
                       "until " + to_string(lock.until) + " (" + lock.mode + ")");
      }
      if (locks.size() < static_cast<std::size_t>(rows_per_step)) break;
      digest = locks.back().digest.str();
      tag = locks.back().tag.str();
    }
  }

  template <class BlockManifest>
  void block_by_holds(const BlockManifest& block_manifest) {
    for (const catalog::HoldRow& hold : catalog::holds_on(session_, view_.name)) {
      if (hold.digest) {
        block_manifest(hold.digest->str(), policy::Blocker::Kind::hold, hold.name);
      } else if (!hold.tag) {
        for (policy::SnapshotManifest& manifest : snapshot_.manifests) {
          if (manifest.blocker == no_row) manifest.blocker = blocker(policy::Blocker::Kind::hold, hold.name);
        }
      }
      if (!hold.tag) continue;
      const auto place = std::lower_bound(
          snapshot_.tags.begin(), snapshot_.tags.end(), hold.tag->str(),
          [](const policy::SnapshotTag& tag, const std::string& wanted) { return tag.name < wanted; });
      if (place == snapshot_.tags.end() || place->name != hold.tag->str()) continue;
      if (place->blocker == no_row) place->blocker = blocker(policy::Blocker::Kind::hold, hold.name);
    }
  }

  const RegistryContext& context_;
  const policy::Policy& policy_;
  const Pushes& pushes_;
  const std::optional<Timestamp>& at_;
  sql::Session& session_;
  RepositoryView& view_;
  policy::Snapshot& snapshot_;
  DigestColumn blobs_;
  std::vector<std::pair<std::int64_t, RowIndex>> by_id_;
  std::unordered_map<std::string, RowIndex> texts_;
  std::map<std::pair<int, std::string>, RowIndex> blockers_;
};

}  // namespace

DigestColumn::Key DigestColumn::key_of(std::string_view digest) {
  Key key{};
  if (digest.starts_with(sha256) && digest.size() == sha256.size() + 2 * key.size()) {
    digest.remove_prefix(sha256.size());
    for (std::size_t i = 0; i < key.size(); ++i)
      key[i] = static_cast<std::uint8_t>(nibble(digest[2 * i]) << 4 | nibble(digest[2 * i + 1]));
    return key;
  }
  return key_of(Digest::of(DigestAlgorithm::sha256, digest).str());
}

void DigestColumn::add(std::string_view digest) {
  if (!digest.starts_with(sha256)) others_.emplace(static_cast<RowIndex>(keys_.size()), digest);
  keys_.push_back(key_of(digest));
}

std::string DigestColumn::text(RowIndex row) const {
  if (const auto other = others_.find(row); other != others_.end()) return other->second;
  return std::string(sha256) + to_hex(keys_[static_cast<std::size_t>(row)]);
}

void DigestColumn::index() {
  order_.resize(keys_.size());
  std::iota(order_.begin(), order_.end(), 0);
  std::sort(order_.begin(), order_.end(), [&](RowIndex a, RowIndex b) {
    return keys_[static_cast<std::size_t>(a)] < keys_[static_cast<std::size_t>(b)];
  });
  for (const auto& [row, text] : others_) by_begin_.emplace(text.substr(0, shortest_cut), row);
}

RowIndex DigestColumn::find_cut(std::string_view begin) const {
  if (begin.size() < shortest_cut) return no_row;
  const auto found = by_begin_.find(std::string(begin.substr(0, shortest_cut)));
  if (found == by_begin_.end() || !others_.at(found->second).starts_with(begin)) return no_row;
  return found->second;
}

RowIndex DigestColumn::find(std::string_view digest) const {
  if (digest.empty()) return no_row;
  if (digest.starts_with(sha512)) return find_cut(digest);
  const Key key = key_of(digest);
  const auto found = std::lower_bound(
      order_.begin(), order_.end(), key,
      [&](RowIndex row, const Key& wanted) { return keys_[static_cast<std::size_t>(row)] < wanted; });
  if (found == order_.end() || keys_[static_cast<std::size_t>(*found)] != key) return no_row;
  return *found;
}

Timestamp lifecycle_time(const RegistryContext& context) {
  return std::min(context.clock.now(), context.release_clock.now());
}

Result<RepositoryView> view_repository(const RegistryContext& context, const policy::Policy& policy,
                                       const RepositoryName& name, const std::optional<Timestamp>& at) {
  const Pushes pushes = context.pulls.pushes().of(name);  // before the catalog is read (push_times.hpp)
  return context.database.read([&](sql::Session& session) -> Result<RepositoryView> {
    const auto id = catalog::find_repository(session, name);
    if (!id) return unknown_repository(name);
    RepositoryView view{name, *id, {}, {}, {}};
    Builder(context, policy, pushes, at, session, view).build();
    return view;
  });
}

}  // namespace stele::gc
