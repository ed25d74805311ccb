"""A ready-made worker: a workflow of ComfyUI in API format, over HTTP.

    wan22-tune --budget 1h --app comfyui -- --workflow flow.json --folder ComfyUI

It starts ComfyUI's main.py from `--folder` (or talks to one that runs, `--server URL`, whose launch it then
leaves alone), sends the workflow with the knobs' values in its nodes' inputs, and takes the seconds from
the server's own history. `--space` prints the knobs: inputs of the workflow's nodes that decide speed or
memory, with the bounds that /object_info of this server gives them, and flags of the launch.
"""

import wan22_tune  # isort: skip  # Before anything else: it takes over standard output.

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

NOTHING, PICTURE = "nothing", "picture"

# Inputs of nodes that decide speed or memory, and what else they change. Others are the user's picture.
INPUTS = {
    "WanVideoBlockSwap": {
        "blocks_to_swap": NOTHING, "offload_img_emb": NOTHING, "offload_txt_emb": NOTHING,
        "use_non_blocking": NOTHING, "prefetch_blocks": NOTHING,
    },
    "WanVideoModelLoader": {
        "base_precision": PICTURE, "quantization": PICTURE, "load_device": NOTHING, "attention_mode": PICTURE,
    },
    "WanVideoVAELoader": {"precision": PICTURE},
    "WanVideoDecode": {"enable_vae_tiling": PICTURE, "tile_x": PICTURE, "tile_y": PICTURE},
    "WanVideoTeaCache": {"rel_l1_thresh": PICTURE},
    "WanVideoMagCache": {"magcache_thresh": PICTURE},
    "WanVideoEasyCache": {"easycache_thresh": PICTURE},
    "WanVideoTorchCompileSettings": {"mode": PICTURE},
    "UNETLoader": {"weight_dtype": PICTURE},
    "VAEDecodeTiled": {"tile_size": PICTURE, "overlap": PICTURE, "temporal_size": PICTURE},
}

# Flags of main.py; the words of a switch are there while it is on.
FLAGS = {
    "attention": ("--use-{}-attention", ["pytorch", "sage", "flash"], PICTURE),
    "reserve_vram": ("--reserve-vram", ["0.5", "1.0", "2.0", "4.0"], NOTHING),
    "unpinned": ("--disable-pinned-memory", [False, True], NOTHING),
    "fast": ("--fast fp16_accumulation", [False, True], PICTURE),
    "malloc": ("--disable-cuda-malloc", [False, True], NOTHING),
}

# Nodes whose work must not come out of a cache.
TIMED = re.compile("sampler|decode", re.IGNORECASE)
SEEDS = ("seed", "noise_seed")
WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
SIDES = (64, 96, 128, 192, 256, 272, 320, 384, 512, 768)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workflow", required=True, help="saved by Export (API) in ComfyUI's menu File")
    parser.add_argument("--folder", help="where ComfyUI's main.py lies")
    parser.add_argument("--server", help="the address of one that runs, such as http://127.0.0.1:8188")
    parser.add_argument("--python", default=sys.executable, help="the Python that runs ComfyUI")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--start-s", type=float, default=300.0, help="how long ComfyUI may take to start")
    parser.add_argument("--space", action="store_true", help="print the knobs and exit")
    return parser.parse_args()


class Failed(Exception):
    """ComfyUI can't do it, in one line."""


def workflow(options):
    with open(options.workflow, encoding="utf-8-sig") as file:
        nodes = json.load(file)
    found = nodes.values() if isinstance(nodes, dict) else [None]
    if not all(isinstance(node, dict) and "class_type" in node for node in found):
        raise Failed(f"{options.workflow} is not in API format: choose File > Export (API) in ComfyUI")
    return nodes


class Server:
    """ComfyUI, started here or somewhere else."""

    def __init__(self, options, flags=()):
        self.process, self.url = None, (options.server or "").rstrip("/")
        if self.url:
            return
        if not options.folder:
            raise Failed("give --folder, where ComfyUI's main.py lies, or --server URL")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [options.python, "main.py", "--port", str(port), "--disable-auto-launch", *flags]
        self.process = subprocess.Popen(command, cwd=options.folder, stdin=subprocess.DEVNULL, stdout=sys.stderr)
        self.wait(options.start_s)

    def wait(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Failed(f"ComfyUI ended with status {self.process.returncode} before it was ready")
            try:
                return self.get("/system_stats")
            except (Failed, OSError):
                time.sleep(0.1)
        self.end()
        raise Failed(f"ComfyUI was not ready within {seconds:.0f} s")

    def get(self, path):
        return self.ask(urllib.request.Request(self.url + path))

    def post(self, path, content):
        header = {"Content-Type": "application/json"}
        return self.ask(urllib.request.Request(self.url + path, json.dumps(content).encode(), header))

    def ask(self, request):
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise Failed(f"{request.selector}: {error.code} {error.read()[:300].decode(errors='replace')}") from error
        except (urllib.error.URLError, ValueError) as error:
            raise Failed(f"{self.url}{request.selector}: {error}") from error

    def picture(self, image):
        query = urllib.parse.urlencode({key: image.get(key, "") for key in ("filename", "subfolder", "type")})
        with urllib.request.urlopen(f"{self.url}/view?{query}", timeout=60) as answer:
            return answer.read()

    def end(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()


# The space.


def knobs_of(nodes, server):
    """Each knob with its node and input, its values, today's, and what it changes."""
    found = {}
    for number, node in nodes.items():
        allowed = INPUTS.get(node["class_type"], {})
        for name, changes in allowed.items():
            today = node["inputs"].get(name)
            if today is None or isinstance(today, list):
                continue
            values = values_of(server, node["class_type"], name, today)
            if values:
                knob = re.sub("[^a-z0-9_]", "_", f"{name}_{number}".lower())
                found[knob] = (number, name, values, today, changes)
    return found


def values_of(server, node, name, today):
    """What /object_info says that an input may be, thinned to what is worth a trial."""
    found = server.get(f"/object_info/{urllib.parse.quote(node)}").get(node)
    if not found:
        raise Failed(f"this ComfyUI has no node {node}: install what the workflow needs")
    inputs = found["input"]
    kind, *more = {**inputs.get("required", {}), **inputs.get("optional", {})}.get(name, [None])
    bounds = more[0] if more else {}
    if isinstance(kind, list) or kind == "COMBO":
        choices = kind if isinstance(kind, list) else bounds.get("options", [])
        return [choice for choice in choices if isinstance(choice, str) and WORD.fullmatch(choice)]
    if kind == "BOOLEAN":
        return [False, True]
    low, high = bounds.get("min", 0), bounds.get("max", 0)
    if kind == "INT":
        step = max(1, bounds.get("step", 1))
        all_of = list(range(low, high + 1, step)) if high - low <= 64 * step else SIDES
        fit = [value for value in all_of if low <= value <= high and (value - low) % step == 0]
        every = max(1, len(fit) // 9)
        return sorted({*fit[::every], *fit[-1:], today})
    if kind == "FLOAT":
        fit = [value for value in (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3) if low <= value <= high]
        return sorted({*fit, float(today)})
    return []


def space(nodes, options):
    """The space file of a workflow, with the flags of the launch where that is ours."""
    server = Server(options)
    try:
        knobs = knobs_of(nodes, server)
    finally:
        server.end()
    lines = ["schema = 1", 'name = "comfyui"', 'why = "Inputs of the nodes of a workflow, and flags of ComfyUI."']
    for knob, (number, name, values, today, changes) in knobs.items():
        why = f"{name} of node {number}, {nodes[number]['class_type']}."
        lines += entry(knob, why, values, today, changes)
    for knob, (flag, values, changes) in FLAGS.items() if not options.server else ():
        values = values if values[0] is False else ["unset", *values]
        lines += entry(knob, f"ComfyUI's {flag}.", values, values[0], changes)
    return "\n".join(lines)


def entry(knob, why, values, today, changes):
    text = json.dumps
    return [
        "", f"[knob.{knob}]", f"why = {text(why)}", f"default = {text(today)}", f"changes = {text(changes)}",
        f"values = {text(list(values))}",
    ]


# A run.


def launch(options):
    """ComfyUI with the flags of this process's knobs, and the workflow's own knobs."""
    flags = []
    for name, (flag, _, _) in FLAGS.items() if not options.server else ():
        value = wan22_tune.knob(name, "unset")
        if value is True:
            flags += flag.split()
        elif value not in ("unset", False):
            flags += [flag.format(value)] if "{}" in flag else [flag, str(value)]
    server = Server(options, flags)
    nodes = workflow(options)
    return {"server": server, "nodes": nodes, "knobs": knobs_of(nodes, server), "runs": 0}


def run(loaded, options):
    server, nodes = loaded["server"], json.loads(json.dumps(loaded["nodes"]))
    for knob, (number, name, _, today, _) in loaded["knobs"].items():
        nodes[number]["inputs"][name] = wan22_tune.knob(knob, today)
    # What was made before with the same seed would come from the cache; pictures need the same one.
    loaded["runs"] += 1
    seed = options.seed if wan22_tune.is_last() else options.seed + loaded["runs"]
    for node in nodes.values():
        for name in SEEDS:
            if isinstance(node["inputs"].get(name), int):
                node["inputs"][name] = seed
    prompt = server.post("/prompt", {"prompt": nodes})["prompt_id"]
    history = wait(server, prompt)
    wan22_tune.took(seconds(history, nodes))
    return pictures(server, history)


def wait(server, prompt):
    while True:
        history = server.get(f"/history/{prompt}").get(prompt)
        status = (history or {}).get("status", {})
        if status.get("status_str") == "error":
            raise failure(status)
        if status.get("completed"):
            return history
        if server.process and server.process.poll() is not None:
            raise Failed(f"ComfyUI ended with status {server.process.returncode} in a run")
        time.sleep(0.05)


def failure(status):
    for kind, content in status.get("messages", []):
        if kind == "execution_error":
            kind = str(content.get("exception_type"))
            memory = "OutOfMemory" in kind or "out of memory" in str(content.get("exception_message")).lower()
            of = f"{content.get('node_type')}: {kind}" if memory else content.get("node_type")
            text = f"{of}: {content.get('exception_message')}".strip()
            return MemoryError(text) if memory else Failed(text)
    return Failed("the workflow failed")


def seeded(nodes):
    """The nodes whose work depends on a seed; all where none has one."""
    inputs = {name: node["inputs"] for name, node in nodes.items()}
    found = {name for name, own in inputs.items() if any(isinstance(own.get(seed), int) for seed in SEEDS)}
    while True:
        links = {name: [str(v[0]) for v in own.values() if isinstance(v, list) and v] for name, own in inputs.items()}
        more = {name for name, of in links.items() if name not in found and found.intersection(of)}
        if not more:
            return found or set(nodes)
        found |= more


def seconds(history, nodes):
    """From the start of the execution to its end by the server's clock; refused where nothing was computed."""
    messages = dict(history["status"]["messages"])
    cached = messages.get("execution_cached", {}).get("nodes", [])
    computed = seeded(nodes)
    skipped = [node for node in cached if node in computed and TIMED.search(nodes.get(node, {}).get("class_type", ""))]
    if skipped:
        names = ", ".join(nodes[node]["class_type"] for node in skipped)
        raise Failed(f"{names} came out of ComfyUI's cache: that is no timing of the workflow")
    begin, end = (messages.get(name, {}).get("timestamp") for name in ("execution_start", "execution_success"))
    if begin is None or end is None or end <= begin:
        raise Failed("the history has no times of its execution: ComfyUI 0.3 or later writes them")
    return (end - begin) / 1000.0


def pictures(server, history):
    """The PNG and JPEG files that it saved, as bytes."""
    made = []
    for output in history.get("outputs", {}).values():
        for image in output.get("images", []):
            if image.get("filename", "").lower().endswith((".png", ".jpg", ".jpeg")):
                made.append(server.picture(image))
    return made


def main():
    options = arguments()
    for name in ("workflow", "folder"):
        if getattr(options, name):
            setattr(options, name, os.path.abspath(getattr(options, name)))
    try:
        if options.space:
            print(space(workflow(options), options))
            return
        loaded = []
        try:
            wan22_tune.serve(lambda: loaded.append(launch(options)) or loaded[0], lambda one: run(one, options))
        finally:
            for one in loaded:
                one["server"].end()
    except Failed as error:
        raise SystemExit(f"wan22_comfyui: {error}") from error


if __name__ == "__main__":
    main()
