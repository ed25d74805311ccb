#!/usr/bin/env python3
"""What holds in a process that was launched with a profile, as it finds it itself.

    wan22-tune exec --profile profile.json -- python3 tests/command/look.py
"""

import ctypes
import os
import re

import torch

SYS_GET_MEMPOLICY = {"x86_64": 239, "aarch64": 236}[os.uname().machine]
POLICIES = ["default", "preferred", "bind", "interleave", "local", "preferred-many", "weighted"]


def policy():
    """The memory policy of this thread, with its nodes."""
    mode, nodes = ctypes.c_int(), (ctypes.c_ulong * 16)()
    asked = ctypes.byref(mode), nodes, ctypes.c_ulong(1024), None, 0
    if ctypes.CDLL(None).syscall(SYS_GET_MEMPOLICY, *asked):
        return "not readable"
    words = [POLICIES[mode.value & 0xFF]]
    words += [str(node) for node in range(1024) if nodes[node // 64] >> node % 64 & 1]
    return " ".join(words)


def allocator():
    """The allocator whose library is mapped."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        return (re.findall(r"lib(tcmalloc|jemalloc|mimalloc)", maps.read()) or ["glibc"])[0]


# A pool has its threads when it has worked.
torch.rand(512, 512) @ torch.rand(512, 512)
print(
    f"CPUs {sorted(os.sched_getaffinity(0))}, policy {policy()}, allocator {allocator()}, "
    f"threads {torch.get_num_threads()}, inter-op {torch.get_num_interop_threads()}"
)
