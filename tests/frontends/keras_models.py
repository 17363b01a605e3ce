"""Keras networks; run as a script by a Python that has tensorflow, it writes them and their outputs.

python keras_models.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

NAMES = ("plain", "mobile", "sequence", "excited")


def build(name: str):
    import keras
    from keras import layers as L

    def normalized(x, activation: str):
        return L.Activation(activation)(L.BatchNormalization()(x))

    keras.utils.set_random_seed(3)
    if name == "plain":
        x = i = keras.Input((9, 8, 3))
        x = normalized(L.Conv2D(6, 3, strides=2, padding="same")(x), "relu")
        x = L.MaxPooling2D(2)(x)
        x = L.Dropout(0.3)(L.Flatten()(x))
        x = L.Dense(4, activation="softmax")(L.Dense(7, activation="tanh")(x))
    elif name == "mobile":
        x = i = keras.Input((12, 12, 3))
        x = normalized(L.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(x), "relu6")
        x = L.ZeroPadding2D(((0, 1), (0, 1)))(x)
        x = normalized(L.DepthwiseConv2D(3, strides=2, use_bias=False, depth_multiplier=2)(x), "relu6")
        y = L.Conv2D(8, 1)(x)
        x = L.ReLU()(L.Add()([x, y]))
        x = L.Concatenate()([L.AveragePooling2D(2)(x), L.MaxPooling2D(2)(x)])
        x = L.Dense(3)(L.GlobalAveragePooling2D()(x))
    elif name == "sequence":
        x = i = keras.Input((20, 3))
        x = normalized(L.Conv1D(5, 4, padding="same")(x), "relu")
        x = L.LeakyReLU(negative_slope=0.2)(L.Conv1D(6, 3, strides=2)(x))
        x = L.Dense(2, activation="sigmoid")(L.GlobalAveragePooling1D()(x))
    else:
        x = i = L.Input((8, 8, 4))
        x = L.SeparableConv2D(6, 3, padding="same")(x)
        gate = L.Reshape((1, 1, 6))(L.GlobalAveragePooling2D()(x))
        gate = L.Conv2D(6, 1, activation="sigmoid")(L.Conv2D(3, 1, activation="relu")(gate))
        x = normalized(L.Multiply()([x, gate]), "relu")
        x = L.Dense(4)(L.GlobalMaxPooling2D()(x))
    model = keras.Model(i, x)
    for weight in model.weights:  # moving averages other than 0 and 1
        if "moving" in weight.path:
            weight.assign(np.random.default_rng(4).uniform(0.5, 1.5, weight.shape))
    return model


def main(folder: Path) -> None:
    for name in NAMES:
        model = build(name)
        model.save(folder / f"{name}.keras")
        if name == "plain":
            model.save(folder / f"{name}.h5")
            model.export(folder / name)
        x = np.random.default_rng(0).standard_normal((5, *model.input_shape[1:])).astype(np.float32)
        np.savez(folder / f"{name}.npz", x=x, y=model.predict(x, verbose=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
