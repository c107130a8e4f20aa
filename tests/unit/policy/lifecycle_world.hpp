#pragma once
// Repositories by names, for the tests of the lifecycle rules.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "policy/judge.hpp"

namespace stele::policy {

// 2026-11-25T12:00:00Z.
inline constexpr Timestamp world_now{1'795'608'000'000'000};
inline constexpr std::int64_t one_day = 24LL * 3600 * 1'000'000;

inline Timestamp days_ago(std::int64_t days, std::int64_t microseconds_more = 0) {
  return world_now + (-days * one_day - microseconds_more);
}

struct WorldManifest {
  std::string name;
  Timestamp pushed_at = days_ago(1000);
  Timestamp pulled_at = never;
  Timestamp untagged_at = never;
  std::int64_t bytes = 1;
  std::string subject;  // "?": one that is not here
  std::vector<std::string> entries;
  std::vector<std::string> blobs;
  std::optional<std::string> artifact_type = "image";
  std::optional<std::map<std::string, std::string>> labels = std::map<std::string, std::string>();
  std::optional<Blocker> blocker;
};

struct WorldTag {
  std::string name;
  std::string manifest;
  Timestamp pushed_at = days_ago(1000);
  std::optional<Blocker> blocker;
  std::string signs;  // "?": one that is not here
  std::int64_t sequence = 0;
};

struct World {
  std::string repository = "ci/app";
  std::optional<Timestamp> pulls_since = days_ago(2000);
  std::vector<WorldManifest> manifests;
  std::vector<WorldTag> tags;
  std::map<std::string, SnapshotBlob> blobs;

  WorldManifest& manifest(const std::string& name) {
    manifests.push_back({});
    manifests.back().name = name;
    return manifests.back();
  }
  WorldTag& tag(const std::string& name, const std::string& of, Timestamp pushed_at = days_ago(1000)) {
    tags.push_back({name, of, pushed_at, {}, {}, 0});
    return tags.back();
  }
  // A manifest and its tag of the same name.
  WorldManifest& image(const std::string& name, Timestamp pushed_at = days_ago(1000)) {
    tag(name, name, pushed_at);
    WorldManifest& made = manifest(name);
    made.pushed_at = pushed_at;
    return made;
  }

  RowIndex row(const std::string& name) const {
    for (std::size_t i = 0; i < manifests.size(); ++i) {
      if (manifests[i].name == name) return static_cast<RowIndex>(i);
    }
    return no_row;
  }

  Snapshot snapshot() const {
    Snapshot made;
    made.repository = repository;
    made.now = world_now;
    made.pulls_since = pulls_since;
    std::map<std::string, RowIndex> texts, blob_rows;
    const auto text = [&](const std::string& value) {
      const auto [place, fresh] = texts.emplace(value, static_cast<RowIndex>(made.texts.size()));
      if (fresh) made.texts.push_back(value);
      return place->second;
    };
    const auto blocker = [&](const std::optional<Blocker>& value) {
      if (!value) return no_row;
      made.blockers.push_back(*value);
      return static_cast<RowIndex>(made.blockers.size() - 1);
    };
    for (const auto& [name, blob] : blobs) {
      blob_rows[name] = static_cast<RowIndex>(made.blobs.size());
      made.blobs.push_back(blob);
    }
    for (const WorldManifest& manifest : manifests) {
      SnapshotManifest& row = made.manifests.emplace_back();
      row.id = static_cast<std::int64_t>(made.manifests.size());
      row.pushed_at = manifest.pushed_at;
      row.pulled_at = manifest.pulled_at;
      row.untagged_at = manifest.untagged_at;
      row.bytes = manifest.bytes;
      if (manifest.subject == "?") row.flags |= SnapshotManifest::subject_is_elsewhere;
      row.subject = this->row(manifest.subject);
      row.entries.first = static_cast<std::uint32_t>(made.entries.size());
      for (const std::string& entry : manifest.entries) made.entries.push_back(this->row(entry));
      row.entries.count = static_cast<std::uint32_t>(manifest.entries.size());
      row.blobs.first = static_cast<std::uint32_t>(made.blob_uses.size());
      for (const std::string& blob : manifest.blobs) made.blob_uses.push_back(blob_rows.at(blob));
      row.blobs.count = static_cast<std::uint32_t>(manifest.blobs.size());
      if (manifest.artifact_type) row.artifact_type = text(*manifest.artifact_type);
      if (manifest.labels) {
        row.flags |= SnapshotManifest::labels_known;
        row.labels.first = static_cast<std::uint32_t>(made.labels.size());
        for (const auto& [key, value] : *manifest.labels) made.labels.push_back({text(key), text(value)});
        row.labels.count = static_cast<std::uint32_t>(manifest.labels->size());
      }
      row.blocker = blocker(manifest.blocker);
    }
    for (const WorldTag& tag : tags) {
      SnapshotTag& made_tag = made.tags.emplace_back();
      made_tag.name = tag.name;
      made_tag.manifest = row(tag.manifest);
      made_tag.pushed_at = tag.pushed_at;
      made_tag.sequence = tag.sequence;
      made_tag.blocker = blocker(tag.blocker);
      made_tag.signs = tag.signs.empty()  ? SnapshotTag::no_signature
                       : tag.signs == "?" ? SnapshotTag::signs_what_is_absent
                                          : row(tag.signs);
    }
    return made;
  }
};

}  // namespace stele::policy
