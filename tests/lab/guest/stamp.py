#!/usr/bin/python3
"""Writes stamps until it is killed or cannot: stamp.py file PATH NODE EPOCH, stamp.py disk DEVICE NODE EPOCH

A stamp says who wrote it, at which epoch, and the how manieth it is. Each is flushed before it is
acknowledged on the console, which the host keeps: what was acknowledged must never be missing, and
after a stamp of one epoch there must be none of an older one.

In a file they are lines, appended. On a disk each has a block of its own, past the page cache, in 64 MiB
that belong to its epoch.
"""
import mmap
import os
import sys
import time

BLOCK = 4096
REGION = 64 << 20


def to_file(path):
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    directory = os.open(os.path.dirname(path), os.O_RDONLY)
    os.fsync(directory)

    def put(stamp, _):
        os.write(file, stamp)
        os.fsync(file)
        # Not for as much as the machine can: others have work to do there.
        time.sleep(0.02)

    return put


def to_disk(path):
    disk = os.open(path, os.O_WRONLY | os.O_DIRECT)
    # Direct I/O wants its memory aligned.
    block = mmap.mmap(-1, BLOCK)

    def put(stamp, sequence):
        block[:] = stamp.ljust(BLOCK, b"\0")
        os.pwrite(disk, block, epoch * REGION + sequence * BLOCK % REGION)
        os.fsync(disk)

    return put


kind, path, node, epoch = sys.argv[1:]
epoch = int(epoch)
put = {"file": to_file, "disk": to_disk}[kind](path)
console = os.open("/dev/console", os.O_WRONLY | os.O_NOCTTY)
tag = f"{node}@{epoch}"
sequence = 0
while True:
    sequence += 1
    since = time.monotonic()
    try:
        put(f"{node} {epoch} {sequence}\n".encode(), sequence)
    except OSError as error:
        said = f"failed {tag} {sequence} {error.strerror}"
        os.write(console, f"{said}\n".encode())
        sys.exit(said)
    took = int((time.monotonic() - since) * 1000)
    os.write(console, f"acked {tag} {sequence} {took}\n".encode())
