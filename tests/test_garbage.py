"""What a long-running process throws away is collected, although a million objects were loaded before."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import gc
loaded = [[] for _ in range(1_000_000)]
from assistant.processes.host_processes import freeze_heap
freeze_heap()

class Node:
    pass

def turn():
    made = []
    for _ in range(200):
        one, other = Node(), Node()
        one.other, other.one = other, one
        made.append(one)
    return made

held, most = [], 0
for n in range(1_500):  # turns that outlive some collections of what is young, and then are garbage
    held.append(turn())
    if len(held) > 20:
        held.pop(0)
    if n % 20 == 0:
        most = max(most, len(gc.get_objects()))
print(gc.get_freeze_count() >= 1_000_000, most < 150_000, most)
"""


def test_garbage_is_collected_before_there_is_a_quarter_as_much_of_it_as_is_loaded():
    """20 turns are alive at a time, 16,000 objects; all that are made are 1,200,000."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[:2] == ["True", "True"], done.stdout
