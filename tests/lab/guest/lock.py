#!/usr/bin/python3
"""An exclusive fcntl lock, of the kind that databases take: lock.py try FILE, or lock.py hold FILE

`try` says `taken` (and gives it back) or `refused`. `hold` makes FILE.held once it has it, and keeps it
until it is killed.
"""
import fcntl
import sys
import time

mode, path = sys.argv[1:]
file = open(path, "a+")
try:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("refused")
    sys.exit(0)
if mode == "hold":
    open(path + ".held", "w").close()
    time.sleep(3600)
print("taken")
