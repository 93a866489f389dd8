"""Numbers, lists and tensors: what one adds, squares, sums and reshapes before the first network."""

from __future__ import annotations

import numpy as np

from lamina.compat import tensorflow as tf


def main() -> None:
    print("TensorFlow's names, by Lamina", tf.__version__)

    # Plain numbers and lists are as good as tensors.
    print(tf.add(1, 2))
    print(tf.add([1, 2], [3, 4]))
    print(tf.square(5))
    print(tf.reduce_sum([1, 2, 3]))
    print(tf.square(2) + tf.square(3))

    # A tensor has a shape and a dtype, and gives its numbers to NumPy.
    x = tf.matmul([[1]], [[2, 3]])
    print(x.shape, x.dtype, x.numpy())
    print("whole numbers:", tf.constant([1, 2]).dtype, " fractions:", tf.constant([1.0, 2.0]).dtype)

    # NumPy and tensors mix.
    ones = np.ones([3, 3])
    tripled = tf.multiply(ones, 3)
    print(type(tripled).__name__, np.add(tripled, 1).sum())

    # Tensors of more dimensions.
    matrix = tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    print("row sums", tf.reduce_sum(matrix, axis=1).numpy(), " mean", tf.reduce_mean(matrix).numpy())
    print("largest in each row at", tf.argmax(matrix, axis=1).numpy())
    print(tf.reshape(matrix, [3, -1]).numpy())
    print(tf.transpose(matrix).shape, tf.concat([matrix, matrix], axis=0).shape, tf.stack([matrix, matrix]).shape)
    print(matrix[:, 1:].numpy(), matrix[..., tf.newaxis].shape)
    print(tf.one_hot([0, 2], depth=3).numpy())
    print(tf.cast(tf.constant([1.7, 2.2]), tf.int32).numpy())
    print("softmax", tf.nn.softmax([1.0, 2.0, 3.0]).numpy().round(3))

    # Random numbers, the same ones after the same seed.
    tf.random.set_seed(42)
    first = tf.random.uniform([3, 3])
    tf.random.set_seed(42)
    print("the same after the same seed:", np.array_equal(first, tf.random.uniform([3, 3])))
    print("normal numbers:", tf.random.normal([2, 2], mean=10.0, stddev=0.1).shape)

    # Where the work is done.
    print("CPUs:", tf.config.list_physical_devices("CPU"))
    print("GPUs:", tf.config.list_physical_devices("GPU"))
    print("This tensor lies on", x.device, "- is it a GPU?", x.device.endswith("GPU:0"))
    with tf.device("CPU:0"):
        y = tf.random.uniform([200, 200])
        print("computed on", tf.matmul(y, y).device)


if __name__ == "__main__":
    main()
