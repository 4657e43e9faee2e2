"""scikit-learn's own tests, with other classes in the place of its own."""

import functools
import importlib
import inspect
import itertools

import pytest


class Theirs:
    """The tests of one of scikit-learn's modules of tests, as they are in the installed version.

    Args:
      name: the module.
      ours: name of a class of scikit-learn -> the class that takes its place.
      different: test, or one of its cases -> why it does not apply or cannot be the same.
    """

    def __init__(self, name, ours, different):
        try:
            self.module = importlib.import_module(name)
        except ImportError:
            # scikit-learn came without its tests
            self.module = None
        self.ours, self.different = ours, different

    @functools.cached_property
    def cases(self):
        """Every test, with each combination of its parameters."""
        tests = {} if self.module is None else vars(self.module)
        return [
            case for name in tests if name.startswith("test_") for case in self._cases(tests[name])
        ]

    def _cases(self, test):
        marks = getattr(test, "pytestmark", [])
        rows = [self._choices(*one.args) for one in marks if one.name == "parametrize"]
        others = [one for one in marks if one.name in ("skip", "skipif", "xfail", "filterwarnings")]
        for chosen in itertools.product(*rows):
            arguments = {key: value for one in chosen for key, value in one.items()}
            label = "-".join(map(word, arguments.values()))
            case = f"{test.__name__}[{label}]" if label else test.__name__
            yield pytest.param(test, arguments, id=case, marks=others)

    def _choices(self, names, values):
        """What `pytest.mark.parametrize` says, as dicts of arguments, with our classes."""
        parts = names.split(",") if isinstance(names, str) else names
        names = [one.strip() for one in parts if one.strip()]
        rows = [getattr(value, "values", [value] if len(names) == 1 else value) for value in values]
        return [
            {name: self._ours(value) for name, value in zip(names, row, strict=True)}
            for row in rows
        ]

    def _ours(self, value):
        if isinstance(value, type):
            return self.ours.get(value.__name__, value)
        if type(value).__name__ in self.ours:
            return self.ours[type(value).__name__](**value.get_params(deep=False))
        return value

    def run(self, test, arguments, request, monkeypatch):
        """Runs a case, or skips it with its reason."""
        case = request.node.callspec.id
        if reason := self.different.get(case) or self.different.get(test.__name__):
            pytest.skip(reason)
        for name, ours in self.ours.items():
            if hasattr(self.module, name):
                monkeypatch.setattr(self.module, name, ours)
        fixtures = [name for name in inspect.signature(test).parameters if name not in arguments]
        test(**arguments, **{name: request.getfixturevalue(name) for name in fixtures})

    def check_table(self):
        """Checks that the table names tests that there are."""
        if self.module is None:
            pytest.skip("scikit-learn came without its tests")
        known = {one.id for one in self.cases}
        assert set(self.different) <= known | {one.split("[")[0] for one in known}


def word(value):
    if value is None or isinstance(value, str | int | float):
        return str(value)
    return getattr(value, "__name__", type(value).__name__)
