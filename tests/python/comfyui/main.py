"""Stands in for ComfyUI's main.py: its documented routes, and a clock that says what the inputs come to."""

import http.server
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "python"))

from wan22_tune import _png  # noqa: E402

OBJECTS = {
    "WanVideoBlockSwap": {"required": {"blocks_to_swap": ["INT", {"default": 20, "min": 0, "max": 40, "step": 1}]}},
    "WanVideoSampler": {"required": {"seed": ["INT", {"default": 0, "min": 0, "max": 2**64 - 1}]}},
    "VAEDecodeTiled": {"required": {"tile_size": ["INT", {"default": 512, "min": 64, "max": 4096, "step": 32}]}},
    "SaveImage": {"required": {"filename_prefix": ["STRING", {"default": "x"}]}},
}
FLAGS, HISTORY, LAST = sys.argv[1:], {}, {}


def outcome(nodes):
    """Milliseconds, the picture's shade, and which nodes were not computed anew."""
    inputs = {node["class_type"]: node["inputs"] for node in nodes.values()}
    blocks, tile = inputs["WanVideoBlockSwap"]["blocks_to_swap"], inputs["VAEDecodeTiled"]["tile_size"]
    sage = "--use-sage-attention" in FLAGS
    time_ms = (4000 + 100 * blocks) * (0.5 if sage else 1.0) + (500 if tile < 512 else 0)
    key = json.dumps([inputs["WanVideoSampler"], inputs["WanVideoBlockSwap"]], sort_keys=True)
    cached = ["3"] if key == LAST.get("key") or os.environ.get("FAULT") == "caches" else []
    LAST["key"] = key
    shade = (100 + inputs["WanVideoSampler"]["seed"] % 7) if not sage else 220
    return time_ms, shade, cached, blocks < 5


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, content, kind="application/json"):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[0] == "object_info":
            return self.answer({parts[1]: {"input": OBJECTS[parts[1]]}})
        if parts[0] == "history":
            return self.answer({parts[1]: HISTORY[parts[1]]} if parts[1] in HISTORY else {})
        if parts[0] == "view":
            shade = int(self.path.split("filename=")[1].split(".")[0])
            return self.answer(_png(1, 1, bytes([shade] * 3)), "image/png")
        return self.answer({"system": {}})

    def do_POST(self):
        prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["prompt"]
        number = str(len(HISTORY) + 1)
        time_ms, shade, cached, is_full = outcome(prompt)
        messages = [["execution_start", {"timestamp": 1000}], ["execution_cached", {"nodes": cached}]]
        status = {"status_str": "success", "completed": True, "messages": messages}
        if is_full:
            error = {"node_type": "WanVideoSampler", "exception_message": "Allocation on device",
                     "exception_type": "torch.OutOfMemoryError"}
            status = {"status_str": "error", "completed": False, "messages": [["execution_error", error]]}
        else:
            messages.append(["execution_success", {"timestamp": 1000 + time_ms}])
        image = {"filename": f"{shade}.png", "subfolder": "", "type": "output"}
        HISTORY[number] = {"status": status, "outputs": {"5": {"images": [image]}}}
        self.answer({"prompt_id": number})

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    port = int(FLAGS[FLAGS.index("--port") + 1])
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
