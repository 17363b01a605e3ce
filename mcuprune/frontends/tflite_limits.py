"""How much of everything a .tflite file may hold, counted before it is taken apart.

The tables of a flatbuffer may lie inside one another and be referred to more than once, so that a small file
can describe objects without end.  What is read as a list is counted here first.
"""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from mcuprune.errors import UsageError

MOST_SUBGRAPHS = 64
MOST_ENTRIES = 50_000  # tensors, operators, buffers and the like, all subgraphs together


def require_sane_counts(model: schema.Model, label: str) -> None:
    """Raises UsageError for a file that counts more entries than any model has."""
    _require(model.SubgraphsLength() <= MOST_SUBGRAPHS, label, "subgraphs")
    entries = model.BuffersLength() + model.OperatorCodesLength() + model.MetadataLength()
    entries += model.SignatureDefsLength() + model.MetadataBufferLength()
    _require(entries <= MOST_ENTRIES, label, "entries")
    for number in range(model.SignatureDefsLength()):
        signature = model.SignatureDefs(number)
        entries += signature.InputsLength() + signature.OutputsLength()
        _require(entries <= MOST_ENTRIES, label, "signature entries")
    for number in range(model.SubgraphsLength()):
        graph = model.Subgraphs(number)
        entries += graph.TensorsLength() + graph.OperatorsLength()
        _require(entries <= MOST_ENTRIES, label, "tensors and operators")
        for index in range(graph.TensorsLength()):
            tensor = graph.Tensors(index)
            entries += tensor.VariantTensorsLength()
            if tensor.Sparsity() is not None:
                entries += tensor.Sparsity().DimMetadataLength()
            _require(entries <= MOST_ENTRIES, label, "parts of tensors")


def _require(fits: bool, label: str, what: str) -> None:
    if not fits:
        raise UsageError(f"{label} is damaged or not a .tflite file: it counts too many {what}")
