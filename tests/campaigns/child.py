"""One search in a process of its own: a trial on standard input, its outcome on standard output, both as
one line of JSON. `schedule` starts it."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys

from vmgexit.errors import VmgexitError

from .methods import METHODS
from .trial import Trial


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what it has started ends with it
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else prints is no answer
    try:
        trial = Trial.read(sys.stdin.readline())
        outcome = METHODS[trial.method].run(trial)
    except VmgexitError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    with answers:
        answers.write(json.dumps(dataclasses.asdict(outcome)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
