"""Proofs that a user can run on a model of their own: that a killed run goes on as if nothing had happened."""

from lamina.testing.crashes import CrashReport, crash_equivalence
from lamina.testing.power import FragileDisk, PowerCut

__all__ = ["CrashReport", "FragileDisk", "PowerCut", "crash_equivalence"]
