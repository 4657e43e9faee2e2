"""The examples, run as a user runs them, small."""

import functools
import importlib.util
import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import jaxnn

EXAMPLES = Path(__file__).parent.parent / "examples"


def load_example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def basics():
    return load_example("basics")


@pytest.fixture(scope="module")
def signs():
    """The pictures are drawn once for all tests here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxnn, "generated_signs", functools.cache(jaxnn.generated_signs))
        yield load_example("signs")


def test_basics_loss_product_and_function(basics):
    assert basics.squared_error(36, 39) == 9
    assert basics.product(2, 10) == 20
    assert basics.doubled(3) == 6


def test_basics_linear_function(basics):
    expected = [[-2.15657382], [2.95891446], [-1.08926781], [-0.84538042]]
    np.testing.assert_allclose(basics.linear_function(), expected, rtol=1e-6)


def test_basics_sigmoid_and_its_cost(basics):
    assert basics.sigmoid(0) == 0.5
    assert float(basics.sigmoid(12)) == pytest.approx(0.999994, abs=5e-7)
    expected = [1.00538722, 1.03664083, 0.41385432, 0.39956614]
    np.testing.assert_allclose(basics.sigmoid_cost(), expected, rtol=1e-6)


def test_basics_one_hot_and_means(basics):
    expected = [[0, 0, 0, 1, 0, 0], [1, 0, 0, 0, 0, 1], [0, 1, 0, 0, 1, 0], [0, 0, 1, 0, 0, 0]]
    np.testing.assert_array_equal(basics.one_hot([1, 2, 3, 0, 2, 1], 4), expected)
    for got, mean in zip(basics.means(), [2, [1, 2, 3], [2, 2], [[2], [2]]], strict=True):
        np.testing.assert_array_equal(got, np.array(mean))


def test_basics_prints_the_exercises_and_the_table(basics, capsys):
    basics.main()
    out = capsys.readouterr().out
    for text in ("2: 9\n", "-2.1565738", "0.4138543", "ones: [1. 1. 1.]", "session: sess.run"):
        assert text in out
    for word in ("graph", "session", "placeholder", "feed_dict", "initializer", "default_graph"):
        assert word in out[out.index("TensorFlow 1") :]


def test_signs_trains_writes_and_predicts(signs, tmp_path, capsys):
    out = tmp_path / "out"
    assert signs.main(["--epochs", "2", "--hidden", "6", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^Cost after epoch 0: \d\.\d{6}$", printed, re.MULTILINE)
    accuracies = re.findall(r"^(Train|Test) accuracy: ([01]\.\d{3})$", printed, re.MULTILINE)
    assert [name for name, _ in accuracies] == ["Train", "Test"]
    assert "12288-6-6, adam, learning rate 0.0001" in printed
    names = {"network.h5", "parameters.npz", "cost.png", "predictions.png"}
    assert {path.name for path in out.iterdir()} == names

    course = np.load(out / "parameters.npz")
    assert (course["W1"].shape, course["b2"].shape) == ((6, 12288), (6, 1))
    _, test, _ = jaxnn.generated_signs()
    x = np.asarray(test.x, np.float64).reshape(120, -1)
    hidden = np.maximum(course["W1"] @ x.T + course["b1"], 0)
    predictions = (course["W2"] @ hidden + course["b2"]).argmax(0)
    assert f"{np.mean(predictions == np.asarray(test.y)):.3f}" == dict(accuracies)["Test"]
    confusion = [row.split()[1:] for row in printed.splitlines() if re.match(r" +\d +[\d.]", row)]
    counts = np.array([[0 if c == "." else int(c) for c in row] for row in confusion[-6:]])
    assert counts.sum() == 120
    assert np.trace(counts) == np.sum(predictions == np.asarray(test.y))

    from PIL import Image

    picture = Image.fromarray((np.asarray(test.x[0]) * 255).round().astype(np.uint8))
    picture.resize((200, 200), Image.Resampling.NEAREST).save(tmp_path / "hand.png")
    assert signs.main(["--predict", str(tmp_path / "hand.png"), "--out", str(out)]) == 0
    assert re.match(r".*hand\.png shows [0-5]\n", capsys.readouterr().out)


@pytest.mark.slow
def test_signs_takes_every_flag(signs, tmp_path, capsys):
    arguments = "--optimizer rmsprop --learning-rate 1e-3 --epochs 1 --batch-size 64 --hidden 5 4"
    arguments += " --batch-norm --inputs standardised --l2 0.01 --dropout 0.1 --seed 3"
    arguments += " --decay-schedule staircase --decay-rate 0.9 --decay-every 2"
    assert signs.main([*arguments.split(), "--out", str(tmp_path)]) == 0
    setting = jaxnn.load(tmp_path / "network.h5").setting
    for name, value in {
        "optimizer": "rmsprop",
        "learning_rate": 1e-3,
        "batch_size": 64,
        "hidden": (5, 4),
        "batch_norm": True,
        "inputs": "standardised",
        "l2": 0.01,
        "dropout": 0.1,
        "decay_schedule": "staircase",
        "decay_rate": 0.9,
        "decay_every": 2.0,
    }.items():
        assert setting[name] == value
    assert "seed 3" in capsys.readouterr().out


@pytest.mark.slow
def test_signs_sweeps_and_tests_the_best_once(signs, tmp_path, capsys):
    arguments = ["--sweep", "6", "--epochs", "2", "--hidden", "4", "--seed", "3"]
    assert signs.main([*arguments, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "6 settings x 1 repetition, 2 epochs: 6 networks" in printed
    assert "216 of 1080 examples" in printed
    names = {"network.h5", "parameters.npz", "cost.png", "predictions.png"}
    assert {path.name for path in tmp_path.iterdir()} == names | {"curves.png", "slice.png"}
    best = jaxnn.load(tmp_path / "network.h5")
    _, test, _ = jaxnn.generated_signs()
    assert f"on the test pictures, used once: {best.score(test):.3f}" in printed
    first = next(line for line in printed.splitlines() if line.startswith("│    1"))
    assert f"{best.curves['valid_accuracy'][-1]:.4f}" in first


@pytest.mark.slow
def test_signs_searches_and_trains_the_best_anew(signs, tmp_path, capsys):
    arguments = "--search halving --sweep 4 --epochs 3 --hidden 4 --row-space"
    assert signs.main([*arguments.split(), "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "settings dropped on the way" in printed
    assert (tmp_path / "rungs.png").exists()
    best = jaxnn.load(tmp_path / "network.h5")
    _, test, _ = jaxnn.generated_signs()
    assert f"the best setting {best.score(test):.3f}" in printed
    assert "the best 2 together 0." in printed
    # no validation: it was trained on all pictures
    assert set(best.curves) == {"cost", "accuracy"}


@pytest.mark.slow
def test_the_tour_runs_from_arrays_to_a_study():
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(EXAMPLES / "tour.ipynb", as_version=4)
    assert len(notebook.cells) == 10
    assert not any(cell.get("outputs") for cell in notebook.cells)
    # warnings of the notebook's own machinery are not ours
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert "text/html" in outputs[3][-1]["data"]
    assert all("image/png" in output[-1]["data"] for output in outputs[4:6])
    assert float(outputs[6][-1]["data"]["text/plain"].split()[-1].strip("()")) > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--mixed", "error: --mixed came without --sweep N"),
        ("--sweep 0", "error: n got 0; expected a whole number >= 1"),
        ("--data nowhere", "error: nowhere/train_signs.h5 does not exist"),
        ("--predict hand.jpg --out nowhere", "network.h5 does not exist; train a network first"),
        ("--learning-rate -1", "error: learning_rate got -1.0; expected a finite number > 0"),
        ("--batch-size 5000", "error: batch_size got 5000; expected at most the 1080"),
    ],
)
def test_signs_answers_bad_input(signs, arguments, message, capsys):
    assert signs.main(arguments.split()) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_signs_runs_without_the_plot_extra(tmp_path, run_python):
    code = (
        "import sys\n"
        "sys.modules['matplotlib'] = sys.modules['PIL'] = None\n"
        f"sys.path.insert(0, {json.dumps(str(EXAMPLES))})\n"
        "import signs\n"
        f"out = {json.dumps(str(tmp_path))}\n"
        "assert signs.main(['--epochs', '1', '--hidden', '--out', out]) == 0\n"
        "assert signs.main(['--predict', 'a.jpg', '--out', out]) == 2\n"
    )
    done = run_python(code)
    assert "left out: they need matplotlib" in done.stdout
    assert "reading a picture needs Pillow" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"network.h5", "parameters.npz"}


@pytest.mark.slow
def test_the_convolutional_network_is_searched_and_scored_on_held_out_pictures(capsys):
    arguments = ["--examples", "180", "--settings", "2", "--epochs", "12"]
    assert load_example("convnet").main(arguments) == 0
    out = capsys.readouterr().out
    (score,) = re.findall(r"held out (\d\.\d+) of 20 pictures", out)
    # chance is a sixth; it has seen 160 pictures
    assert float(score) > 0.4
