"""`stele mirror warm` at a terminal: the bar moves in one line, and nothing of it is left beside what it says at the end."""
import array
import fcntl
import os
import pty
import select
import subprocess
import termios
import threading
import time

from hub import held
from registry import Failure
from warm import HERE
from world import PATIENCE, World

COLUMNS = 60


class Screen:
    """As much of a terminal as the bar needs: \\r, \\n, erase to the end of the line, and lines that wrap."""

    def __init__(self):
        self.lines, self.column = [""], 0

    def take(self, text):
        rest = text
        while rest:
            if rest.startswith("\033[K"):
                self.lines[-1], rest = self.lines[-1][:self.column], rest[3:]
                continue
            letter, rest = rest[0], rest[1:]
            if letter == "\r":
                self.column = 0
            elif letter == "\n":
                self.lines.append("")
                self.column = 0
            else:
                if self.column == COLUMNS:
                    self.lines.append("")
                    self.column = 0
                line = self.lines[-1].ljust(self.column)
                self.lines[-1] = line[:self.column] + letter + line[self.column + 1:]
                self.column += 1


class Terminal:
    def __init__(self, command, directory):
        self.fd, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, array.array("H", [24, COLUMNS, 0, 0]))
        self.process = subprocess.Popen(command, stdin=other, stdout=other, stderr=other, cwd=directory)
        os.close(other)
        self.text = ""

    def read_until(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition(self.text):
            if time.monotonic() > deadline:
                raise Failure(f"did not happen within {PATIENCE} s: {what}; there is {self.text[-300:]!r}")
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.fd, 65536).decode()
                except OSError:     # it has ended
                    return

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.fd)


def the_bar_stays_in_its_line(checks, binary, directory):
    with World(binary, directory, "terminal") as world:
        images = [world.image("library/demo", str(number), label=str(number), layers=(1000, 2_000_000)) for number in range(3)]
        gate = threading.Event()
        world.hub.fault("cdn", images[2].layer, held(1_000_000, gate))
        listed = world.mirror.directory / "images.txt"
        listed.write_text("".join(f"{HERE}demo:{number}\n" for number in range(3)) + f"{HERE}none:1\n")
        terminal = Terminal([str(binary), "mirror", "warm", str(listed)], world.mirror.directory)
        try:
            def drawn(text):
                return "] 3 of 4" in text and "arriving" in text.rsplit("\033[K", 1)[-1]
            terminal.read_until(drawn, "the bar tells of the blob that arrives")
            now = Screen()
            now.take(terminal.text)
            checks("one line of the screen is the bar", sum("[###" in line or "---]" in line for line in now.lines) == 1, now.lines)
            checks("it counts what is done, and what failed", "3 of 4, 1 failed" in now.lines[-1], now.lines)
            checks("it is no longer than the line", all(len(part) - 3 < COLUMNS for part in terminal.text.split("\r")
                                                        if part.startswith("\033[K[")), terminal.text)
            gate.set()
            terminal.read_until(lambda _: False if terminal.process.poll() is None else not select.select([terminal.fd], [], [], 0)[0],
                                "it ends")
            checks("status 1, for one did not come", terminal.process.wait() == 1)
        finally:
            terminal.close()
        last = Screen()
        last.take(terminal.text)
        checks("no bar is left", not any("[##" in line or "---]" in line for line in last.lines), last.lines)
        shown = "".join(line.ljust(COLUMNS) if len(line) == COLUMNS else line + "\n" for line in last.lines)
        checks("a line for each image", all(f"{HERE}demo:{number}: fetched" in shown.replace("\n", "") for number in range(3)), last.lines)
        checks("and the sum", "3 of 4 images are here" in shown, last.lines)


TESTS = [the_bar_stays_in_its_line]
