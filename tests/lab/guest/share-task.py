#!/usr/bin/python3
"""A task on a shared volume; what it has seen succeed it acknowledges on the console, as write-lines.py.

share-task.py files DIR TAG [COUNT]  creates, fsyncs, renames, fsyncs the directory, and so on
share-task.py hold FILE TAG          takes a lock and appends fsynced lines under it
share-task.py try FILE TAG           tries to take that lock, again and again; it must never get it
share-task.py claim FILE TAG         waits for that lock, which is its first step, and holds it
share-task.py verify DIR TAG LAST    whether the files 1 to LAST are there; says which are not
"""
import fcntl
import os
import sys
import time

mode, path, tag = sys.argv[1:4]


def files(number):
    draft, name = f"{path}/{tag}.draft", f"{path}/{tag}-{number}"
    try:
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        done_before("create", number)
        file = os.open(draft, os.O_WRONLY | os.O_TRUNC)
    os.write(file, b"%d\n" % number)
    os.fsync(file)
    os.close(file)
    try:
        os.rename(draft, name)
    except FileNotFoundError:
        if not has(number):
            raise
        done_before("rename", number)
    os.fsync(directory)


def done_before(what, number):
    """What a server had done when it died is asked for again of the next one, which refuses it then."""
    os.write(console, f"done before: {what} {tag} {number}\n".encode())


def hold(number):
    os.write(file, b"%d\n" % number)
    os.fsync(file)
    time.sleep(0.1)


def claim(number):
    while number == 1:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            time.sleep(0.1)
    hold(number)


def refused(number):
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(0.1)
        return
    raise OSError(0, "the lock was given to a second one")


def has(number):
    try:
        return open(f"{path}/{tag}-{number}").read() == f"{number}\n"
    except FileNotFoundError:
        return False


def missing(last):
    """All names, and what is in the latest files: to read each of them takes minutes on a slow machine."""
    names = set(os.listdir(path))
    absent = [number for number in range(1, last + 1) if f"{tag}-{number}" not in names]
    return absent + [number for number in range(max(1, last - 9), last + 1) if not has(number)]


if mode == "verify":
    print("missing", *missing(int(sys.argv[4])))
    sys.exit(0)
if mode == "files":
    directory = os.open(path, os.O_RDONLY)
else:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
if mode == "hold":
    fcntl.lockf(file, fcntl.LOCK_EX)
last = int(sys.argv[4]) if len(sys.argv) > 4 else sys.maxsize
step = {"files": files, "hold": hold, "claim": claim, "try": refused}[mode]
console = os.open("/dev/console", os.O_WRONLY | os.O_NOCTTY)
for number in range(1, last + 1):
    since = time.monotonic()
    try:
        step(number)
    except OSError as error:
        os.write(console, f"failed {tag} {number} {error}\n".encode())
        raise
    took = int((time.monotonic() - since) * 1000)
    os.write(console, f"acked {tag} {number} {took}\n".encode())
time.sleep(3600)
