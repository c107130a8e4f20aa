"""Lists and their pages. Each test_* function is a test."""
import re
from urllib.parse import urlsplit

from common import IMAGE, INDEX, check, manifest, put_manifest, sha256
from wire import Server, push_blob, request


def pages(server, target, kind):
    """Follows Link, which must stay on this server."""
    while target:
        answer = request(server, "GET", target)
        check(answer.status == 200 and answer.get("Content-Type") == kind, "a page", answer)
        yield answer
        link = answer.get("Link")
        match = link and re.fullmatch(r'<([^>]+)>; rel="next"', link)
        check(not link or (match and not urlsplit(match[1]).netloc), f"a Link of this server: {link}")
        target = match and match[1]


def test_referrers_are_paged_by_bytes(stele):
    with Server(stele) as server:
        config = push_blob(server, "a", b"{}")
        subject = {"mediaType": IMAGE, "digest": sha256(b"subject"), "size": 7}
        pushed = {"x/odd": [], "x/even": []}
        for number in range(64):
            kind = "x/odd" if number % 2 else "x/even"
            content = manifest(config, "n" * 150_000 + str(number), subject=subject, artifactType=kind)
            check(put_manifest(server, "a", sha256(content), content).status == 201, "pushed")
            pushed[kind].append(sha256(content))
        for query, wanted in (("", pushed["x/odd"] + pushed["x/even"]), ("?artifactType=x/odd", pushed["x/odd"])):
            got = list(pages(server, f"/v2/a/referrers/{subject['digest']}{query}", INDEX))
            check(len(got) > 1, f"{len(got)} pages of {query}")
            check(all(len(page.body) <= 4 << 20 for page in got), "no page is larger than 4 MiB")
            check(all(page.get("OCI-Filters-Applied") == ("artifactType" if query else None) for page in got), "the filter is named on every page")
            listed = [entry["digest"] for page in got for entry in page.json()["manifests"]]
            check(sorted(listed) == sorted(wanted), f"{len(listed)} of {len(wanted)} referrers, each once")


def test_tags_are_paged_to_the_last(stele):
    with Server(stele) as server:
        image = manifest(push_blob(server, "a", b"{}"))
        names = [f"v{number}" for number in range(2500)]
        for first in range(0, len(names), 100):
            query = "&".join(f"tag={name}" for name in names[first:first + 100])
            check(put_manifest(server, "a", f"{sha256(image)}?{query}", image).status == 201, "tagged")
        for size in (7, 999, 1000, 1001, 2499, 2500, 2501):
            got = list(pages(server, f"/v2/a/tags/list?n={size}", "application/json"))
            listed = [name for page in got for name in page.json()["tags"]]
            check(listed == sorted(names), f"all, in order, by {size}")
            check(len(got) == -(-len(names) // size), f"{len(got)} pages of {size}")
        check(request(server, "GET", "/v2/a/tags/list").json()["tags"] == sorted(names), "all at once")
        query = "&".join(f"tag=x{number}" for number in range(101))
        check(put_manifest(server, "a", f"{sha256(image)}?{query}", image).status == 400, "101 tags are too many")


def test_a_list_without_n_is_paged_too(stele):
    with Server(stele) as server:
        image = manifest(push_blob(server, "a", b"{}"))
        names = [f"v{number}" for number in range(10_100)]
        for first in range(0, len(names), 100):
            query = "&".join(f"tag={name}" for name in names[first:first + 100])
            check(put_manifest(server, "a", f"{sha256(image)}?{query}", image).status == 201, "tagged")
        got = list(pages(server, "/v2/a/tags/list", "application/json"))
        check([len(page.json()["tags"]) for page in got] == [10_000, 100], f"{len(got)} pages")
        check([name for page in got for name in page.json()["tags"]] == sorted(names), "all, in order")
