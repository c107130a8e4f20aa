"""S5: a mirror whose disk is full. Not a short body, and what is here is served."""
import contextlib
import subprocess
from pathlib import Path

from registry import Failure, own_mounts
from world import Reader, World, at_once, eventually

MB = 1024 * 1024


@contextlib.contextmanager
def small(directory, name, megabytes):
    """A file system of its own where the world's mirror will keep its data; it goes with this process."""
    own_mounts(directory)
    point = Path(directory) / name / "m"
    point.mkdir(parents=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(point)], capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"no file system of our own: {done.stderr} (mounting needs root)")
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", str(point)], capture_output=True)


def what_does_not_fit_is_refused_before_it_begins(checks, binary, directory):
    """S5, I7."""
    with small(directory, "fulldisk", 48) as point, World(binary, directory, "fulldisk") as world:
        warm, big = world.image(), world.image(tag="2", layers=(60 * MB,))
        checks("there is room: a pull", not (wrong := world.pull(warm)), wrong)
        for digest in warm.blobs:
            world.wait_stored(digest)
        answer = world.blob(big.layer)
        checks("larger than what is left: 503 at once, and why", answer.status == 503 and "room" in answer.message, answer)
        answer = world.blob(big.layer, method="HEAD")
        checks("HEAD tells its length all the same", (answer.status, answer.headers["Content-Length"]) == (200, str(60 * MB)), answer)
        checks("nothing of it is left", not world.mirror.uploads(), world.mirror.uploads())
        checks("what is here is served", not (wrong := world.pull(warm)), wrong)
        ballast = point / "ballast"
        with open(ballast, "wb") as file:
            try:
                while True:
                    file.write(b"\xff" * 65536)
                    file.flush()
            except OSError:
                pass
        answer = world.manifest("2")
        checks("no byte is left: a manifest is 503 or right", answer.status == 503 or answer.body == big.manifest, answer)
        answer = world.blob(next(digest for digest in big.blobs if digest != big.layer))
        checks("and the smallest blob 503", answer.status == 503, answer)
        checks("what is here is served still", not (wrong := world.pull(warm)), wrong)
        ballast.unlink()
        eventually(lambda: world.manifest("2").body == big.manifest, "there is room again: fetched, without a restart")


def what_fills_the_disk_meanwhile_is_never_a_short_body(checks, binary, directory):
    """S5, I6: without a length nobody knows before."""
    with small(directory, "filling", 48), World(binary, directory, "filling") as world:
        images = [world.image(tag=str(number), layers=(12 * MB,)) for number in range(5)]

        def without_length(handler, answer):
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            for begin in range(0, len(answer.body), MB):
                piece = answer.body[begin:begin + MB]
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            handler.wfile.write(b"0\r\n\r\n")
        world.hub.fault("cdn", "GET", without_length)

        def pull(number):
            reader = Reader(world.mirror, f"/v2/docker.io/library/demo/blobs/{images[number].layer}")
            return reader, reader.rest()
        pulled = at_once(len(images), pull)
        right = [images[n].blobs[images[n].layer] for n in range(len(images))]
        broken = 0
        for number, (reader, whole) in enumerate(pulled):
            broken += not whole or reader.status != 200
            checks(f"{number}: whole and right, or reset, or refused", reader.status in (503, 507) or
                   (reader.body == right[number] if whole else right[number].startswith(reader.body)),
                   (reader.status, whole, len(reader.body)))
        checks("not all of them had room", broken > 0)
        eventually(lambda: not world.mirror.uploads(), "what came in vain is removed")
        stored = [world.stored(one.layer) for one in images]
        checks("nothing is stored in part", all((world.mirror.data / "blobs" / "sha256" / one.layer[7:9] / one.layer[7:]).stat().st_size ==
                                                12 * MB for one, here in zip(images, stored) if here), stored)


TESTS = [what_does_not_fit_is_refused_before_it_begins, what_fills_the_disk_meanwhile_is_never_a_short_body]
