#!/usr/bin/python3
"""What a task does with files that tasks on other nodes use, too.

workload.py count FILE KIND N     adds one to FILE's number under a lock (fcntl, flock), N times; says how often
                                  the last one before was another task
workload.py reopen FILE KIND N    opens, locks and closes FILE, N times
workload.py append FILE TAG N     appends N lines under a lock, of many lengths
workload.py lines FILE N TAG...   says what is wrong with these tasks' lines
workload.py mapped FILE WORD      writes by a shared mapping, msync, close
workload.py direct FILE WORD      writes past the page cache, fsync, close
workload.py held FILE             opens, waits for /run/go, and says how it gets on with the open file
workload.py look FILE             opens, and says what it sees
workload.py mark FILE VALUE       sets an extended attribute
"""
import errno
import fcntl
import mmap
import os
import random
import sys
import time

PAGE = mmap.PAGESIZE
mode, path, *rest = sys.argv[1:]


def locked(file, lock):
    # Not waiting in the kernel: an NFS client asks again after 1 s, then 2 s, 4 s, up to 30 s.
    while True:
        try:
            return lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(random.uniform(0.001, 0.02))


def count(kind, times):
    lock = {"flock": fcntl.flock, "fcntl": fcntl.lockf}[kind]
    me = f"{os.uname().nodename}.{os.getpid()}"
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    others = 0
    for _ in range(int(times)):
        locked(file, lock)
        number, last = (os.pread(file, 64, 0).split() or (b"0", b"-"))[:2]
        others += last != me.encode()
        os.pwrite(file, f"{int(number) + 1} {me}".ljust(63).encode() + b"\n", 0)
        lock(file, fcntl.LOCK_UN)
        time.sleep(random.uniform(0, 0.01))
    print(others)


def reopen(kind, times):
    for _ in range(int(times)):
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        locked(file, {"flock": fcntl.flock, "fcntl": fcntl.lockf}[kind])
        os.close(file)


def append(tag, times):
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for number in range(1, int(times) + 1):
        locked(file, fcntl.lockf)
        rest = "x" * random.randrange(3 * PAGE)
        os.write(file, f"{tag} {number} {len(rest)} {rest}\n".encode())
        fcntl.lockf(file, fcntl.LOCK_UN)
        time.sleep(random.uniform(0, 0.01))


def lines(times, *tags):
    seen = {tag: 0 for tag in tags}
    for line in open(path):
        tag, number, length, rest = (line.rstrip("\n").split(" ") + [""] * 4)[:4]
        if tag not in seen or not line.endswith("\n") or rest != "x" * int(length):
            print("torn:", line[:60])
        elif int(number) != seen[tag] + 1:
            print("not the next:", line[:60])
        seen[tag] = int(number)
    print("wrong:", *(f"{tag} has {last}" for tag, last in seen.items() if last != int(times)))


def mapped(word):
    file = os.open(path, os.O_RDWR)
    page = mmap.mmap(file, 3 * PAGE)
    # Over the border of two pages, and at the front.
    for at in (0, 2 * PAGE - 4):
        page[at : at + 8] = word.ljust(8).encode()
    page.flush()
    page.close()
    os.close(file)


def direct(word):
    file = os.open(path, os.O_RDWR | os.O_DIRECT)
    # Direct I/O wants its memory aligned.
    block = mmap.mmap(-1, 3 * PAGE)
    for at in (0, 2 * PAGE - 4):
        block[at : at + 8] = word.ljust(8).encode()
    os.pwrite(file, block, 0)
    os.fsync(file)
    os.close(file)


def said(name, act):
    try:
        act()
        return f"{name}=ok"
    except OSError as error:
        return f"{name}={errno.errorcode[error.errno]}"


def held():
    file = os.open(path, os.O_RDWR)
    os.pread(file, 1, 0)
    open(f"/run/held.{os.path.basename(path)}", "w").close()
    while not os.path.exists("/run/go"):
        time.sleep(0.05)

    def read():
        # What the node has of it in its memory is not meant.
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        assert os.pread(file, 1 << 20, 0) == b"content\n" * 8192, "not what it was"

    def write():
        os.pwrite(file, b"more", 0)
        os.fsync(file)

    print(said("read", read), said("write", write), said("stat", lambda: os.fstat(file)))


def look():
    file = os.open(path, os.O_RDONLY)
    stat = os.fstat(file)
    head, border = os.pread(file, 8, 0), os.pread(file, 8, 2 * PAGE - 4)
    try:
        marks = [os.getxattr(file, name).decode() for name in os.listxattr(file) if name == "user.mark"]
    except OSError as error:
        marks = [errno.errorcode[error.errno]]
    text = [word.decode().strip() for word in (head, border)]
    print(stat.st_size, f"{stat.st_mode & 0o7777:o}", f"{stat.st_uid}:{stat.st_gid}", stat.st_nlink, *text, *marks)


def mark(value):
    print(said("mark", lambda: os.setxattr(path, "user.mark", value.encode())))


{f.__name__: f for f in (count, reopen, append, lines, mapped, direct, held, look, mark)}[mode](*rest)
