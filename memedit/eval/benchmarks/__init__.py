"""The benchmarks of the field, one file a family; found by name through the entry-point group `memedit.benchmarks`."""

from memedit.eval.benchmarks.base import Benchmark, Malformed, Reading, all_benchmarks, find_benchmark, read

__all__ = ["Benchmark", "Malformed", "Reading", "all_benchmarks", "find_benchmark", "read"]
