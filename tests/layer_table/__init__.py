"""Rows for the contract that every layer keeps, in ``tests/layers/test_contract.py``."""

from layer_table.attention import CASES as ATTENTION
from layer_table.case import Case
from layer_table.further import CASES as FURTHER
from layer_table.images import CASES as IMAGES
from layer_table.recurrent import CASES as RECURRENT
from layer_table.spatial import CASES as SPATIAL
