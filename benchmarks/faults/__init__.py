"""A campaign of faults: kills, full disks, damaged files, strange inputs, races.

`python -m benchmarks.faults --help` says how it is run, docs/benchmarks.md what it does.
"""
