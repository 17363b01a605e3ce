"""A Keras file or SavedModel to a float .tflite file; run as a script, by a Python that has tensorflow.

    python -P keras_convert.py MODEL OUT.tflite

It imports nothing of mcuprune, so that tensorflow may live in an environment of its own.
"""

from __future__ import annotations

import os
import sys


def convert(source: str) -> bytes:
    """The float32 .tflite file of a .keras or .h5 file or a SavedModel folder."""
    import tensorflow as tf  # here, so that this module can be read without it

    if os.path.isdir(source):
        converter = tf.lite.TFLiteConverter.from_saved_model(source)
    else:
        model = tf.keras.models.load_model(source, compile=False)  # safe mode: no code from the file is run
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
    return converter.convert()


if __name__ == "__main__":
    _, given, target = sys.argv
    try:
        result = convert(given)
    except Exception as error:  # the caller shows one line, whatever it is
        lines = [line for line in str(error).strip().splitlines() if line.strip()] or [""]
        sys.exit(f"{type(error).__name__}: {lines[0][:400]}")
    with open(target, "wb") as file:
        file.write(result)
