"""A peer at work: the process, and the questions it is asked."""

import json
import os
import select
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from typing import Any


class Stopped(Exception):
    """A peer did not answer: it failed, or the time was up."""


class Worker:
    """A process that speaks the protocol of peers/peer.py: lines in, JSON lines out.

    Used as a context manager; on leaving, the process is gone.
    """

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str]):
        self.name = name
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **environment},
            text=True,
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process and wait until its memory is free; a second call does nothing."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None and not stream.closed:
                with suppress(OSError):
                    stream.close()

    def ask(self, operation: str, seconds: float, patience: float) -> dict[str, Any]:
        """Have `operation` repeated for `seconds`; raise `Stopped` after `patience` seconds."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{operation} {seconds}\n")
            self._process.stdin.flush()
        except OSError as error:
            raise Stopped(self._last_words()) from error
        return self.listen(patience)

    def listen(self, patience: float) -> dict[str, Any]:
        """The next line that the process sends."""
        output = self._process.stdout
        assert output is not None
        if not select.select([output], [], [], patience)[0]:
            raise Stopped(f"more than {patience:.0f} s")
        reply = json.loads(output.readline() or json.dumps({"error": self._last_words()}))
        if "error" in reply:
            raise Stopped(reply["error"])
        return reply

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "ended without a word")
