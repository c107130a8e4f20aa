"""What must survive: an independent model of one registry, written from the sentences of docs/policy.md and docs/lifecycle.md.

It sees what clients do and when (microseconds since 1970), never what the server says. Where a sentence is quoted, it is the
document's. Times of pulls are kept as the administrator's guide says: to ten minutes, rounded up.
"""
import functools
import json
import math
import re

import yaml

SECOND = 1_000_000
TICK = 600 * SECOND
NEVER = -math.inf
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
SIZES = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
PRESETS = {
    "@semver": r"v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", "@semver-minor": r"v?\d+\.\d+", "@semver-major": r"v?\d+",
    "@sha": r"([a-z0-9]+-)*sha-[0-9a-f]{7,40}", "@branch-main": "main|master", "@pr": r"pr-\d+",
    "@signature": r"sha(256-[0-9a-f]{64}|512-[0-9a-f]{128})(\.sig|\.att)?"}
KEEP, EXPIRE, BLOCKED = "KEEP", "EXPIRE", "BLOCKED"


def duration(text):
    """In microseconds."""
    return int(text[:-1]) * UNITS[text[-1]] * SECOND


def size(text):
    number, unit = re.fullmatch(r"(\d+)\s*(\w*)", str(text)).groups()
    return int(number) * SIZES[unit]


@functools.lru_cache(maxsize=None)
def pattern(text):
    if text.startswith("@"):
        return re.compile(PRESETS[text])
    if text.startswith("/"):
        return re.compile(text[1:-1])
    out, depth, i = "", 0, 0
    while i < len(text):
        c = text[i]
        if text.startswith("**", i):
            out, i = out + ".*", i + 1
        elif c in "*?":
            out += "[^/]*" if c == "*" else "[^/]"
        elif c in "{}" or c == "," and depth:
            depth += {"{": 1, "}": -1}.get(c, 0)
            out += {"{": "(?:", "}": ")", ",": "|"}[c]
        else:
            out += re.escape(c)
        i += 1
    return re.compile(out)


def matches(patterns, text):
    """ "any of the positives and none of the negatives"; always a full match."""
    positive = [p for p in patterns if not p.startswith("!")]
    return any(pattern(p).fullmatch(text) for p in positive) and not any(pattern(p[1:]).fullmatch(text) for p in patterns if p.startswith("!"))


def version(text):
    """A sort key by the precedence of Semantic Versioning, or None. One to three numbers count as a version."""
    found = re.fullmatch(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", text)
    if not found:
        return None
    before = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in found[4].split(".")) if found[4] else ()
    return tuple(int(n or 0) for n in found.groups()[:3]), not before, before


class Policy:
    def __init__(self, text):
        document = yaml.safe_load(text)
        self.tag_rules = document["tag_rules"]
        self.default = document.get("default", {"mutability": "mutable"})
        settings = document.get("lifecycle", {})
        self.trash_for = duration(settings.get("trash_for", "14d"))
        self.max_fraction = float(settings.get("max_fraction", 0.5))
        self.keep_last = int(settings.get("keep_last", 1))
        self.ignored = settings.get("ignore_pulls_by", [])
        self.rules = document.get("lifecycle_rules", [])

    @functools.lru_cache(maxsize=None)
    def tag_rule(self, repository, tag):
        """ "in order; the first whose repositories and tags match decides": mutability, delete, lifecycle."""
        for rule in [*self.tag_rules, self.default]:
            if rule is self.default or matches(rule.get("repositories", ["**"]), repository) and matches(rule["tags"], tag):
                fixed = rule["mutability"] == "immutable"
                deny = fixed or rule["mutability"] == "append-only"
                return (rule["mutability"], rule.get("delete", "deny" if deny else "allow"),
                        rule.get("lifecycle", "protect" if fixed else "allow"))
        raise AssertionError

    def counts_pulls_of(self, principal):
        return not matches(self.ignored, principal)


class Manifest:
    def __init__(self, digest, content, now):
        document = json.loads(content)
        self.digest, self.content = digest, content
        self.media_type = document["mediaType"]
        self.subject = document.get("subject", {}).get("digest")
        self.entries = [entry["digest"] for entry in document.get("manifests", [])]
        named = document.get("layers", []) + ([document["config"]] if "config" in document else [])
        self.blobs = {d["digest"]: d["size"] for d in named}
        self.layers = [layer["digest"] for layer in document.get("layers", [])] or self.entries
        self.artifact_type = document.get("artifactType") or document.get("config", {}).get("mediaType") or ""
        self.pushed = now
        self.untagged = NEVER   # when it lost its last name
        self.pulled = NEVER     # by those whose pulls count


class Trashed:
    """ `manifest` is None when only names went."""

    def __init__(self, repository, digest, manifest, tags, now, erase_after):
        self.repository, self.digest, self.manifest, self.tags = repository, digest, manifest, tags
        self.removed, self.erase_after = now, erase_after


class Repository:
    def __init__(self, name):
        self.name = name
        self.exists = False   # once something was pushed to it
        self.manifests = {}   # digest: Manifest
        self.tags = {}        # name: (digest, when it was pushed last)
        self.bound_as = {}    # name: the how manieth binding here, for tags that were pushed at the same moment
        self.bound = {}       # names that outlive their tags: what immutable and append-only ones were last bound to
        self.links = {}       # blobs: digest: size
        self.bindings = 0
        self.trash = []

    def tags_of(self, digest):
        return [name for name, (target, _) in self.tags.items() if target == digest]


class Item:
    """A tag, or a manifest without any, and what the plan says of it."""

    def __init__(self, tag, digest, verdict, age, last_used):
        self.tag, self.digest, self.verdict, self.age, self.last_used = tag, digest, verdict, age, last_used


class Plan:
    def __init__(self, items, removals, manifests, fraction, judge=None):
        self.items, self.removals, self.manifests, self.judge = items, removals, manifests, judge
        self.stopped = len(removals) > fraction * manifests

    def due(self):
        return [item for item in self.items if item.verdict == EXPIRE]

    def as_approved(self, approved, made_at):
        """ "`apply PLAN` re-checks every item and removes only what is still due; a re-tagged or re-pulled item survives", and
        with it what it hangs from, and what hangs from that."""
        named = {(item.tag, item.digest) for item in approved.due()}
        used = {item.digest for item in self.due() if self.judge.is_used_since(item.digest, made_at)}
        judge = self.judge
        above, below = ({d: edges[d] & self.removals for d in self.removals} for edges in (judge.above, judge.below))
        stays = judge.spread(judge.spread(used & self.removals, above), below)
        removals = (self.removals & approved.removals) - stays
        items = [item for item in self.due() if (item.tag, item.digest) in named and item.digest not in used
                 and item.digest not in self.removals - removals]
        return Plan(items, removals, self.manifests, 1, judge)


class Judge:
    """Of one repository at one moment."""

    def __init__(self, registry, repository, policy, now):
        self.policy, self.now, self.repository = policy, now, repository
        self.manifests, self.tags = repository.manifests, repository.tags
        self.pulls_since = registry.pulls_since
        rules = [rule for rule in policy.rules if matches(rule.get("repositories", ["**"]), repository.name)]
        self.keep = [entry for rule in rules for entry in rule.get("keep", [])]
        self.expire = [entry for rule in rules for entry in rule.get("expire", [])]
        self.held_tags = {tag for name, tag, _ in registry.holds.values() if name == repository.name}
        held = {digest for name, _, digest in registry.holds.values() if name == repository.name}
        used = {digest for images in registry.in_use.values() for name, digest in images if name == repository.name}
        # What hangs from what: an index's entries, a subject's referrers, and the signatures by their tags' names.
        self.below = {digest: set() for digest in self.manifests}
        self.above = {digest: set() for digest in self.manifests}
        for digest, manifest in self.manifests.items():
            for entry in manifest.entries:
                self.hang(entry, digest)
            if manifest.subject:
                self.hang(digest, manifest.subject)
        self.signatures = {}   # tag: the digest that it names
        self.upwards = {digest: set(above) for digest, above in self.above.items()}
        self.downwards = {digest: set(below) for digest, below in self.below.items()}
        for tag, (digest, _) in self.tags.items():
            named = self.signed_by(tag)
            if named in self.manifests:
                self.signatures[tag] = named
                if named != digest:
                    self.hang(digest, named)
        self.tagged = {}   # digest: when a tag that it has was bound last
        for digest, when in self.tags.values():
            self.tagged[digest] = max(when, self.tagged.get(digest, NEVER))
        self.roots = self.spread((held | used) & self.manifests.keys(), self.upwards)
        self.last_pulled = functools.lru_cache(maxsize=None)(self.last_pulled)

    def hang(self, lower, upper):
        if lower in self.manifests and upper in self.manifests:
            self.below[upper].add(lower)
            self.above[lower].add(upper)

    @staticmethod
    def signed_by(tag):
        if not pattern("@signature").fullmatch(tag):
            return None
        return tag.split(".")[0].replace("-", ":")

    @staticmethod
    def spread(start, edges):
        seen, todo = set(start), list(start)
        while todo:
            for reached in edges[todo.pop()]:
                if reached not in seen:
                    seen.add(reached)
                    todo.append(reached)
        return seen

    # --- what entries ask ---

    def last_pulled(self, digest):
        """ "a pull of a child counts for its index" """
        manifest = self.manifests[digest]
        return max([manifest.pulled, *(self.last_pulled(entry) for entry in manifest.entries if entry in self.manifests)])

    def last_used(self, digest):
        """ "`last used` is the latest of pushed, tagged and pulled": tagged by the names that it has, or had until it lost the last."""
        manifest = self.manifests[digest]
        return max(manifest.pushed, self.tagged.get(digest, manifest.untagged), self.last_pulled(digest))

    def pushed(self, tag, digest):
        """When the tag was pushed last; without a tag, the manifest, or the loss of its last one."""
        return self.tags[tag][1] if tag else max(self.manifests[digest].pushed, self.manifests[digest].untagged)

    def is_used_since(self, digest, moment):
        """Or may have been, since pulls were not recorded."""
        return self.pulls_since is None or self.pulls_since > moment or self.last_used(digest) >= moment

    def weight(self, digest):
        """Distinct bytes of the manifest, its blobs and its entries."""
        parts = {}
        for reached in self.spread([digest], {d: [e for e in m.entries if e in self.manifests] for d, m in self.manifests.items()}):
            parts[reached] = len(self.manifests[reached].content)
            parts |= self.manifests[reached].blobs
        return sum(parts.values())

    def recorded(self, window):
        return self.pulls_since is not None and self.pulls_since <= self.now - window

    def unseen(self, digest):
        """It may have been pulled while nothing was recorded, after what is known of it."""
        since = math.inf if self.pulls_since is None else self.pulls_since
        return self.manifests[digest].pushed < since and self.last_pulled(digest) < since

    def passes(self, entry, keeps, tag, digest):
        age = self.now - self.pushed(tag, digest)
        for key, value in entry.items():
            if key == "tags":
                ok = tag is not None and matches(value, tag)
            elif key == "untagged":
                ok = tag is None
            elif key in ("everything_else", "size_budget", "newest_pushed", "newest_pulled", "newest_semver"):
                ok = True
            elif key == "older_than":
                ok = age >= duration(value)
            elif key == "pushed_within":
                ok = age <= duration(value)
            elif key == "not_pulled_for":
                ok = self.recorded(duration(value)) and self.now - self.last_used(digest) >= duration(value)
            elif key == "pulled_within":
                # "If pull recording was off in the window, keep."
                ok = self.now - self.last_pulled(digest) <= duration(value) or keeps and not self.recorded(duration(value))
            elif key == "artifact_type":
                ok = matches(value if isinstance(value, list) else [value], self.manifests[digest].artifact_type)
            elif key == "larger_than":
                ok = self.weight(digest) > size(value)
            else:
                raise ValueError(f"the model does not know {key}")
            if not ok:
                return False
        return True

    def newest(self, entry, tags):
        """ "ranks last, ranking the distinct digests that pass the filters, per repository; protected tags take no slot" """
        kind = next(key for key in entry if key.startswith("newest_"))
        best, unseen = {}, set()
        for tag in tags:
            digest = self.tags[tag][0]
            if self.protected(tag) or pattern("@signature").fullmatch(tag):
                continue
            if kind == "newest_pushed":
                key = self.tags[tag][1]
            elif kind == "newest_pulled" and self.unseen(digest):
                unseen.add(tag)
                continue
            elif kind == "newest_pulled":
                key = self.last_used(digest)
            else:
                key = version(tag)
                if key is None:
                    continue
            best[digest] = max(best.get(digest, (key, self.order(tag))), (key, self.order(tag)))
        newest = sorted(best, key=best.get, reverse=True)[:entry[kind]]
        return unseen | {tag for tag in tags if self.tags[tag][0] in newest and not self.protected(tag) and
                not pattern("@signature").fullmatch(tag) and (kind != "newest_semver" or version(tag))}

    def order(self, tag):
        """Of tags that were pushed at the same moment the one that was bound later is newer."""
        return self.tags[tag][1], self.repository.bound_as[tag], tag.encode()

    def protected(self, tag):
        """Its rule says so, or a hold or a cluster does."""
        return self.forbidden_name(tag) or self.tags[tag][0] in self.roots

    def forbidden_name(self, tag):
        return self.policy.tag_rule(self.repository.name, tag)[2] == "protect" or tag in self.held_tags

    # --- the plan ---

    def plan(self):
        judged = [tag for tag in self.tags if tag not in self.signatures]
        untagged = [digest for digest in self.manifests if digest not in self.tagged]
        kept = set()
        for entry in self.keep:
            passing = [tag for tag in judged if self.passes(entry, True, tag, self.tags[tag][0])]
            kept |= self.newest(entry, passing) if any(key.startswith("newest_") for key in entry) else set(passing)
        kept_untagged = {digest for digest in untagged if any(
            not any(key.startswith("newest_") for key in entry) and self.passes(entry, True, None, digest) for entry in self.keep)}
        entries = [entry for entry in self.expire if "size_budget" not in entry]
        hit = {tag for tag in judged if tag not in kept and any(self.passes(e, False, tag, self.tags[tag][0]) for e in entries)}
        hit_untagged = {digest for digest in untagged
                        if digest not in kept_untagged and any(self.passes(e, False, None, digest) for e in entries)}
        blocked = {tag for tag in hit if self.protected(tag)}
        goes = hit - blocked
        for entry in self.expire:
            if "size_budget" in entry:
                may_go = [tag for tag in judged if tag not in kept and not self.protected(tag) and
                          self.passes(entry, False, tag, self.tags[tag][0])]
                goes = self.make_room(size(entry["size_budget"]), may_go, goes, hit_untagged, kept_untagged)
        allowed = self.leave_the_last(judged, goes)
        blocked |= goes - allowed   # "every clash is reported as BLOCKED"
        goes = allowed
        removals = self.removals(goes, hit_untagged, kept_untagged)
        items = []

        def add(tag, digest, verdict):
            items.append(Item(tag, digest, verdict, self.now - self.pushed(tag, digest), self.last_used(digest)))
        for tag, (digest, _) in self.tags.items():
            if tag in self.signatures:
                # "judged as referrers of the digest that they name: kept and expired with it"
                gone = self.signatures[tag] in removals
                add(tag, digest, KEEP if not gone else BLOCKED if self.forbidden_name(tag) else EXPIRE)
            else:
                add(tag, digest, EXPIRE if tag in goes else BLOCKED if tag in blocked else KEEP)
        for digest in untagged:
            clash = digest in hit_untagged and digest in self.roots
            add(None, digest, EXPIRE if digest in removals else BLOCKED if clash else KEEP)
        return Plan(items, removals, len(self.manifests), self.policy.max_fraction, self)

    def make_room(self, budget, may_go, goes, hit_untagged, kept_untagged):
        """ "`size_budget` comes last, oldest first": until the distinct bytes of what stays fit."""
        goes = set(goes)
        for tag in sorted(may_go, key=self.order):
            parts = {}
            for digest in self.manifests.keys() - self.removals(goes, hit_untagged, kept_untagged):
                parts[digest] = len(self.manifests[digest].content)
                parts |= self.manifests[digest].blobs
            if sum(parts.values()) <= budget:
                break
            goes.add(tag)
        return goes

    def leave_the_last(self, judged, goes):
        """Circuit breaker: "never the last image"; the newest stay."""
        goes = set(goes)
        images = {self.tags[tag][0] for tag in judged if tag not in goes}
        for tag in sorted(goes, key=self.order, reverse=True):
            if len(images) >= self.policy.keep_last:
                break
            images.add(self.tags[tag][0])
            goes.discard(tag)
        return goes

    def removals(self, goes, hit_untagged, kept_untagged):
        """ "Kept = roots, their index children, and their referrers, all recursively. Referrers die with their subject." What
        goes is the largest set of manifests of which none is a root or has a name that stays, none is reached from outside the
        set, and each was hit or hangs from one of the set."""
        names = {digest: [] for digest in self.manifests}
        for tag, (digest, _) in self.tags.items():
            names[digest].append(tag)
        own = {digest: [tag for tag in tags if tag not in self.signatures] for digest, tags in names.items()}
        hit = {digest for digest in self.manifests if own[digest] and all(tag in goes for tag in own[digest])} | hit_untagged
        going = {digest for digest in self.manifests
                 if digest not in self.roots and digest not in kept_untagged and all(tag in goes for tag in own[digest])
                 and not any(self.forbidden_name(tag) for tag in names[digest] if tag in self.signatures)}
        while True:
            # A chain of what hangs must begin at one that was hit.
            led = self.spread(hit & going, {d: {b for b in below if b in going} for d, below in self.below.items()})
            left = {digest for digest in going & led if self.above[digest] <= going}
            if left == going:
                return going
            going = left


class Registry:
    """Everything that the clients did, and what must therefore be there. Methods return what the server has to answer."""

    def __init__(self, policy_text, now, lease):
        self.policy = Policy(policy_text)
        self.lease = lease
        self.pulls_since = now
        self.repositories = {}
        self.holds = {}      # name of the hold: (repository, tag, digest)
        self.in_use = {}     # cluster: {(repository, digest)}
        self.removed = self.untagged = self.blocked = 0

    def repository(self, name):
        return self.repositories.setdefault(name, Repository(name))

    def resolve(self, name, reference):
        repository = self.repositories.get(name)
        if repository is None:
            return None
        digest = reference if ":" in reference else repository.tags.get(reference, (None,))[0]
        return digest if digest in repository.manifests else None

    # --- clients ---

    def push_blob(self, name, digest, length):
        repository = self.repository(name)
        repository.exists = True
        repository.links[digest] = length

    def push_manifest(self, name, content, digest, tags, now):
        """All tags or none."""
        repository = self.repository(name)
        made = repository.manifests.get(digest) or Manifest(digest, content, now)
        if not all(self.may_bind(repository, tag, made) for tag in tags):
            return 409
        repository.exists = True
        if digest in repository.manifests and not tags and not repository.tags_of(digest):
            made.untagged = now   # pushed again without a name
        repository.manifests[digest] = made
        for tag in tags:
            self.bind(repository, tag, digest, now)
        return 201

    def may_bind(self, repository, tag, made):
        mutability = self.policy.tag_rule(repository.name, tag)[0]
        before = repository.manifests[repository.tags[tag][0]] if tag in repository.tags else repository.bound.get(tag)
        if before is None or mutability == "mutable" or before.digest == made.digest:
            return True
        # "may be replaced only by a manifest that still has every layer of the old one"
        return mutability == "append-only" and set(before.layers) <= set(made.layers)

    def bind(self, repository, tag, digest, now):
        before = repository.tags.get(tag, (None,))[0]
        if before == digest:
            repository.tags[tag] = (digest, now)   # the same digest again: the binding stays, and its age begins anew
            return
        repository.bound.pop(tag, None)
        repository.tags[tag] = (digest, now)
        repository.bound_as[tag] = repository.bindings = repository.bindings + 1
        self.lost_a_tag(repository, before, now)

    @staticmethod
    def lost_a_tag(repository, digest, now):
        if digest in repository.manifests and not repository.tags_of(digest):
            repository.manifests[digest].untagged = now

    def pull(self, name, reference, principal, now):
        digest = self.resolve(name, reference)
        if digest is None:
            return 404, None
        if self.policy.counts_pulls_of(principal):
            manifest = self.repository(name).manifests[digest]
            manifest.pulled = max(manifest.pulled, -(-now // TICK) * TICK)
        return 200, digest

    def promote(self, name, reference, to, tags, now):
        """ "the children of an index, its referrers (signatures, SBOMs) and the tags that cosign names after it go along" """
        source, target = self.repository(name), self.repository(to)
        digest = self.resolve(name, reference)
        if digest is None:
            return 404
        judge = Judge(self, source, self.policy, now)
        along = Judge.spread([digest], judge.downwards)
        # "unless the target has them"
        bindings = {tag: source.tags[tag][0] for tag, signed in judge.signatures.items() if signed in along and tag not in target.tags}
        along = Judge.spread(along | set(bindings.values()), judge.downwards)
        bindings |= dict.fromkeys(tags, digest)
        if not all(self.may_bind(target, tag, source.manifests[named]) for tag, named in bindings.items()):
            return 409
        target.exists = True
        for moved in sorted(along):
            if moved not in target.manifests:
                target.manifests[moved] = Manifest(moved, source.manifests[moved].content, now)
            target.links |= source.manifests[moved].blobs
        for tag, named in bindings.items():
            self.bind(target, tag, named, now)
        return 201

    def delete(self, name, reference, now):
        repository = self.repository(name)
        digest = self.resolve(name, reference)
        if digest is None:
            return 404
        tags = [reference] if ":" not in reference else repository.tags_of(digest)
        if any(self.policy.tag_rule(name, tag)[1] == "deny" for tag in tags):
            return 409
        if any(hold[0] == name and (hold[1] in tags or hold[2] == digest) for hold in self.holds.values()):
            return 409
        if ":" in reference and any(digest in other.entries for other in repository.manifests.values()):
            return 409
        for tag in tags:
            self.unbind(repository, tag)
        if ":" in reference:
            del repository.manifests[digest]
        else:
            self.lost_a_tag(repository, digest, now)
        return 202

    def unbind(self, repository, tag):
        digest = repository.tags.pop(tag)[0]
        if self.policy.tag_rule(repository.name, tag)[0] != "mutable":
            repository.bound[tag] = repository.manifests[digest]   # "the name stays bound"; "deleting does not reset it"
        return digest

    def report(self, cluster, images):
        """What a cluster runs: `repository:tag` as of now, `repository@digest`. A digest that is not there (any more) is protected
        should it come back."""
        used, known = set(), False
        for image in images:
            name, _, reference = image.partition("@") if "@" in image else image.rpartition(":")
            digest = self.resolve(name, reference)
            known = known or digest is not None
            if digest or ":" in reference and name in self.repositories and self.repositories[name].exists:
                used.add((name, digest or reference))
        if not known and self.in_use.get(cluster, set()) - used:
            return 400   # "none that is known here while some are protected": a broken reporter must not lift all protection
        self.in_use[cluster] = used
        return 200

    def hold(self, hold, name, tag):
        digest = self.resolve(name, tag)
        if digest is None:
            return 404
        self.holds[hold] = (name, tag, digest)
        return 201

    # --- lifecycle ---

    def plan(self, now):
        return {name: Judge(self, repository, self.policy, now).plan()
                for name, repository in sorted(self.repositories.items()) if repository.manifests}

    def run(self, now, approved=None, made_at=None):
        """The plan that was carried out, with the repositories where it stopped left as they are."""
        plan = self.plan(now)
        if approved is not None:
            plan = {name: part.as_approved(approved[name], made_at) for name, part in plan.items() if name in approved}
        for name, part in plan.items():
            if not part.stopped:
                self.carry_out(name, part, now)
        return plan

    def carry_out(self, name, part, now):
        repository = self.repository(name)
        gone = {}
        for item in part.due():
            if item.tag:
                bound = repository.tags[item.tag][1]
                gone.setdefault(self.unbind(repository, item.tag), {})[item.tag] = bound
                self.untagged += 1
        for digest in sorted(part.removals | gone.keys()):
            manifest = repository.manifests.pop(digest) if digest in part.removals else None
            if manifest is None:
                self.lost_a_tag(repository, digest, now)
            self.removed += manifest is not None
            repository.trash.append(Trashed(name, digest, manifest, sorted(gone.get(digest, {})), now, now + self.policy.trash_for))

    def erase_due(self, now):
        for repository in self.repositories.values():
            repository.trash = [item for item in repository.trash if item.erase_after > now]

    def restorable(self, name, item):
        """The items that come back together: an index's entries, referrers, and signatures."""
        repository = self.repository(name)
        together, todo = [], [item]
        while todo:
            one = todo.pop()
            if one in together:
                continue
            together.append(one)
            if one.manifest is None:
                continue
            for other in reversed(repository.trash):
                wanted = other.manifest is not None and (
                    other.digest in one.manifest.entries and other.digest not in repository.manifests or
                    other.manifest.subject == one.digest or any(Judge.signed_by(tag) == one.digest for tag in other.tags))
                if wanted and all(other.digest != there.digest for there in together):
                    todo.append(other)
        return together

    def restore(self, name, item, now):
        repository = self.repository(name)
        together = self.restorable(name, item)
        if any(repository.tags.get(tag, (one.digest,))[0] != one.digest for one in together for tag in one.tags):
            return 409   # "never over a name that is bound elsewhere by then"
        for one in together:
            if one.manifest is not None and one.digest not in repository.manifests:
                repository.manifests[one.digest] = one.manifest
                one.manifest.untagged = now
            repository.links |= one.manifest.blobs if one.manifest is not None else {}
            repository.trash.remove(one)
        for one in together:
            for tag in one.tags:
                if tag not in repository.tags:
                    self.bind(repository, tag, one.digest, now)
        return 200

    # --- what must be there ---

    def settle(self, now):
        """Erases what is due and reclaims "blobs no manifest needs": for a moment at which the collector has caught up."""
        self.erase_due(now)
        for repository in self.repositories.values():
            needed = set()
            for manifest in [*repository.manifests.values(), *(item.manifest for item in repository.trash if item.manifest)]:
                needed |= manifest.blobs.keys()
            repository.links = {digest: length for digest, length in repository.links.items() if digest in needed}

    def dangling(self):
        """I2, of what the model itself believes: what a tag, an index or a manifest names and is not there."""
        missing = []
        for name, repository in self.repositories.items():
            missing += [f"{name}:{tag}" for tag, (digest, _) in repository.tags.items() if digest not in repository.manifests]
            for manifest in repository.manifests.values():
                missing += [f"{name}@{entry}" for entry in manifest.entries if entry not in repository.manifests]
                missing += [f"{name}/{blob}" for blob in manifest.blobs if blob not in repository.links]
        return missing

    def files(self):
        return {digest for repository in self.repositories.values() for digest in repository.links}
