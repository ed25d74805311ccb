"""Lets wan22-tune choose the settings of a Python program, and keeps the program loaded while it does.

    import wan22_tune                                            # before torch
    pipe = wan22_tune.apply(WanPipeline.from_pretrained(FOLDER))
    wan22_tune.serve(lambda: pipe(prompt="a fox"))

`wan22-tune --budget 30m --worker -- python program.py` tunes it, and `wan22-tune exec --profile FILE
-- python program.py` runs it with the winner. Without either, `apply` leaves the pipeline alone and
`serve` makes its one call. One file, no dependencies: copy it, or `pip install` its folder. The
protocol is described in docs/worker-protocol.md.
"""

import contextlib
import ctypes
import gc
import glob
import json
import math
import os
import platform
import re
import resource
import struct
import sys
import time
import traceback
import zlib

__version__ = "0.2.0"
__all__ = ["apply", "is_last", "knob", "readback", "serve", "stage", "took"]

PROTOCOL = 5

_PRECISIONS = {
    "fp32": ("float32", "float32"),
    "bf16": ("bfloat16", "float32"),
    "bf16-vae": ("bfloat16", "bfloat16"),
}
_MEMORY_FORMATS = ("contiguous", "channels-last")
_MATMUL_PRECISIONS = ("highest", "high", "medium")
_COMPILE_MODES = ("off", "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
_OFFLOADS = ("none", "model", "group", "group-stream", "sequential")
_TILE = [
    f"tile_sample_{what}_{side}"
    for what, side in [("min", "height"), ("min", "width"), ("stride", "height"), ("stride", "width")]
]
_GET_MEMPOLICY = {"x86_64": 239, "aarch64": 236}
_POLICIES = {0: "default", 1: "preferred", 2: "bind", 3: "interleave", 4: "default", 6: "weighted-interleave"}
_OFF, _ON = ("off", "false", "no", "0"), ("on", "true", "yes", "1")
_ALLOCATORS = ("jemalloc", "tcmalloc", "mimalloc")


# What a program calls.


def knob(name, default=None):
    """The value to use for the knob `name`; `default` where nobody chooses one.

    What is read inside the call that `serve` makes may change from run to run; what is read before
    that takes a new process. The default is what runs today, as the tuner is told; it does not tune
    a knob of which nobody says that. Where the default is a bool the value is one, where it is text text,
    and where it is one of "off" and "on" or the like the other word of a switch.
    """
    value = _handed(name)
    _worker.read(name, default if value is None else value)
    return default if value is None else _meant(value, default)


def apply(pipe):
    """Applies the knobs of a diffusers pipeline to it, now and whenever they change, and returns it.

    What nobody chooses stays as the program has it.
    """
    pipeline = _Pipeline(pipe)
    pipeline.start()
    pipeline.change()
    _worker.pipelines.append(pipeline)
    return pipe


def serve(load, run=None):
    """Calls `run(load())`, or with one argument `load()`, as often as the tuner asks; without it once.

    Returns what the call returns. Under the tuner it does not return: what a program does afterwards
    with a result is no part of what is measured.
    """
    if not _worker.is_on:
        return run(load()) if run else load()
    _worker.serve(load if run else None, run or load)
    sys.exit(0)


@contextlib.contextmanager
def stage(name):
    """Counts the time of its block as the stage `name` of this run."""
    begun = time.perf_counter()
    try:
        yield
        _synchronise()
    finally:
        _worker.stages[name] = _worker.stages.get(name, 0.0) + time.perf_counter() - begun


def took(seconds):
    """Says what this run took where the program knows better, as by the clock of a server."""
    _worker.told_s = float(seconds)


def is_last():
    """Whether it is this run's pictures that count: the last one's of a job, and without a tuner each."""
    return not _worker.is_on or _worker.is_last


def readback():
    """What holds in this process: threads, CPUs, memory policy, allocator; of CUDA what torch says."""
    found = {
        "pools": {"other": _threads()},
        "memory": _memory_policy(),
        "allocator": _allocator(),
        "openmp": sorted(name for name in _libraries() if re.match(r"lib(gomp|iomp5|omp)\b", name)),
    }
    torch = sys.modules.get("torch")
    if torch:
        found["intra_op_threads"] = torch.get_num_threads()
        found["inter_op_threads"] = torch.get_num_interop_threads()
        found["parallel_info"] = torch.__config__.parallel_info()
        found["cpu_capability"] = torch.backends.cpu.get_cpu_capability()
        found["matmul_precision"] = torch.get_float32_matmul_precision()
    if _cuda():
        found["cuda"] = {
            "device": torch.cuda.get_device_name(),
            "tf32_matmul": _allows_tf32(torch.backends.cuda.matmul),
            "tf32_convolution": _allows_tf32(torch.backends.cudnn),
            "allocator": os.environ.get("PYTORCH_ALLOC_CONF") or os.environ.get("PYTORCH_CUDA_ALLOC_CONF", ""),
            "reserved_bytes": torch.cuda.memory_reserved(),
            "free_bytes": torch.cuda.mem_get_info()[0],
        }
    for pipeline in _worker.pipelines:
        found.update(pipeline.readback())
    return found


# What is chosen, by whom.


def _handed(name):
    """What tuner or profile say of a knob, in a variable as text; `None` where they leave it to the program."""
    if _worker.is_on:
        return _worker.knobs().get(name)
    if name in os.environ.get("WAN22_AS_IS", "").split(","):
        return None
    return os.environ.get("WAN22_" + name.upper())


def _meant(value, default=None):
    """What that means where the program's own value is `default`."""
    if isinstance(default, str):
        return _spelled(value, default)
    if not isinstance(value, str):
        return value
    if isinstance(default, bool):
        return value.strip().lower() in _ON
    if _worker.is_on:
        return value
    if re.fullmatch(r"[-+]?[0-9]+", value):
        return int(value)
    if re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", value):
        return float(value)
    return value


def _spelled(value, default):
    """A switch in the words of its default, and anything else as it is."""
    word = str(value).strip().lower()
    for pair in zip(_OFF, _ON):
        if default.strip().lower() in pair and word in _OFF + _ON:
            return pair[word in _ON]
    return value


class _Worker:
    """The tuner's other end: one job after another from standard input, answers on standard output."""

    def __init__(self):
        self.is_on = "WAN22_PROTOCOL" in os.environ
        self.pipelines, self.stages = [], {}
        self.job, self.input, self.output = None, None, None
        self.reads, self.early, self.is_running = {}, set(), False
        self.unsaid = set()
        self.made, self.told_s, self.is_last = None, None, False
        if self.is_on:
            self.take_over()

    def take_over(self):
        """Keeps standard input and output for the protocol: what a program prints goes to standard error."""
        self.version = os.environ.pop("WAN22_PROTOCOL")
        sys.stdout.flush()
        self.input = os.fdopen(os.dup(0), "r", encoding="utf-8")
        self.output = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)

    def next(self):
        """Waits for the next job; `None` where there is none any more."""
        line = self.input.readline()
        self.job = json.loads(line) if line.strip() else None
        if self.job and self.job.get("version") != PROTOCOL:
            version = self.job.get("version")
            raise SystemExit(
                self.fail("wrong-output", f"the job is of protocol {version}, wan22_tune.py speaks {PROTOCOL}")
            )
        return self.job

    def knobs(self):
        if self.job is None and self.next() is None:
            raise SystemExit("wan22_tune: standard input holds no job")
        return self.job.get("knobs", {})

    def read(self, name, value):
        is_plain = isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))
        if self.is_on and is_plain:
            self.reads[name] = value
            if not self.is_running:
                self.early.add(name)
        elif self.is_on and value is None:
            self.unsaid.add(name)

    def say(self, kind, **content):
        self.output.write(json.dumps({kind: {"trial": self.job["trial"], **content}}) + "\n")
        self.output.flush()

    def fail(self, outcome, detail):
        self.say("failed", outcome=outcome, detail=" ".join(str(detail).split())[:500])
        return 1

    def serve(self, load, run):
        call, begun = run, None
        if self.job is None and self.next() is None:
            return
        while self.job:
            try:
                if load:
                    loaded, load = load(), None
                    call = lambda loaded=loaded: run(loaded)  # noqa: E731
                self.answer(call, begun)
            except Exception as error:
                traceback.print_exc()
                sys.exit(self.fail(_outcome(error), _said(error)))
            self.next()
            begun = time.perf_counter()
            self.change()

    def change(self):
        """Changes what the next job changes."""
        self.reads = {name: value for name, value in self.reads.items() if name in self.early}
        for pipeline in self.pipelines if self.job else []:
            pipeline.change()

    def answer(self, call, begun):
        _reset_peaks()
        self.is_last = False
        warmup = [self.measure(call) for _ in range(self.job.get("warmup", 1))]
        setup_s = time.perf_counter() - begun if begun else _since_start()
        count = self.job["repetitions"]["least"]
        self.is_last = count == 1
        # What a job reads is known after a run of it.
        first = None if warmup else self.measure(call)
        self.say("ready", setup_s=setup_s, warmup_s=warmup[-1]["seconds"] if warmup else None, effect=self.effect())
        for number in range(count):
            self.is_last = number + 1 == count
            sample, first = first or self.measure(call), None
            self.say("sample", sample=sample, wall_s=sample["seconds"])
            if sample["seconds"] > self.job.get("stop_above_s", float("inf")) and not self.job.get("pictures"):
                break
        self.say("done", **_peaks(), **self.hand_over())

    def hand_over(self):
        """Writes the frames of the last run where they are wanted; says how many they are."""
        made, self.made = self.made, None
        if not self.job.get("pictures"):
            return {}
        frames = _frames(made)
        for number, frame in enumerate(frames, 1):
            with open(os.path.join(self.job["output"], f"{number:05}.png"), "wb") as file:
                file.write(frame if isinstance(frame, bytes) else _png(*frame))
        return {"pictures": len(frames)}

    def measure(self, call):
        """One run; garbage is collected before and not during it."""
        gc.collect()
        self.stages.clear()
        faults, waited = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, _waited_s()
        self.told_s, self.is_running, begun = None, True, time.perf_counter()
        made = call()
        _synchronise()
        seconds = self.told_s or time.perf_counter() - begun
        self.is_running = False
        self.made = made if self.job.get("pictures") else None
        stages = dict(self.stages)
        if self.pipelines and "denoise" not in stages:
            stages["denoise"] = max(0.0, seconds - sum(stages.values()))
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
        share = max(0.0, _waited_s() - waited) / seconds
        return {"seconds": seconds, "stages": stages, "minor_faults": faults, "run_queue_share": share}

    def effect(self):
        effect = readback()
        applied, run_scope = dict(self.reads), set(self.reads) - self.early
        for pipeline in self.pipelines:
            # What the program reads is its own knob, unless the pipeline took it.
            names = [name for name in pipeline.applied if name in pipeline.taken or name not in self.reads]
            applied.update({name: pipeline.applied[name] for name in names})
            run_scope.update(pipeline.run_scope().intersection(names))
        effect["applied"] = applied
        effect["run_scope"] = sorted(run_scope)
        effect["without_default"] = sorted(self.unsaid.difference(applied))
        return effect


# Pictures.


def _frames(made):
    """Width, height and RGB bytes of each frame of a result, or the bytes of a PNG or JPEG file."""
    for name in ("frames", "images"):
        made = getattr(made, name, made)
    if isinstance(made, bytes):
        return [made]
    if hasattr(made, "detach"):
        made = made.detach().cpu()
        made = (made.float() if made.is_floating_point() else made).numpy()
    if isinstance(made, (list, tuple)):
        return [frame for one in made for frame in _frames(one)]
    if hasattr(made, "convert"):
        made = made.convert("RGB")
        return [(made.width, made.height, made.tobytes())]
    if not hasattr(made, "dtype") or made.ndim < 3:
        return []
    if made.ndim > 3:
        return [frame for one in made for frame in _frames(one)]
    if made.shape[-1] not in (1, 3, 4):
        made = made.transpose(1, 2, 0)
    if made.shape[-1] not in (1, 3, 4):
        return []
    if made.dtype.kind == "f":
        # Also where there is NaN; a decoder overshoots a little.
        if not (made.min() >= -0.5 and made.max() <= 1.5):
            raise ValueError("frames have NaN, or numbers outside 0 to 1: return numbers from 0 to 1, or bytes")
        made = (made.clip(0, 1) * 255).round()
    made = made.astype("uint8").repeat(3 if made.shape[-1] == 1 else 1, axis=2)[..., :3]
    return [(made.shape[1], made.shape[0], made.tobytes())]


def _png(width, height, pixels):
    """A picture as a PNG file, quickly rather than small."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + pixels[3 * width * row : 3 * width * (row + 1)] for row in range(height))
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows, 1)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# A diffusers pipeline.


class _Pipeline:
    """A pipeline, and how its knobs are applied and read back."""

    def __init__(self, pipe):
        self.pipe, self.applied, self.taken = pipe, {}, set()
        names = ("text_encoder", "transformer", "transformer_2", "vae")
        self.models = {name: getattr(pipe, name, None) for name in names}
        self.models = {name: model for name, model in self.models.items() if model is not None}
        # As the program made it: what it is where nobody chooses.
        self.found = {}
        self.dtypes = {name: model.dtype for name, model in self.models.items()}
        self.tiles = {name: getattr(self.models.get("vae"), name, None) for name in _TILE}
        # Models that have lost digits, which only their folders have.
        self.narrowed = {name for name, dtype in self.dtypes.items() if str(dtype) != "torch.float32"}

    def start(self):
        """What can be done only once: threads across operators, where weights lie, timers."""
        import torch

        threads = _meant(_handed("inter_op_threads"))
        if isinstance(threads, int) and threads != torch.get_num_interop_threads():
            with contextlib.suppress(RuntimeError):  # Too late, as the read-back will say.
                torch.set_num_interop_threads(threads)
        self.applied["inter_op_threads"] = torch.get_num_interop_threads()
        mode = _handed("offload")
        if mode in _OFFLOADS and _cuda():
            self.offload(mode)
            self.applied["offload"] = mode
            self.taken.add("offload")
        for name, _, _, read in self.knobs():
            with contextlib.suppress(AttributeError, KeyError):  # Another pipeline may lack it.
                self.found[name] = read()
        self.found = {name: value for name, value in self.found.items() if value is not None}
        if _worker.is_on:
            self.time_stages()

    def offload(self, mode):
        if mode == "none":
            self.pipe.to("cuda")
        elif mode == "model":
            self.pipe.enable_model_cpu_offload()
        elif mode == "sequential":
            self.pipe.enable_sequential_cpu_offload()
        else:
            import torch

            self.pipe.enable_group_offload(
                onload_device=torch.device("cuda"), offload_type="leaf_level", use_stream=mode == "group-stream"
            )

    def time_stages(self):
        vae = self.models.get("vae")
        for holder, method, name in [
            (self.pipe, "encode_prompt", "text"), (vae, "encode", "encode"), (vae, "decode", "decode"),
        ]:
            if holder is not None and hasattr(holder, method):
                setattr(holder, method, _timed(getattr(holder, method), name))

    def knobs(self):
        """Each knob: whether a value is one of its own, and how it is set and read back."""
        import torch

        return [
            ("precision", _PRECISIONS.__contains__, self.set_precision, self.precision),
            ("memory_format", _MEMORY_FORMATS.__contains__, self.set_memory_format, self.memory_format),
            ("vae_tile_size", lambda size: type(size) is int, self.set_tile, self.tile),
            (
                "matmul_precision", _MATMUL_PRECISIONS.__contains__,
                torch.set_float32_matmul_precision, torch.get_float32_matmul_precision,
            ),
            ("attention", lambda word: _backend(word) is not None, self.set_attention, self.attention),
            ("compile", _COMPILE_MODES.__contains__, self.set_compile, self.compile),
        ]

    def change(self):
        """Applies what is handed over, puts back what no longer is, and reads each back."""
        for name, is_ours, write, read in self.knobs():
            value = _meant(_handed(name))
            if name not in self.found or (value is not None and not is_ours(value)):
                # The pipeline lacks it, or the program has a knob of its own by that name.
                self.applied.pop(name, None)
            elif value is not None:
                if value != read():
                    write(value)
                self.applied[name] = read()
                self.taken.add(name)
            else:
                if name in self.taken and read() != self.found[name]:
                    self.put_back(name, write)
                self.applied[name] = read()
        self.applied.pop("vae_tile_stride", None)
        if self.applied.get("vae_tile_size"):
            self.applied["vae_tile_stride"] = self.models["vae"].tile_sample_stride_height

    def put_back(self, name, write):
        """As it was found."""
        if name == "precision":
            for model, dtype in self.dtypes.items():
                self.cast(model, self.models[model], dtype)
        elif name == "vae_tile_size" and self.found[name]:
            self.models["vae"].enable_tiling(**self.tiles)
        else:
            write(self.found[name])

    def run_scope(self):
        """What can change in this process: the precision only where lost digits can be read again."""
        names = {"memory_format", "vae_tile_size", "vae_tile_stride", "matmul_precision", "attention", "compile"}
        if all(os.path.isdir(_folder(model)) for model in self.models.values()):
            names.add("precision")
        # Several backends can't be put back by one name.
        return names - {"attention"} if self.found.get("attention") == "mixed" else names

    def readback(self):
        return {"dtypes": {name: str(model.dtype).replace("torch.", "") for name, model in self.models.items()}}

    def set_precision(self, word):
        import torch

        of_models, of_vae = (getattr(torch, name) for name in _PRECISIONS[word])
        for name, model in self.models.items():
            self.cast(name, model, of_vae if name == "vae" else of_models)

    def cast(self, name, model, dtype):
        """Casts a model as its loader would: some of its parts stay in float32."""
        import torch

        is_lost = name in self.narrowed and model.dtype != dtype and os.path.isdir(_folder(model))
        fresh = dict(_read_again(model, dtype)) if is_lost else {}
        if dtype != torch.float32:
            self.narrowed.add(name)
        elif fresh:
            self.narrowed.discard(name)
        kept = (getattr(model, "_keep_in_fp32_modules", None) or []) if hasattr(model, "from_config") else []
        for place, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if tensor.is_floating_point():
                wide = any(part in place.split(".") for part in kept)
                tensor.data = fresh.get(place, tensor).data.to(torch.float32 if wide else dtype)

    def precision(self):
        dtypes = self.readback()["dtypes"]
        of_vae, of_models = dtypes.pop("vae", None), set(dtypes.values())
        for word, (wanted, wanted_of_vae) in _PRECISIONS.items():
            if of_models <= {wanted} and of_vae in (wanted_of_vae, None):
                return word
        others = of_models.union([of_vae] if of_vae else [])
        return others.pop() if len(others) == 1 else "mixed"

    def set_memory_format(self, word):
        import torch

        for module in self.models["vae"].modules():
            weight = getattr(module, "weight", None)
            if weight is not None and weight.dim() in (4, 5):
                order = torch.channels_last if weight.dim() == 4 else torch.channels_last_3d
                order = order if word == "channels-last" else torch.contiguous_format
                weight.data = weight.data.contiguous(memory_format=order)

    def memory_format(self):
        import torch

        for module in self.models["vae"].modules():
            weight = getattr(module, "weight", None)
            # A kernel of one number a channel lies the same way in both orders.
            if weight is not None and weight.dim() == 5 and min(weight.shape) > 1:
                last = weight.is_contiguous(memory_format=torch.channels_last_3d)
                return "channels-last" if last else "contiguous"
        return None

    def set_tile(self, size):
        if size == 0:
            self.models["vae"].disable_tiling()
            return
        stride = _meant(_handed("vae_tile_stride")) or size * 3 // 4
        self.models["vae"].enable_tiling(
            tile_sample_min_height=size, tile_sample_min_width=size,
            tile_sample_stride_height=stride, tile_sample_stride_width=stride,
        )

    def tile(self):
        vae = self.models["vae"]
        return vae.tile_sample_min_height if vae.use_tiling else 0

    def set_attention(self, word):
        for name in ("transformer", "transformer_2"):
            if name in self.models:
                self.models[name].set_attention_backend(_backend(word))

    def attention(self):
        found = set()
        for module in self.models["transformer"].modules():
            processor = getattr(module, "processor", None)
            if hasattr(processor, "_attention_backend"):
                backend = processor._attention_backend
                found.add("native" if backend is None else str(getattr(backend, "value", backend)).lstrip("_"))
        return found.pop() if len(found) == 1 else "mixed"

    def set_compile(self, mode):
        import torch

        torch.compiler.reset()
        for name in ("transformer", "transformer_2"):
            model = self.models.get(name)
            if model is not None:
                model._compiled_call_impl = None
                if mode != "off":
                    model.compile(mode=mode)
                model._wan22_compile = mode

    def compile(self):
        model = self.models["transformer"]
        is_on = getattr(model, "_compiled_call_impl", None) is not None
        return getattr(model, "_wan22_compile", "default") if is_on else "off"


def _folder(model):
    return getattr(getattr(model, "config", None), "_name_or_path", None) or ""


def _read_again(model, dtype):
    """The parameters of a model as its folder has them."""
    word = "dtype" if hasattr(model, "config_class") else "torch_dtype"
    return type(model).from_pretrained(_folder(model), **{word: dtype}).named_parameters()


def _backend(word):
    """diffusers' name of an attention backend: a knob's value has no underscore in front; `None` for no such name."""
    from diffusers.models.attention_dispatch import AttentionBackendName

    known = {name.value for name in AttentionBackendName}
    return next((name for name in (word, f"_{word}") if name in known), None)


def _timed(function, name):
    def timed(*arguments, **keywords):
        with stage(name):
            return function(*arguments, **keywords)

    return timed


# What the process says of itself.


def _cuda():
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_available()


def _allows_tf32(backend):
    """By torch's older switch; by the newer one where a program has set that, which the older refuses to say."""
    try:
        return backend.allow_tf32
    except RuntimeError:
        return getattr(backend, "fp32_precision", None) == "tf32"


def _synchronise():
    if _cuda():
        sys.modules["torch"].cuda.synchronize()


def _said(error):
    """What an exception says, with its kind; torch's own show which memory is full."""
    kind = type(error)
    return ("torch." if kind.__module__.split(".")[0] == "torch" else "") + f"{kind.__name__}: {error}"


def _outcome(error):
    text = _said(error).lower()
    words = ("outofmemory", "memoryerror", "out of memory", "not enough memory", "can't allocate memory", "bad_alloc")
    return "out-of-memory" if any(word in text for word in words) else "crashed"


def _text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _threads():
    """How many threads there are, the CPUs that they may use, and those that they ran on last."""
    masks, ran_on, count = set(), set(), 0
    for task in glob.glob("/proc/self/task/*"):
        status, stat = _text(task + "/status"), _text(task + "/stat")
        mask = re.search(r"^Cpus_allowed_list:\s*(\S+)", status, re.MULTILINE)
        if mask and stat:
            masks.add(mask.group(1))
            ran_on.add(int(stat.rsplit(")", 1)[1].split()[36]))
            count += 1
    return {"threads": count, "allowed": sorted(masks), "ran_on": ",".join(map(str, sorted(ran_on)))}


def _memory_policy():
    """The memory policy of this thread; `None` where the kernel won't say."""
    number = _GET_MEMPOLICY.get(platform.machine())
    mode, mask = ctypes.c_int(), (ctypes.c_ulong * 16)()
    if number is None or ctypes.CDLL(None).syscall(number, ctypes.byref(mode), mask, 1024, None, 0) != 0:
        return None
    word = _POLICIES.get(mode.value & 0xFF)
    nodes = [str(i * 64 + bit) for i, part in enumerate(mask) for bit in range(64) if part >> bit & 1]
    if word == "default":
        return {"policy": word}
    return {"policy": word, "nodes": ",".join(nodes)} if word else None


def _libraries():
    files = re.findall(r"/([^/\n]+\.so[^/\n]*)$", _text("/proc/self/maps"), re.MULTILINE)
    return set(files)


def _allocator():
    names = _libraries()
    return next((known for known in _ALLOCATORS if any(name.startswith("lib" + known) for name in names)), "glibc")


def _waited_s():
    """Seconds that this process's threads have waited for a CPU."""
    fields = [_text(path).split() for path in glob.glob("/proc/self/task/*/schedstat")]
    return sum(int(found[1]) for found in fields if len(found) > 1) / 1e9


def _since_start():
    """Seconds since this process started."""
    ticks = int(_text("/proc/self/stat").rsplit(")", 1)[1].split()[19])
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))


def _reset_peaks():
    """Starts to count anew what memory is used at the most."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    if _cuda():
        sys.modules["torch"].cuda.reset_peak_memory_stats()


def _peaks():
    found = re.search(r"^VmHWM:\s*(\d+)", _text("/proc/self/status"), re.MULTILINE)
    peak = int(found.group(1)) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peaks = {"peak_rss_bytes": peak * 1024}
    if _cuda():
        peaks["peak_device_bytes"] = sys.modules["torch"].cuda.max_memory_allocated()
    return peaks


_worker = _Worker()
