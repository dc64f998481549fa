#!/usr/bin/python3
"""Appends numbered lines to a file until it is killed: write-lines.py FILE TAG

Each line is fsynced before it is acknowledged on the console, which the host keeps: what it has seen
there must never be missing, whatever happens to this machine or to the file's server. A second number
says how long the line took, in milliseconds.
"""
import os
import sys
import time

path, tag = sys.argv[1:]
file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
directory = os.open(os.path.dirname(path), os.O_RDONLY)
os.fsync(directory)
console = os.open("/dev/console", os.O_WRONLY | os.O_NOCTTY)
line = 0
while True:
    line += 1
    since = time.monotonic()
    try:
        os.write(file, b"%d\n" % line)
        os.fsync(file)
    except OSError as error:
        os.write(console, f"failed {tag} {line} {error}\n".encode())
        raise
    took = int((time.monotonic() - since) * 1000)
    os.write(console, f"acked {tag} {line} {took}\n".encode())
