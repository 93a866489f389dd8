"""``torch.optim``: optimizers over parameters, and schedules of their learning rates."""

from __future__ import annotations

from lamina.compat.torch.optim import lr_scheduler
from lamina.compat.torch.optim.optimizer import Optimizer
from lamina.compat.torch.optim.optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, NAdam, RMSprop
