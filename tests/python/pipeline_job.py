"""A worker with a diffusers pipeline that its user set up already: bfloat16, untiled, "high". Torch is a stand-in.

It notes in the file STATE what each run finds, and reads a knob `compile` that is the script's own.
"""

import os
import sys
import types

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))

import wan22_tune  # noqa: E402


class Torch(types.ModuleType):
    """What wan22_tune asks of torch."""

    float32, bfloat16 = "torch.float32", "torch.bfloat16"
    threads, across, matmul = 1, 3, "high"
    cuda = types.SimpleNamespace(is_available=lambda: False)
    backends = types.SimpleNamespace(cpu=types.SimpleNamespace(get_cpu_capability=lambda: "AVX2"))
    __config__ = types.SimpleNamespace(parallel_info=lambda: "")

    def get_num_threads(self):
        return self.threads

    def get_num_interop_threads(self):
        return self.across

    def get_float32_matmul_precision(self):
        return self.matmul

    def set_float32_matmul_precision(self, word):
        self.matmul = word


class Tensor:
    def __init__(self, dtype):
        self.dtype = dtype

    def is_floating_point(self):
        return True

    def to(self, dtype):
        return Tensor(dtype)

    @property
    def data(self):
        return self

    @data.setter
    def data(self, other):
        self.dtype = other.dtype


class Model:
    use_tiling = False
    tile_sample_min_height = tile_sample_min_width = 256
    tile_sample_stride_height = tile_sample_stride_width = 192

    def __init__(self, dtype):
        self.weight = Tensor(dtype)

    @property
    def dtype(self):
        return self.weight.dtype

    def named_parameters(self):
        return [("weight", self.weight)]

    def named_buffers(self):
        return []

    def modules(self):
        return []

    def enable_tiling(self, **sizes):
        self.use_tiling = True
        self.__dict__.update(sizes)

    def disable_tiling(self):
        self.use_tiling = False


torch = sys.modules["torch"] = Torch("torch")
pipe = types.SimpleNamespace(transformer=Model(torch.bfloat16), vae=Model(torch.float32))
wan22_tune.apply(pipe)


def run():
    own = wan22_tune.knob("compile", False)
    if not isinstance(own, bool) or hasattr(pipe.transformer, "_wan22_compile"):
        raise TypeError(f"compile is {own!r}")
    vae = pipe.vae
    tile = vae.tile_sample_min_height if vae.use_tiling else 0
    with open(os.environ.get("STATE", os.devnull), "a") as state:
        state.write(f"{pipe.transformer.dtype} {vae.dtype} {tile} {torch.matmul} {torch.across}\n")
    wan22_tune.took(1.0)


wan22_tune.serve(run)
