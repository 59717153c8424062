"""A client that writes at a steady rate; a process beside the bench.

Its orders are in its argument; input and output are as `harness.load_process` has them.
"""

import json
import random
import select
import sys
import time

from bench import commands
from harness import resp

# Writes sent at once. Few enough that the next batch is due within milliseconds.
_AT_ONCE = 100


def main() -> None:
    orders = json.loads(sys.argv[1])
    chance = random.Random(1)
    with resp.Connection(orders["port"]) as connection:
        print(json.dumps({"type": "ready"}), flush=True)
        sys.stdin.readline()
        due = time.monotonic()
        while not select.select([sys.stdin], [], [], 0)[0]:
            time.sleep(max(0.0, due - time.monotonic()))
            due += _AT_ONCE / orders["rate"]
            numbers = (chance.randrange(orders["keys"]) for _ in range(_AT_ONCE))
            connection.pipeline([commands.string(number) for number in numbers])
    print(json.dumps({"type": "result", "counts": {}}), flush=True)


if __name__ == "__main__":
    main()
