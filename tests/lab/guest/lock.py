#!/usr/bin/python3
"""An exclusive lock: lock.py try FILE [fcntl|flock], or lock.py hold FILE [fcntl|flock]

Without a word it is fcntl's, of the kind that databases take.

`try` says `taken` (and gives it back) or `refused`. `hold` makes FILE.held once it has it, and keeps it
until it is killed.
"""
import fcntl
import sys
import time

mode, path = sys.argv[1:3]
lock = fcntl.flock if sys.argv[3:] == ["flock"] else fcntl.lockf
file = open(path, "a+")
try:
    lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("refused")
    sys.exit(0)
if mode == "hold":
    open(path + ".held", "w").close()
    time.sleep(3600)
print("taken")
