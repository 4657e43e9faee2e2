"""Trains the course's three-layer network on pictures of hands that show 0 to 5.

    python examples/signs.py                      # pictures drawn by the package
    python examples/signs.py --data FOLDER        # the course's train_signs.h5 and test_signs.h5
    python examples/signs.py --sweep 64           # 64 settings at once, the best one tested
    python examples/signs.py --search halving     # 64 settings, of which the best train on
    python examples/signs.py --predict hand.jpg   # what the network saved last sees in a picture

The network is LINEAR-RELU-LINEAR-RELU-LINEAR-SOFTMAX, 12288-25-12-6.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any, cast

import numpy as np

import jaxnn


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Train the course's SIGNS network 12288-25-12-6, and see what it learned."
    )
    add = parser.add_argument
    add("--data", metavar="FOLDER", type=Path, help="the course's files; without: drawn pictures")
    add("--out", metavar="FOLDER", type=Path, default=Path("out"), help="where to write (out)")
    add("--predict", metavar="PICTURE", type=Path, help="what the saved network sees in a picture")
    add("--sweep", metavar="N", type=int, help="train N settings at once: optimizer, learning rate "
        "and momentum are drawn, the rest is as below; 60 epochs")  # fmt: skip
    methods = ["random", "sobol", "grid", "coarse_to_fine", "halving", "optuna"]
    add("--search", choices=methods, help="search among as many settings as --sweep says (64), "
        "then train the best, and up to ten together, on all training pictures")  # fmt: skip
    add("--mixed", action="store_true", help="a sweep draws hidden units and batch size, too")
    add("--row-space", action="store_true", help="train in the row space of the training "
        "pictures: as many numbers a picture as there are pictures, not 12,288 (no)")  # fmt: skip
    add = parser.add_argument_group("hyperparameters, with their defaults").add_argument
    optimizers = ["gd", "momentum", "rmsprop", "adam"]
    add("--optimizer", choices=optimizers, default="adam", help="direction of descent (adam)")
    add("--learning-rate", metavar="ALPHA", type=float, default=1e-4, help="its step (1e-4)")
    add("--epochs", metavar="E", type=int, help="passes over the pictures (1500)")
    add("--batch-size", metavar="B", type=int, default=32, help="pictures a step (32)")
    add("--hidden", metavar="UNITS", type=int, nargs="*", default=[25, 12], help="by layer (25 12)")
    add("--batch-norm", action="store_true", help="normalise z in the hidden layers (no)")
    inputs = ["raw", "centred", "standardised"]
    add("--inputs", choices=inputs, default="raw", help="by the training pictures (raw)")
    add("--l2", metavar="LAMBDA", type=float, default=0.0, help="weight of squared kernels (0)")
    add("--dropout", metavar="RATE", type=float, default=0.0, help="share of units dropped (0)")
    schedules = ["none", "inverse", "exponential", "inverse_sqrt", "staircase"]
    add("--decay-schedule", choices=schedules, default="none", help="of the learning rate (none)")
    add("--decay-rate", metavar="K", type=float, help="of the schedule (by schedule)")
    add("--decay-every", metavar="EPOCHS", type=float, default=1.0, help="its unit of time (1)")
    add("--seed", metavar="N", type=int, default=1, help="of first weights and dropout (1)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    try:
        if options.predict:
            return predict(options)
        has_many = options.sweep is not None or options.search
        if options.mixed and not has_many:
            raise ValueError("--mixed came without --sweep N or --search, whose settings it varies")
        return sweep(options) if has_many else train(options)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def load_pictures(options: argparse.Namespace) -> tuple[jaxnn.Dataset, jaxnn.Dataset, tuple]:
    load = lambda: jaxnn.load_signs(options.data) if options.data else jaxnn.generated_signs()
    train, test, classes = load()
    source = options.data or "drawn by the package; your own with --data FOLDER"
    print(f"Pictures: {len(train)} to train, {len(test)} to test ({source})")
    return train, test, classes


def setting_from(options: argparse.Namespace) -> dict[str, Any]:
    setting = {
        name: getattr(options, name)
        for name in (
            *("optimizer", "learning_rate", "batch_size", "batch_norm", "inputs", "l2", "dropout"),
            *("decay_schedule", "decay_every"),
        )
    }
    setting["hidden"] = tuple(options.hidden)
    if options.decay_rate is not None:
        setting["decay_rate"] = options.decay_rate
    return setting


def train(options: argparse.Namespace) -> int:
    train, test, classes = load_pictures(options)
    setting = setting_from(options)
    epochs = 1500 if options.epochs is None else options.epochs
    units = "-".join(map(str, (np.prod(train.x.shape[1:]), *options.hidden, len(classes))))
    print(
        f"Network: {units}, {options.optimizer}, learning rate {options.learning_rate:g}, "
        f"mini-batches of {options.batch_size}, {epochs} epochs, seed {options.seed}"
    )
    start = time.monotonic()
    interrupted = False
    try:
        fitted = jaxnn.fit(
            setting, train, epochs=epochs, seed=options.seed, row_space=options.row_space
        )
    except jaxnn.TrainingInterrupted as interruption:
        print(f"{interruption}; what follows is the network as it was then")
        fitted, interrupted = interruption.fitted, True
    seconds = time.monotonic() - start

    cost = fitted.curves["cost"]
    for epoch in sorted({*range(0, len(cost), 100), len(cost) - 1}):
        print(f"Cost after epoch {epoch}: {cost[epoch]:.6f}")
    if fitted.diverged is not None:
        print(f"The cost stopped being finite at step {fitted.diverged}: lower the learning rate")
    print(f"Trained {len(cost)} epochs in {seconds:.1f} s, compiling included")
    print(f"Train accuracy: {fitted.score(train):.3f}")
    print(f"Test accuracy: {fitted.score(test):.3f}")
    print_confusion(fitted, test, classes)
    save_results(fitted, test, classes, options.out)
    return 130 if interrupted else 0


def sweep(options: argparse.Namespace) -> int:
    train, test, classes = load_pictures(options)
    tiers = jaxnn.course_space(2)
    names = ["optimizer", "learning_rate", "momentum"]
    names += ["hidden", "batch_size"] if options.mixed else []
    drawn = {name: tiers[name] for name in names}
    space = setting_from(options) | drawn
    epochs = 60 if options.epochs is None else options.epochs
    count = 64 if options.sweep is None else options.sweep
    common: dict[str, Any] = {"seed": options.seed, "row_space": options.row_space}
    interrupted = False
    try:
        # the test pictures play no part in the choice
        if options.search:
            study = jaxnn.search(
                space, train, 0.2, method=options.search, num_settings=count, max_epochs=epochs,
                min_epochs=max(1, epochs // 15), **common,
            )  # fmt: skip
        else:
            settings = jaxnn.sample(space, count, seed=options.seed)
            study = jaxnn.sweep(settings, train, 0.2, epochs=epochs, **common)
    except jaxnn.TrainingInterrupted as interruption:
        print(f"{interruption}; what follows is the study as it was then")
        study, interrupted = interruption.study, True
    study.summary()
    fitted = study.fitted()
    if options.search and not interrupted:
        together = study.refit(train, top=10)
        fitted = together.members[0]
        print("\nTrained anew on all training pictures; on the test pictures, used once:")
        print(f"the best setting {fitted.score(test):.3f}")
        if len(together.members) > 1:
            print(f"the best {len(together.members)} together {together.score(test):.3f}")
    else:
        print(f"\nThe best network on the test pictures, used once: {fitted.score(test):.3f}")
    print_confusion(fitted, test, classes)
    pictures = {
        "curves.png": lambda: jaxnn.plot_learning_curves(study),
        "slice.png": lambda: jaxnn.plot_slice(study),
    }
    if study.rungs:
        pictures["rungs.png"] = lambda: jaxnn.plot_rungs(study)
    save_results(fitted, test, classes, options.out)
    try:
        for name, draw in pictures.items():
            draw().savefig(options.out / name, dpi=150)
        print(f"and of all settings: {', '.join(pictures)}")
    except ModuleNotFoundError as error:
        print(error)
    return 130 if interrupted else 0


def print_confusion(fitted: jaxnn.Fitted, test: jaxnn.Dataset, classes: tuple) -> None:
    counts = jaxnn.confusion_matrix(test.y, fitted.predict(test.x), len(classes))
    print("\nConfusion on the test pictures (row: shown, column: seen)")
    print("      " + "".join(f"{name!s:>5}" for name in classes))
    for name, row in zip(classes, counts, strict=True):
        print(f"{name!s:>5} " + "".join(f"{count or '.':>5}" for count in row))


def save_results(fitted: jaxnn.Fitted, test: jaxnn.Dataset, classes: tuple, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    fitted.save(out / "network.h5")
    np.savez(out / "parameters.npz", **cast(Any, jaxnn.to_course(fitted.params)))
    written = ["network.h5", "parameters.npz"]
    try:
        import matplotlib
    except ModuleNotFoundError:
        print("\nThe pictures cost.png and predictions.png are left out: they need matplotlib")
    else:
        matplotlib.use("agg")
        draw_cost(fitted, out / "cost.png")
        draw_predictions(fitted, test, classes, out / "predictions.png")
        written += ["cost.png", "predictions.png"]
    print(f"\nWritten to {out}: {', '.join(written)}")


def draw_cost(fitted: jaxnn.Fitted, path: Path) -> None:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.plot(fitted.curves["cost"], linewidth=1.2)
    axes.axhline(np.log(fitted.num_classes), color="0.6", linewidth=0.8, linestyle="--")
    axes.text(1, np.log(fitted.num_classes), "knows nothing: ln C", color="0.4", va="bottom",
              ha="right", fontsize=8, transform=axes.get_yaxis_transform())  # fmt: skip
    rate = fitted.setting["learning_rate"]
    axes.set(xlabel="epoch", ylabel="cost", title=f"Learning rate = {rate:g}")
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_predictions(fitted: jaxnn.Fitted, test: jaxnn.Dataset, classes: tuple, path: Path) -> None:
    """A sheet of the first 40 test pictures; a wrong prediction is red, the label in brackets."""
    from matplotlib import pyplot as plt

    shown = test[:40]
    if shown.x.ndim != 4:
        return
    predictions = fitted.predict(shown.x)
    probabilities = fitted.predict_proba(shown.x).max(axis=1)
    figure, all_axes = plt.subplots(5, 8, figsize=(9.6, 7), layout="constrained")
    for axes in all_axes.flat:
        axes.axis("off")
    rows = zip(all_axes.flat, shown.x, shown.y, predictions, probabilities, strict=False)
    for axes, picture, label, prediction, probability in rows:
        axes.imshow(np.asarray(picture))
        is_right = prediction == label
        text = f"{classes[prediction]}" if is_right else f"{classes[prediction]} ({classes[label]})"
        color = "0.2" if is_right else "tab:red"
        axes.set_title(f"{text}  {probability:.0%}", fontsize=9, color=color)
    figure.suptitle("Seen in the test pictures; in red (the truth)", fontsize=11)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def predict(options: argparse.Namespace) -> int:
    try:
        from PIL import Image, ImageOps
    except ModuleNotFoundError:
        raise ValueError("reading a picture needs Pillow, part of the extra 'plot'") from None
    network = options.out / "network.h5"
    if not network.exists():
        raise FileNotFoundError(
            f"{network} does not exist; train a network first, without --predict"
        )
    fitted = jaxnn.load(network)
    if len(fitted.input_shape) != 3:
        raise ValueError(f"{network} takes inputs of shape {fitted.input_shape}, not pictures")
    height, width, _ = fitted.input_shape
    with Image.open(options.predict) as picture:
        upright = ImageOps.exif_transpose(picture).convert("RGB")
    pixels = np.asarray(upright.resize((width, height)), np.float32) / 255
    probabilities = fitted.predict_proba(pixels[None])[0]
    print(f"{options.predict} shows {probabilities.argmax()}")
    for label in probabilities.argsort()[::-1]:
        print(f"  {label}  {probabilities[label]:6.1%}  {'#' * round(40 * probabilities[label])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
