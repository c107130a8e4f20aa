"""A daemon (dockerd, containerd) that belongs to one run of the tests."""
import signal
import subprocess
import time

from server import Failure


class Daemon:
    def __init__(self, command, environment, log, ready):
        """ready() is asked until it no longer raises Failure."""
        with open(log, "wb") as output:
            self.process = subprocess.Popen(list(map(str, command)), env=environment, stdout=output, stderr=output,
                                            start_new_session=True)
        deadline = time.monotonic() + 60
        while True:
            try:
                ready()
                return
            except Failure as not_yet:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                    raise Failure(f"{command[0]} did not start: {not_yet}\n{end}") from None
            time.sleep(0.2)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
