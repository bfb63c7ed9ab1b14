#!/usr/bin/env python3
"""Runs a command and says how long it took and how much memory it had at most.

Usage: import_memory.py COMMAND... Anonymous memory (RssAnon of /proc/PID/status, sampled a hundred
times a second) is what a machine must have; pages of files are only a cache.
"""

import json
import resource
import subprocess
import sys
import time


def anonymous_kib(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    begin, greatest = time.monotonic(), 0
    with subprocess.Popen(sys.argv[1:]) as process:
        while process.poll() is None:
            greatest = max(greatest, anonymous_kib(process.pid))
            time.sleep(0.01)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"exit": process.returncode,
                      "wall_s": round(time.monotonic() - begin, 2),
                      "user_s": round(usage.ru_utime, 2), "system_s": round(usage.ru_stime, 2),
                      "anonymous_mb": round(greatest * 1024 / 1e6, 1),
                      "resident_mb": round(usage.ru_maxrss * 1024 / 1e6, 1)}), file=sys.stderr)
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
