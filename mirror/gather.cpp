#include "mirror/gather.hpp"

#include <deque>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/manifest.hpp"
#include "base/media_type.hpp"
#include "mirror/bad_upstream.hpp"
#include "mirror/mirrors_impl.hpp"
#include "mirror/platform.hpp"
#include "registry/signature_tags.hpp"
#include "registry/unknown.hpp"

namespace stele::mirror {
namespace {

constexpr std::int64_t most_referrers = 10'000;  // of one manifest
constexpr std::size_t most_told = 5;             // of what is missing, in a message

bool is_unknown(const Error& error) {
  const Errc code = error.code();
  return code == Errc::not_found || code == Errc::manifest_unknown || code == Errc::blob_unknown ||
         code == Errc::name_unknown;
}

// `error` with these words before its own.
Error about(const std::string& what, const Error& error) {
  Error told(error.code(), what + ": " + error.message());
  for (const Error::Detail& detail : error.details()) told = Error(told).with(detail.key, detail.value);
  return told;
}

// The sentence in the value of a Warning field.
std::string sentence_of(const std::string& warning) {
  const std::size_t begin = warning.find('"');
  const std::size_t end = warning.rfind('"');
  if (begin == std::string::npos || end <= begin) return warning;
  return warning.substr(begin + 1, end - begin - 1);
}

std::vector<Digest> digests_of(const std::vector<Listing::Entry>& entries) {
  std::vector<Digest> digests;
  for (const Listing::Entry& entry : entries) {
    const auto json = nlohmann::json::parse(entry.text, nullptr, false);
    if (!json.is_object() || !json.contains("digest") || !json["digest"].is_string()) continue;
    if (auto digest = Digest::parse(json["digest"].get<std::string>())) digests.push_back(std::move(*digest));
  }
  return digests;
}

}  // namespace

// One call of gather(): manifests first, so that what upstream lacks is found out before gigabytes move.
class Mirrors::Impl::Gathering {
 public:
  Gathering(Impl& mirrors, Place place, Wanted wanted)
      : mirrors_(mirrors),
        place_(std::move(place)),
        wanted_(std::move(wanted)),
        platforms_(wanted_.platforms) {}

  Task<Result<Gathered>> run(Reference reference) {
    auto root = co_await root_of(reference);
    if (!root) co_return about(place_.stored.str(), root.error());
    gathered_.emplace(std::move(*root));
    gathered_->upstream = upstream_;
    waiting_.push_back(gathered_->digest);
    for (; !waiting_.empty(); waiting_.pop_front()) {
      const Digest next = waiting_.front();
      auto taken = co_await manifest(next);
      if (!taken) co_return taken.error();
    }
    for (const std::string& platform : platforms_.unmatched())
      missing_.push_back({Errc::manifest_unknown, platform, "the index has " + platforms_.others()});
    for (const Digest& digest : blobs_) {
      auto begun = co_await blob(digest);
      if (!begun) co_return begun.error();
    }
    while (!arriving_.empty()) {
      auto here = co_await land();
      if (!here) co_return here.error();
    }
    if (!missing_.empty()) co_return incomplete(reference);
    gathered_->warnings.assign(warnings_.begin(), warnings_.end());
    co_return std::move(*gathered_);
  }

 private:
  // The digest that the reference means. What was stale, or kept by a rule, is a warning.
  Task<Result<Digest>> root_of(const Reference& reference) {
    upstream_ = mirrors_.upstream(place_).settings().name;
    if (reference.digest()) co_return *reference.digest();
    const Tag tag = *reference.tag();
    if (!wanted_.offline) {
      auto known = co_await mirrors_.current(place_, tag);
      if (!known) {
        if (known.error().code() == Errc::not_found) co_return unknown_manifest(place_.stored, reference);
        co_return known.error();
      }
      if (!known->warning.empty()) warnings_.insert(sentence_of(known->warning));
      const auto state = mirrors_.tag_state(place_, tag);
      if (state && state->said && state->said->digest == known->digest) upstream_ = state->said->upstream;
      co_return known->digest;
    }
    const auto state = mirrors_.tag_state(place_, tag);
    if (!state) co_return state.error();
    if (!state->bound) co_return unknown_manifest(place_.stored, reference);
    if (state->said && state->said->digest == *state->bound) upstream_ = state->said->upstream;
    co_return *state->bound;
  }

  Task<Result<void>> manifest(Digest digest) {
    if (!seen_.insert(digest.str()).second) co_return Result<void>();
    if (seen_.size() > most_manifests) co_return too_much(most_manifests, "manifests");
    const auto here = mirrors_.has_manifest(place_.stored, digest);
    if (!here) co_return here.error();
    if (!*here) {
      auto brought = co_await bring_manifest(digest);
      if (!brought) co_return brought.error();
      if (*brought == Came::no) co_return Result<void>();
    }
    const Reference reference(digest);
    const auto stored = co_await mirrors_.registry.manifest(place_.stored, reference, Look::use);
    if (!stored) co_return stored.error();
    const auto parsed = Manifest::parse(stored->media_type, stored->bytes);
    if (!parsed) co_return parsed.error();
    ++gathered_->manifests;
    const ManifestText text{digest, stored->media_type, stored->bytes};
    if (auto noted = note_needed(*parsed, text); !noted) co_return noted;
    if (!wanted_.referrers) co_return Result<void>();
    co_return co_await attached(digest);
  }

  enum class Came { yes, no };  // no: it is missing, and noted as such
  Task<Result<Came>> bring_manifest(Digest digest) {
    if (wanted_.offline) {
      missing_.push_back({Errc::manifest_unknown, "manifest " + digest.str(), "it is not here"});
      co_return Came::no;
    }
    auto brought = co_await mirrors_.bring(place_, digest, true);
    if (brought) {
      ++gathered_->fetched_manifests;
      co_return Came::yes;
    }
    const std::string what = "manifest " + digest.str();
    if (!is_unknown(brought.error())) co_return about(place_.stored.str() + ", " + what, brought.error());
    missing_.push_back({Errc::manifest_unknown, what, "upstream does not have it"});
    co_return Came::no;
  }

  Result<void> note_needed(const Manifest& manifest, const ManifestText& text) {
    if (manifest.config()) blobs_needed(manifest.config()->digest);
    for (const Descriptor& layer : manifest.layers()) {
      if (!media_type::is_nondistributable(layer.media_type)) blobs_needed(layer.digest);
    }
    if (wanted_.beside && !manifest.entries().empty()) {
      if (auto noted = note_platforms_of(*wanted_.beside, text); !noted) return noted;
    } else if (!manifest.entries().empty()) {
      const auto chosen = platforms_.choose(text.bytes);
      for (const Descriptor& entry : manifest.entries()) {
        if (!chosen(entry.digest)) continue;
        const std::string type = media_type::essence(entry.media_type);
        // buildkit's cache export lists layers.
        if (media_type::is_image(type) || media_type::is_index(type)) {
          waiting_.push_back(entry.digest);
        } else {
          blobs_needed(entry.digest);
        }
      }
    }
    if (blobs_.size() > most_blobs) return too_much(most_blobs, "blobs");
    return {};
  }

  Result<void> note_platforms_of(const Digest& held, const ManifestText& index) {
    const auto before = mirrors_.text_of(place_, held);
    if (!before) return before.error();
    if (!*before || index.digest != gathered_->digest) return {};
    const auto changes = compare(**before, index);
    if (!changes) return changes.error();
    for (const ImageChange& change : *changes) {
      if (!change.held || !change.upstream) continue;
      const auto here = mirrors_.has_manifest(place_.stored, *change.held);
      if (!here) return here.error();
      if (*here) waiting_.push_back(*change.upstream);
    }
    return {};
  }

  void blobs_needed(const Digest& digest) {
    if (seen_blobs_.insert(digest.str()).second) blobs_.push_back(digest);
  }

  // What refers to the manifest and what is tagged after its digest.
  Task<Result<void>> attached(Digest digest) {
    if (!wanted_.offline) {
      auto listed = co_await mirrors_.list(place_, digest);
      if (listed) {
        if (!listed->warning.empty()) warnings_.insert(sentence_of(listed->warning));
        for (Digest& referrer : digests_of(listed->entries)) waiting_.push_back(std::move(referrer));
      } else if (listed.error().code() == Errc::forbidden) {
        warn_of_refusal();
      } else {
        co_return about(place_.stored.str() + ", what refers to " + digest.str() +
                            " (without asking upstream: --offline)",
                        listed.error());
      }
    }
    for (const Tag& tag : signature_tags(digest)) {
      // The fallback tag of the referrers was asked for where upstream has no list of them.
      if (tag.str().find('.') == std::string::npos) continue;
      auto tagged = co_await attached_by(tag);
      if (!tagged) co_return tagged;
    }
    auto ours = mirrors_.context.database.read([&](sql::Session& session) -> Result<std::vector<Digest>> {
      const auto id = catalog::find_repository(session, place_.stored);
      if (!id) return std::vector<Digest>();
      return catalog::referring_to(session, *id, digest, most_referrers);
    });
    if (!ours) co_return ours.error();
    for (Digest& referrer : *ours) waiting_.push_back(std::move(referrer));
    co_return Result<void>();
  }

  Task<Result<void>> attached_by(Tag tag) {
    if (wanted_.offline) {
      const auto state = mirrors_.tag_state(place_, tag);
      if (!state) co_return state.error();
      if (state->bound) waiting_.push_back(*state->bound);
      co_return Result<void>();
    }
    auto known = co_await mirrors_.current(place_, tag);
    if (known) {
      waiting_.push_back(known->digest);
    } else if (known.error().code() == Errc::forbidden) {
      warn_of_refusal();
    } else if (!is_unknown(known.error())) {
      co_return about(
          place_.stored.str() + ", the signature tag " + tag.str() + " (without asking upstream: --offline)",
          known.error());
    }
    co_return Result<void>();
  }

  void warn_of_refusal() {
    warnings_.insert(mirrors_.upstream(place_).settings().name +
                     " refuses to say what signatures and other " + "referrers " + place_.stored.str() +
                     " has; those that are here were taken");
  }

  // Begun, or here.
  Task<Result<void>> blob(Digest digest) {
    ++gathered_->blobs;
    if (mirrors_.registry.blob_size(place_.stored, digest)) co_return Result<void>();
    if (wanted_.offline) {
      missing_.push_back({Errc::blob_unknown, "blob " + digest.str(), "it is not here"});
      co_return Result<void>();
    }
    if (arriving_.size() >= most_arriving) {
      auto here = co_await land();
      if (!here) co_return here;
    }
    bool joined = false;
    auto file = co_await mirrors_.arriving(place_, digest, joined);
    if (!file) co_return note_blob(digest, file.error());
    arriving_.emplace_back(std::move(digest), std::move(*file));
    co_return Result<void>();
  }

  // The first of those that arrive.
  Task<Result<void>> land() {
    auto [digest, file] = std::move(arriving_.front());
    arriving_.pop_front();
    auto here = co_await mirrors_.landed(place_, digest, std::move(file));
    if (!here) co_return note_blob(digest, here.error());
    ++gathered_->fetched_blobs;
    if (const auto size = mirrors_.registry.blob_size(place_.stored, digest))
      gathered_->fetched_bytes += *size;
    co_return Result<void>();
  }

  Result<void> note_blob(const Digest& digest, const Error& error) {
    const std::string what = "blob " + digest.str();
    if (error.code() == Errc::digest_mismatch) {
      return bad_upstream(place_.stored.str() + ", " + what +
                          ": upstream sent other bytes than these; they were not kept");
    }
    if (!is_unknown(error)) return about(place_.stored.str() + ", " + what, error);
    missing_.push_back({Errc::blob_unknown, what, "upstream does not have it"});
    return {};
  }

  Error too_much(std::size_t most, const char* what) const {
    return Error(Errc::parameter_invalid, "more than " + std::to_string(most) + " " + what +
                                              " belong to this " + "image of " + place_.stored.str());
  }

  Error incomplete(const Reference& reference) const {
    std::string text = place_.stored.str() + (reference.tag() ? ":" : "@") + reference.str() +
                       " cannot be had whole, missing: ";
    std::string listed;
    for (std::size_t i = 0; i < missing_.size() && i < most_told; ++i) {
      text += (i == 0 ? "" : "; ") + missing_[i].what + " (" + missing_[i].why + ")";
      listed += (i == 0 ? "" : ", ") + missing_[i].what;
    }
    if (missing_.size() > most_told) text += "; and " + std::to_string(missing_.size() - most_told) + " more";
    return Error(missing_.front().code, std::move(text)).with("missing", listed);
  }

  struct Missing {
    Errc code;
    std::string what;
    std::string why;
  };

  Impl& mirrors_;
  const Place place_;
  const Wanted wanted_;
  PlatformChoice platforms_;
  std::string upstream_;
  std::optional<Gathered> gathered_;
  std::deque<Digest> waiting_;  // manifests
  std::set<std::string> seen_;
  std::vector<Digest> blobs_;
  std::set<std::string> seen_blobs_;
  std::deque<std::pair<Digest, std::shared_ptr<http::GrowingFile>>> arriving_;
  std::vector<Missing> missing_;
  std::set<std::string> warnings_;
};

Task<Result<Gathered>> Mirrors::Impl::gather(Place place, Reference reference, Wanted wanted) {
  Gathering gathering(*this, std::move(place), std::move(wanted));
  co_return co_await gathering.run(std::move(reference));
}

Task<Result<Gathered>> Mirrors::gather(Place place, Reference reference, Wanted wanted) {
  co_return co_await impl_->gather(std::move(place), std::move(reference), std::move(wanted));
}

}  // namespace stele::mirror
