"""Settings for Wan 2.2, applied before torch is loaded.

    import wan22_profile        # whatever this file is called
    import torch

sets the environment, binds this process to its CPUs and memory, and sets torch's threads,
precision and share of GPU memory as soon as torch is imported. Two things are decided when a
process starts, the allocator and the environment of the C library. To have these too, start the
program with this file, which becomes it:

    python3 wan22_profile.py generate.py --prompt …
    python3 wan22_profile.py -m my.module …
    python3 wan22_profile.py -c "import generate" …

What a program has to use by itself is in SETTINGS (tile sizes and strides in pixels, batch sizes,
offloading), KNOBS (`precision`, …) and WORKERS. `read_back()` says what holds now, `NOTES` what could not be applied.
"""

import ctypes
import importlib.util
import os
import platform
import re
import runpy
import sys
import types

# The data: filled in by wan22-tune.

NOTES = []
_STARTED = "--wan22-started"
_SYSCALLS = {"x86_64": (238, 239), "aarch64": (237, 236)}  # set_mempolicy, get_mempolicy
_NODE_BITS = 4096


def check():
    """Refuses what the allow-list of wan22-tune does not hold: somebody changed this file."""
    for name, value in ENVIRONMENT.items():
        if name not in ALLOWED or not re.fullmatch(ALLOWED[name], value):
            raise ValueError(f"{name}={value!r} is not what a profile may set")


def apply():
    """Applies to this process whatever still can be, and to torch when it is imported."""
    check()
    _note_what_is_too_late()
    _change(os.environ)
    _bind()
    if "torch" in sys.modules:
        NOTES.append("torch was imported before: its OpenMP threads were set up without the profile")
        configure(sys.modules["torch"])
    elif not any(isinstance(finder, _Torch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Torch())
    for note in NOTES:
        print(f"wan22 profile: {note}", file=sys.stderr)


def configure(torch):
    """Sets what torch has functions for."""
    if "intra_op_threads" not in AS_IS:
        torch.set_num_threads(KNOBS["intra_op_threads"])
    try:
        if "inter_op_threads" not in AS_IS:
            torch.set_num_interop_threads(KNOBS["inter_op_threads"])
    except RuntimeError as error:
        NOTES.append(f"inter-op threads: {error}")
    precision = KNOBS.get("matmul_precision", "highest")
    if "matmul_precision" not in AS_IS:
        torch.set_float32_matmul_precision(precision)
    # Where something is as it is, no trial set what follows.
    if AS_IS or not torch.cuda.is_available():
        return
    tensor_cores = SETTINGS["enable_tensor_cores"]
    torch.backends.cudnn.allow_tf32 = tensor_cores
    if precision == "highest":
        # The same switch as the precision above, and it knows no "medium".
        torch.backends.cuda.matmul.allow_tf32 = tensor_cores
    torch.cuda.set_per_process_memory_fraction(SETTINGS["memory_fraction"])


def read_back():
    """What holds in this process now."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        files = {os.path.basename(line.rstrip("\n").rpartition(" ")[2]) for line in maps}
    held = {
        "cpus": sorted(os.sched_getaffinity(0)),
        "memory": _policy(),
        "environment": {name: os.environ.get(name) for name in ENVIRONMENT},
        "libraries": sorted(files & set(ENVIRONMENT.get("LD_PRELOAD", "").split(":")))
        or sorted(file for file in files if re.match("lib(jemalloc|tcmalloc|mimalloc)", file)),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        held["intra_op_threads"] = torch.get_num_threads()
        held["inter_op_threads"] = torch.get_num_interop_threads()
        held["matmul_precision"] = torch.get_float32_matmul_precision()
    return held


class _Torch:
    """Finds torch as it would be found anyway, and has it configured once it is loaded."""

    def find_spec(self, name, path=None, target=None):
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_configure(module):
                load(module)
                configure(module)

            spec.loader.exec_module = load_and_configure
        return spec


def _change(environment):
    for name in [n for n in environment if n.startswith(tuple(NOT_INHERITED)) and n not in KEPT]:
        del environment[name]
    environment.update(ENVIRONMENT)
    # How programs learn of knobs that only they can apply.
    environment.update(HANDED)


def _note_what_is_too_late():
    """The C library and the linker read their variables when a process starts."""
    with open("/proc/self/environ", "rb") as environ:
        # glibc ends each tunable with a NUL where it stands.
        text = environ.read().replace(b"\0glibc.", b":glibc.").decode(errors="replace")
    started = dict(line.split("=", 1) for line in text.split("\0") if "=" in line)
    for name in ("LD_PRELOAD", "GLIBC_TUNABLES", "MALLOC_ARENA_MAX", "MALLOC_CONF"):
        wanted, got = ENVIRONMENT.get(name), started.get(name)
        if name == "LD_PRELOAD" and got is not None:
            got = ":".join(os.path.basename(file) for file in re.split("[: ]", got) if file)
        if wanted is not None and wanted != got:
            NOTES.append(f"{name} came too late: start the program with `python3 {__file__} …`")


def _bind():
    """None stands for what stays as it is."""
    for thread in os.listdir("/proc/self/task") if CPUS is not None else []:
        try:
            os.sched_setaffinity(int(thread), CPUS)
        except OSError as error:
            NOTES.append(f"CPUs {CPUS}: {error}")
            break
    if CPUS is not None and os.sched_getaffinity(0) != set(CPUS):
        NOTES.append(f"asked for CPUs {CPUS}, the kernel granted {sorted(os.sched_getaffinity(0))}")
    mode, nodes = MEMORY or [0, []]
    if mode == 0:
        return
    mask = (ctypes.c_ulong * (_NODE_BITS // 64))()
    for node in nodes:
        mask[node // 64] |= 1 << (node % 64)
    if _syscall(0, mode, mask, _NODE_BITS + 1) != 0:
        error = os.strerror(ctypes.get_errno())
        NOTES.append(f"memory policy: {error} (in a container, add --cap-add SYS_NICE)")
    elif _policy() not in (None, [mode, nodes]):
        NOTES.append(f"asked for memory policy {MEMORY}, the kernel made it {_policy()}")


def _policy():
    """The kernel's number of this thread's memory policy and its nodes; None where it won't say."""
    mode, mask = ctypes.c_int(), (ctypes.c_ulong * (_NODE_BITS // 64))()
    if _syscall(1, ctypes.byref(mode), mask, _NODE_BITS, None, 0) != 0:
        return None
    nodes = [i * 64 + bit for i, word in enumerate(mask) for bit in range(64) if word >> bit & 1]
    return [mode.value & 0xFF, nodes]


def _syscall(which, *arguments):
    numbers = _SYSCALLS.get(platform.machine())
    if numbers is None:
        ctypes.set_errno(38)
        return -1
    return ctypes.CDLL(None, use_errno=True).syscall(numbers[which], *arguments)


def _library(name):
    """The system's file of that name, which nobody but root could have put there."""
    for folder in LIBRARY_FOLDERS:
        file = os.path.join(folder, name)
        if os.path.exists(file):
            part = os.path.realpath(file)
            while True:
                state = os.stat(part)
                if state.st_uid != 0 or state.st_mode & 0o022:
                    _refuse(f"{part}: others than root may write to it, so it is not loaded", 125)
                if part == "/":
                    return file
                part = os.path.dirname(part)
    _refuse(f"{name} is not installed", 125)


def _refuse(words, status=2):
    print(f"wan22 profile: {words}", file=sys.stderr)
    sys.exit(status)


def _expect_program(arguments):
    """What can't be started is told before anything is applied, with Python's own status."""
    first = arguments[0]
    if first in ("-m", "-c"):
        if len(arguments) < 2:
            _refuse(f"{first} needs a {'module' if first == '-m' else 'command'} after it")
    elif first.startswith("-"):
        _refuse(f"{first}: type Python's own options before this file: python3 {first} {__file__} …")
    elif not os.path.exists(first):
        _refuse(f"{first}: no such file: type a script, -m MODULE or -c CODE after {__file__}")


def _run_code(code):
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    exec(compile(code, "<string>", "exec"), main.__dict__)


def _main(arguments):
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    if not arguments:
        sys.exit(__doc__)
    if arguments[0] != _STARTED:
        check()
        _expect_program(arguments)
        environment = dict(os.environ)
        _change(environment)
        if "LD_PRELOAD" in environment:
            names = environment["LD_PRELOAD"].split(":")
            environment["LD_PRELOAD"] = ":".join(_library(name) for name in names)
        _bind()
        this = [sys.executable, os.path.abspath(__file__), _STARTED]
        os.execve(sys.executable, this + arguments, environment)
    arguments = arguments[1:]
    apply()
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    elif arguments[0] == "-c":
        sys.argv = ["-c"] + arguments[2:]
        sys.path[0] = ""
        _run_code(arguments[1])
    else:
        sys.argv = arguments
        sys.path[0] = os.path.dirname(os.path.abspath(arguments[0]))
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    _main(sys.argv[1:])
else:
    apply()
