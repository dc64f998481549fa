#!/usr/bin/python3
"""What a file has beside its data and its name: changed, and looked at after a power loss.

metadata.py prepare DIR   makes a file for each change
metadata.py change DIR    makes each change, and syncs the file: prints `refused NAME` for what cannot be done
metadata.py look DIR      prints the names of the changes that are not there
"""
import os
import sys

mode, top = sys.argv[1:3]
LENGTH = 10000


def empty(path):
    file = os.open(path, os.O_RDWR | os.O_TRUNC)
    os.fsync(file)
    os.close(file)


# What is done to an open file, and whether it was done.
CHANGES = {
    "shorter": (lambda file: os.ftruncate(file, 10), lambda path: os.stat(path).st_size == 10),
    "longer": (lambda file: os.ftruncate(file, 99999), lambda path: os.stat(path).st_size == 99999),
    "mode": (lambda file: os.fchmod(file, 0o600), lambda path: os.stat(path).st_mode & 0o777 == 0o600),
    "owner": (lambda file: os.fchown(file, 33, 33), lambda path: os.stat(path).st_uid == 33),
    "times": (lambda file: os.utime(file, (1000, 1000)), lambda path: os.stat(path).st_mtime == 1000),
    "empty": (lambda file: empty(f"/proc/self/fd/{file}"), lambda path: os.stat(path).st_size == 0),
}

if mode == "look":
    print(*[name for name, (_, done) in CHANGES.items() if not done(f"{top}/{name}")])
    sys.exit(0)
for name, (change, _) in CHANGES.items():
    flags = os.O_RDWR | os.O_CREAT if mode == "prepare" else os.O_RDWR
    file = os.open(f"{top}/{name}", flags, 0o644)
    if mode == "prepare":
        os.write(file, b"x" * LENGTH)
    else:
        try:
            change(file)
        except OSError as error:
            print("refused", name, error)
    os.fsync(file)
    os.close(file)
