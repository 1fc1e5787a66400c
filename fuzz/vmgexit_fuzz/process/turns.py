"""The processes of one worker: one for each kind, which rests while the others have their turn.

A start takes as long as some thousand inputs, and a new process reads all seeds anew.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import IO, Any

from .child import Order
from .parent import Process


class Turns:
    """Use as a context: at its end no process is left."""

    def __init__(self) -> None:
        self.resting: dict[str, Process] = {}

    def process(
        self,
        order: Order,
        told: Callable[[dict[str, Any]], None],
        log: Callable[[bytes], object] = lambda line: None,
        stop: Event | None = None,
        recording: IO[bytes] | None = None,
    ) -> Process:
        """The process for an order: one that rests, or a new one. Arguments as of `Process`."""
        process = self.resting.pop(order.kind, None)
        if process is not None:
            if process.goes_on(order) and process.recording is recording:
                process.told, process.log = told, log
                return process
            process.close()
        return Process(order, told, log, stop or Event(), recording)

    def run(self, process: Process, order: Order) -> int:
        """A turn; its exit code, as of `Process.run`."""
        code = process.again(order) if process.rests else process.run()
        if process.rests:
            self.resting[order.kind] = process
        return code

    def __enter__(self) -> Turns:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.resting.values():
            process.close()
