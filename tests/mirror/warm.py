"""`stele mirror warm`: a list of images fetched before anybody asks, going on where it broke off."""
import json
import threading

from hub import held, status
from promotion import Platforms, promote
from registry import digest_of, image
from world import FOREVER, World, eventually
from standing import standing

HERE = "docker.io/library/"


def warm(world, text, *options):
    path = world.mirror.directory / "images.txt"
    path.write_text(text)
    return world.mirror.command("mirror", "warm", path, *options)


def a_list_is_fetched_and_then_pulled_without_upstream(checks, binary, directory):
    with World(binary, directory, "warm") as world:
        index, plain = Platforms(world), world.image("library/plain", "2")
        other = world.image("library/other", "latest")
        done = warm(world, f"# what the site needs\n\n{HERE}demo:1   # an index\r\n{HERE}plain@{plain.digest}\n"
                    f"  docker.io/other\n")
        checks("all came: 0, a line each, and so it says", done.returncode == 0 and "3 images are here" in done.stdout and
               done.stdout.count("fetched, ") == 3, done)
        amd64, arm64 = index.images["linux/amd64"], index.images["linux/arm64"]
        checks("of the index linux/amd64 alone was asked for", world.hub.count("registry", arm64.digest) == 0 and
               world.hub.count("cdn", "GET") == sum(len(i.blobs) for i in (amd64, plain, other)), world.hub.all_seen())
        checks("no referrers were asked for", world.hub.count("registry", "referrers") == 0)
        world.hub.forget()
        done = warm(world, f"{HERE}demo:1\n{HERE}plain@{plain.digest}\n{HERE}other:latest\n", "--json")
        said = json.loads(done.stdout)
        checks("again: no request upstream", done.returncode == 0 and not world.hub.all_seen() and said["failed"] == 0,
               (done, world.hub.all_seen()))
        checks("and it says so", all(entry["answer"]["mirrored"]["fetched_bytes"] == 0 for entry in said["images"]), said)
        world.hub.stop()
        checks("pulled with upstream stopped", not (wrong := world.pull(amd64, amd64.digest) or
               world.pull(plain, plain.digest, HERE + "plain") or world.pull(other, "latest", HERE + "other")), wrong)
        answer = world.manifest("1")
        checks("the index too", answer.body == index.manifest, answer)


def what_is_here_costs_one_head(checks, binary, directory):
    with World(binary, directory, "warm-head", tag_ttl="1s") as world:
        demo = world.image()
        warm(world, f"{HERE}demo:1\n")
        before = world.hub.count("registry", "GET"), world.hub.count("cdn")

        def compared():
            world.hub.forget()
            done = warm(world, f"{HERE}demo:1\n")
            return done.returncode == 0 and world.hub.count("registry", "HEAD")
        eventually(compared, "the tag's time is over")
        checks("one HEAD and nothing else", world.hub.count("registry") == 1 and world.hub.count("cdn") == 0,
               (before, world.hub.all_seen()))
        checks("bit for bit", not (wrong := world.pull(demo)), wrong)


def platforms_are_chosen(checks, binary, directory):
    with World(binary, directory, "platforms") as world:
        index = Platforms(world, ("linux/amd64", "linux/arm/v6", "linux/arm/v7", "windows/amd64"))

        def fetched():
            return {name for name, child in index.images.items() if world.hub.count("registry", f"GET.*{child.digest}")}
        warm(world, f"{HERE}demo:1\n", "--platform", "linux/arm/v7")
        checks("one variant", fetched() == {"linux/arm/v7"}, fetched())
        warm(world, f"{HERE}demo:1\n", "--platform", "linux/arm", "--platform", "linux/amd64")
        checks("every variant, and another one", fetched() == {"linux/arm/v6", "linux/arm/v7", "linux/amd64"}, fetched())
        done = warm(world, f"{HERE}demo:1\n", "--platform", "linux/amd64", "--platform", "linux/s390x")
        checks("one that the index does not have: failed, and what it has", done.returncode == 1 and "linux/s390x" in done.stdout
               and "linux/arm/v6" in done.stdout, done)
        done = warm(world, f"{HERE}demo:1\n", "--all-platforms")
        checks("all of them", done.returncode == 0 and len(fetched()) == 4, (done, fetched()))
        for wrong in ("linux", "linux/", "a/b/c/d", "Linux/amd64", "linux/amd 64"):
            done = warm(world, f"{HERE}demo:1\n", "--platform", wrong)
            checks(f"{wrong} is no platform", done.returncode == 1 and "is no platform" in done.stdout, done)


def referrers_come_when_asked_for(checks, binary, directory):
    with World(binary, directory, "withsig") as world:
        demo = world.image()
        config, _ = world.source.push_blob("library/demo", b"a signature")
        signature = image((config, 11), label="cosign")
        tag = demo.digest.replace(":", "-") + ".sig"
        world.source.push_manifest("library/demo", tag, signature)
        done = warm(world, f"{HERE}demo:1\n", "--referrers")
        checks("fetched", done.returncode == 0, done)
        world.hub.stop()
        checks("the signature is served with upstream stopped", world.manifest(tag).body == signature and
               world.blob(digest_of(b"a signature")).body == b"a signature")
        answer = promote(world, upstream="never")
        checks("and promoted offline", answer.status == 201 and json.loads(answer.body)["manifests"] == 2, answer)


def a_table_says_what_failed_and_the_rest_comes(checks, binary, directory):
    with World(binary, directory, "table", more="deny: [library/secret]") as world:
        good, lost = world.image("library/good", "1"), world.image("library/lost", "1")
        world.hub.fault("registry", f"GET.*blobs/{lost.layer}", status(404))
        done = warm(world, f"{HERE}good:1\n{HERE}none:1\n{HERE}lost:1\n{HERE}secret:1\nown/app:1\nno such name!\n")
        table = done.stdout.split("1 of 6 images are here.")[-1]
        checks("1, and how many came", done.returncode == 1 and "1 of 6 images are here." in done.stdout, done)
        for name, word in (("none:1", "does not exist"), ("lost:1", lost.layer), ("secret:1", "allow"), ("own/app:1", "no mirror"),
                           ("no such name!", "repository")):
            line = next((line for line in table.splitlines() if name in line), "")
            checks(f"{name}: why", word in line, (word, table))
        checks("the good one is here", not (wrong := world.pull(good, "1", HERE + "good")), wrong)
        limited = world.image("library/limited", "1")
        world.hub.fault("registry", "library/limited", status(429, {"Retry-After": "1234"}))
        done = warm(world, f"{HERE}limited:1\n{HERE}good:1\n")
        line = next((line for line in done.stdout.splitlines() if "limited" in line and " s  " in line), "")
        checks("limited: failed, with when to ask again", done.returncode == 1 and ("1234" in line or "1233" in line), done)
        checks("what is here is not failed by it", "1 of 2 images" in done.stdout, done)
        checks("(the image exists)", limited.digest)
        for text, why in (("# nothing\n", "no image"),):
            done = warm(world, text)
            checks(f"{why}: wrong usage", done.returncode == 2 and why in done.stderr, done)
        done = world.mirror.command("mirror", "warm", "nowhere.txt")
        checks("no such list: wrong usage", done.returncode == 2 and "cannot be read" in done.stderr, done)


def held_at_1000(world):
    """Those of which so much has come, and more is to; some blobs have no more."""
    return {fetch["digest"] for fetch in standing(world)["fetches"] if fetch["arrived_bytes"] == 1000 < fetch["bytes"]}


def an_interrupted_run_goes_on_where_it_was(checks, binary, directory):
    with World(binary, directory, "resume") as world:
        images = [world.image("library/demo", str(number), label=str(number)) for number in range(3)]
        gate = threading.Event()
        world.hub.fault("cdn", images[2].layer, held(1000, gate))
        lines = "".join(f"{HERE}demo:{number}\n" for number in range(3))
        running = threading.Thread(target=warm, args=(world, lines, "--concurrency", "1"))
        running.start()
        eventually(lambda: held_at_1000(world) == {images[2].layer}, "the last one is held")
        world.mirror.kill()     # in the middle
        gate.set()
        running.join()
        world.hub.mend()
        world.mirror.start()
        world.hub.forget()
        done = warm(world, lines)
        checks("all came", done.returncode == 0 and "3 images are here" in done.stdout, done)
        again = {digest for digest in images[0].blobs.keys() | images[1].blobs.keys() if world.hub.count("cdn", digest)}
        checks("what had come was not fetched again", not again and world.hub.count("cdn", images[2].layer) == 1,
               world.hub.all_seen())
        for number, demo in enumerate(images):
            checks(f"image {number}: bit for bit", not (wrong := world.pull(demo, str(number))), wrong)


def several_come_at_once_each_blob_once(checks, binary, directory):
    with World(binary, directory, "atonce", tag_ttl=FOREVER) as world:
        images = [world.image("library/demo", str(number), label=str(number)) for number in range(3)]
        gate = threading.Event()
        for demo in images:
            world.hub.fault("cdn", demo.layer, held(1000, gate))
        lines = "".join(f"{HERE}demo:{number}\n" for number in (0, 1, 2, 0, 1, 2))
        result = []
        running = threading.Thread(target=lambda: result.append(warm(world, lines, "--concurrency", "6")))
        running.start()
        eventually(lambda: held_at_1000(world) == {demo.layer for demo in images}, "three arrive at once")
        gate.set()
        running.join()
        checks("all came", result[0].returncode == 0, result[0])
        checks("each blob once", all(world.hub.count("cdn", f"GET.*{digest}") == 1 for demo in images for digest in demo.blobs),
               world.hub.all_seen())


TESTS = [a_list_is_fetched_and_then_pulled_without_upstream, what_is_here_costs_one_head, platforms_are_chosen,
         referrers_come_when_asked_for, a_table_says_what_failed_and_the_rest_comes, an_interrupted_run_goes_on_where_it_was,
         several_come_at_once_each_blob_once]
