"""The adapter of your SVSM.

Replace svsm.py by your SVSM, or by calls into it: its class says which functions answer which commands.
"""

from kit.on_memory import answer_on_memory
from svsm import SmallSvsm

if __name__ == "__main__":
    answer_on_memory(SmallSvsm())
