"""Search hyper-parameters with scikit-learn, and draw what was found.

    pip install 'lamina[sklearn,plot]'
    python examples/grid_search.py

Writes `demo-output/confusion-matrix.png`, `demo-output/activations.png` and `demo-output/model.svg`.
"""

from __future__ import annotations

from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import lamina
from lamina.sklearn import Classifier


def main() -> None:
    folder = Path("demo-output")
    folder.mkdir(exist_ok=True)
    x, y = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.25, random_state=0, stratify=y)

    # An estimator like any other: in a pipeline, and its arguments in a grid.
    pipeline = make_pipeline(MinMaxScaler(), Classifier(epochs=15, random_state=0))
    grid = {"classifier__hidden_units": [(16,), (64,)], "classifier__learning_rate": [0.001, 0.01]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(x_train, y_train)
    for parameters, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True):
        shown = ", ".join(f"{name.removeprefix('classifier__')}={value}" for name, value in parameters.items())
        print(f"{score:.1%}  {shown}")
    print(f"Test accuracy of the best: {search.score(x_test, y_test):.1%}")

    # The model inside, and where it errs.
    best = search.best_estimator_.named_steps["classifier"]
    best.model_.summary()
    lamina.utils.plot_model(best.model_, folder / "model.svg", show_shapes=True, show_layer_activations=True)
    lamina.plotting.plot_confusion_matrix(y_test, search.predict(x_test), path=folder / "confusion-matrix.png")
    lamina.plotting.plot_activations(["relu", "gelu", "tanh"], folder / "activations.png")


if __name__ == "__main__":
    main()
