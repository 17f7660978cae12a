"""Fine-tuning one layer (Zhu et al. 2020, arXiv:2012.00363), the simplest of all: `ft_l` and `ft_m`.

`ft_l` bounds the change of each weight, and wants every token of the target behind the prompt, reading none of them;
this is how ROME and EasyEdit compare with it. `ft_m` (Zhang et al. 2024, arXiv:2401.01286) reads the target and is
taught its tokens alone, which is worth more than all else. Neither heeds what it does to other texts.
"""

from __future__ import annotations

from memedit.parametric.trained import Trained, Training

FT_L = Trained("ft_l", "Zhu et al. 2020", Training(blind=True, bound=5e-3))
FT_M = Trained("ft_m", "Zhang et al. 2024", Training())
