"""Tests of the package ml2021, and the oracle that several of them hold it to."""
