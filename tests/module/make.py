#!/usr/bin/env python3
"""Writes tests/module/block.pt: a small TorchScript module of two inputs and two outputs.

    pip install torch==2.13.0
    python tests/module/make.py
"""

from pathlib import Path

import torch


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(4, 8, 3, padding=1)
        self.linear = torch.nn.Linear(16, 8)

    def forward(self, picture: torch.Tensor, text: torch.Tensor):
        mixed = torch.relu(self.conv(picture)) * self.linear(text.float()).mean(1)[:, :, None, None]
        return mixed, {"mean": mixed.mean()}


torch.manual_seed(1)
module = torch.jit.script(Block().eval())
module.save(str(Path(__file__).with_name("block.pt")))
