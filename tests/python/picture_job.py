"""A program of the user's own that writes pictures: two frames of 16 x 12 pixels in the folder `out`.

`picture_job.py LOOK` makes them as LOOK says and prints a number that is smaller the worse they are. Where
a file `unseeded` lies, each second run makes others.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))

from wan22_tune import _png  # noqa: E402

# How far from the right value each pixel is, and what the run is said to take.
LOOKS = {"whole": (0, 9.0), "same": (0, 8.0), "near": (1, 6.0), "ugly": (90, 3.0)}
FAULTS = ("none", "fewer", "small", "text", "old")


def main(look, folder="out"):
    fault = look if look in FAULTS else None
    off, seconds = LOOKS.get(look, (0, 2.0))
    if os.path.exists("unseeded"):
        with open("unseeded", "a+") as runs:
            runs.write("run\n")
            off = 90 * (runs.tell() // 4 % 2)
    print("t =", seconds)
    os.makedirs(folder, exist_ok=True)
    if fault in ("none", "old"):
        return
    width = 8 if fault == "small" else 16
    for frame in range(1 if fault == "fewer" else 2):
        # Of the second frame alone, so that the worst has to be found.
        values = bytes(7 * place % 150 + (off if frame else 0) for place in range(3 * width * 12))
        content = b"not a picture" if fault == "text" else _png(width, 12, values)
        with open(os.path.join(folder, f"{frame + 9}.png"), "wb") as file:
            file.write(content)


main(*sys.argv[1:])
