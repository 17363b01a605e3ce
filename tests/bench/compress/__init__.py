"""Compressed networks beside their controls, paired over seeds or folds: ``make bench-compress``.

experiments.py   what is compared, as data
resources.py     limits on parts of flash and RAM, as papers state them
cells.py         one network to be trained: its key, and the order of the work
training.py      trains a cell, or finds it half-finished
measure.py       a network's accuracy and resources
records.py       result files: one JSON line per cell
paired.py        means, differences and bootstrap intervals
rows.py          records gathered by budget and method, and verdicts on them
page.py          the rows as docs/results/compress.md
plots.py         accuracy against resources, as SVG
"""
