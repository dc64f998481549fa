//! Linux: mounts, loop devices, file-system tools, child processes. The only place with `unsafe`.
