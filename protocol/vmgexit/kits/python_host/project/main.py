"""The adapter of your GHCB host.

Replace host.py, events.py and words.py by your host, or by calls into it: the class in host.py says which
functions answer which commands.
"""

from host import SmallHost
from kit.adapter import answer_commands

if __name__ == "__main__":
    answer_commands(SmallHost())
