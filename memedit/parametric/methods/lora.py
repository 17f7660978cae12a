"""LoRA (Hu et al. 2022, arXiv:2106.09685): two small matrices beside each of several layers, taught the targets.

They are its own, of the written matrix; in the end they are the factors of a change of weights, so that nothing stays
attached. Their scale α/r is taken into the learning rate.
"""

from __future__ import annotations

from memedit.parametric.trained import Trained, Training

LORA = Trained("lora", "Hu et al. 2022", Training(depths=(0.2, 0.8, 3), steps=70, rate=5e-3, rank=8, at_once=None))
