#!/usr/bin/python3
"""How fast a directory's file system is: speed.py write|read|random|sync|create DIR

One number: MiB/s of write (32 MiB in 1 MiB, and a fsync) and read, operations/s of the others (random: reads of
4 KiB; sync: random writes of 4 KiB, each with a fsync; create: new files of one line). All caches are to be empty.
"""
import json
import os
import subprocess
import sys
import time

part, path = sys.argv[1:]
MIB = 1 << 20
FIO = {
    "write": ["--rw=write", "--bs=1m", "--end_fsync=1"],
    "read": ["--rw=read", "--bs=1m"],
    "random": ["--rw=randread", "--bs=4k", "--io_size=4m"],
    "sync": ["--rw=randwrite", "--bs=4k", "--io_size=1m", "--fsync=1"],
}


def fio():
    command = ["fio", "--name=speed", f"--filename={path}/speed", "--size=32m", "--fallocate=none"]
    said = subprocess.run(
        [*command, *FIO[part], "--ioengine=psync", "--output-format=json"], check=True, capture_output=True
    )
    job = json.loads(said.stdout)["jobs"][0]
    done = job["read" if part in ("read", "random") else "write"]
    # With what the last fsync took.
    seconds = job["job_runtime"] / 1000
    return (done["io_bytes"] / MIB if part in ("read", "write") else done["total_ios"]) / seconds


def create():
    directory = f"{path}/created-{os.getpid()}"
    os.mkdir(directory)
    since = time.monotonic()
    for number in range(150):
        with open(f"{directory}/{number}", "x") as file:
            file.write("a line\n")
    return 150 / (time.monotonic() - since)


print(create() if part == "create" else fio())
