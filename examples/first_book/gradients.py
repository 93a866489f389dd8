"""Derivatives by the tape, variables that change, a line fitted step by step, and functions that are compiled."""

from __future__ import annotations

from lamina.compat import tensorflow as tf


def derivatives() -> None:
    """What the tape gives, to be compared with school."""
    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    print("d(x^2)/dx at 3 is", tape.gradient(y, x).numpy())

    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        z = y * y
    print("d(x^4)/dx at 3 is", tape.gradient(z, x).numpy(), "and d(x^2)/dx", tape.gradient(y, x).numpy())

    x = tf.Variable(1.0)  # variables are watched by themselves
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = x * x * x
        first = inner.gradient(y, x)
    print("d(x^3)/dx at 1 is", first.numpy(), "and the second derivative", outer.gradient(first, x).numpy())


def variables() -> None:
    """A variable keeps its shape and dtype and takes new values."""
    v = tf.Variable([1.0, 2.0], name="v")
    v.assign([3.0, 4.0])
    v.assign_add([0.5, 0.5])
    print("v is", v.numpy(), "and twice that", (v * 2).numpy())


class Line:
    """``y = w x + b``, with a wrong beginning."""

    def __init__(self) -> None:
        self.w = tf.Variable(5.0)
        self.b = tf.Variable(0.0)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return self.w * x + self.b


def mean_squared(predicted: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """The mean of the squared differences."""
    return tf.reduce_mean(tf.square(predicted - wanted))


def fitted_line(epochs: int = 30, rate: float = 0.1) -> tuple[float, float]:
    """Gradient descent by hand on noisy points of ``y = 3 x + 2``; returns the slope and the height."""
    tf.random.set_seed(1)
    x = tf.random.normal([1000])
    y = 3.0 * x + 2.0 + tf.random.normal([1000])
    model = Line()
    for epoch in range(epochs):
        with tf.GradientTape() as tape:
            loss = mean_squared(model(x), y)
        dw, db = tape.gradient(loss, [model.w, model.b])
        model.w.assign_sub(rate * dw)
        model.b.assign_sub(rate * db)
        if epoch % 10 == 0:
            print(f"epoch {epoch:2}: slope {float(model.w):.2f}, height {float(model.b):.2f}, loss {float(loss):.3f}")
    return float(model.w), float(model.b)


@tf.function
def simulated_tosses(throws: tf.Tensor) -> tf.Tensor:
    """The share of throws that came up heads; compiled as one graph."""
    return tf.reduce_mean(tf.cast(throws < 0.5, tf.float32))


@tf.function
def step(w: tf.Variable, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """One whole step of descent as a compiled function, the change of the variable included."""
    with tf.GradientTape() as tape:
        loss = mean_squared(tf.linalg.matvec(x, w), y)
    w.assign_sub(0.1 * tape.gradient(loss, w))
    return loss


def compiled_steps(count: int = 100) -> list[float]:
    """The weights that the compiled steps end at."""
    x = tf.random.normal([500, 3], seed=1)
    y = tf.linalg.matvec(x, [1.0, -2.0, 0.5])
    w = tf.Variable(tf.zeros([3]))
    for _ in range(count):
        loss = step(w, x, y)
    print("loss after", count, "compiled steps:", f"{float(loss):.2e}", "weights", w.numpy().round(3))
    return w.numpy().tolist()


def main() -> None:
    derivatives()
    variables()
    slope, height = fitted_line()
    print(f"The line found: y = {slope:.2f} x + {height:.2f}")
    print("heads:", f"{float(simulated_tosses(tf.random.uniform([10_000], seed=3))):.2f}")
    compiled_steps()


if __name__ == "__main__":
    main()
