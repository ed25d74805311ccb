#!/usr/bin/env python3
"""What attention takes per query and head, by the number of queries: why a slice of few tokens attends with fewer heads
and more queries of each.

    pip install torch==2.13.0
    python benches/fidelity/attention.py [--keys 27280] [--repeats 5]

Widths are TI2V-5B's: heads of 128. The median of the repeats, in microseconds, by precision.
"""

import argparse
import statistics
import time

import torch

SHAPES = [(24, 128), (4, 768), (8, 768), (24, 768), (24, 2048)]


def median_s(heads, queries, keys, dtype, repeats):
    query, key, value = (torch.randn(1, heads, rows, 128, dtype=dtype) for rows in (queries, keys, keys))
    times = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        torch.nn.functional.scaled_dot_product_attention(query, key, value)
        times.append(time.perf_counter() - begun)
    return statistics.median(times[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=27280)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print("heads  queries   fp32   bf16")
    for heads, queries in SHAPES:
        row = [
            1e6 * median_s(heads, queries, options.keys, dtype, options.repeats) / heads / queries
            for dtype in (torch.float32, torch.bfloat16)
        ]
        print(f"{heads:5}  {queries:7}  {row[0]:5.0f}  {row[1]:5.0f}", flush=True)


if __name__ == "__main__":
    main()
