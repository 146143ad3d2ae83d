"""Rows of this section are being written."""

from tests.catalogue.case import Case

CASES: list[Case] = []
