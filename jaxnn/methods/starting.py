"""What a search draws before it begins, and the plan for it."""

from collections.abc import Sequence

from jaxnn.data.datasets import Dataset
from jaxnn.engine.options import Call
from jaxnn.methods.arena import Drawn
from jaxnn.methods.budgets import Budget, Rungs
from jaxnn.methods.drawing import Source
from jaxnn.methods.table import Method
from jaxnn.settings.alternatives import with_fixed
from jaxnn.settings.sampling import Settings, checked_space
from jaxnn.settings.spaces import default_setting, default_space
from jaxnn.training.recipes import recipes

PROBES = 256
"""Settings that the plan is made for while the true ones are not known yet."""


def with_space(call: Call, train: Dataset) -> Call:
    """Returns the call with the default space, and its first setting, if it has no space.

    Raises:
      ValueError: it has no space, but a model of its own.
    """
    space, first, limit = (call.arguments[name] for name in ("space", "first", "limit"))
    if space is not None:
        return call
    if call.options.model is not None:
        raise ValueError(
            "space got None with a model; expected a dict, name -> domain or value: the default "
            "space is for networks of jaxnn's own"
        )
    if isinstance(first, Sequence) and not first and not limit:
        first = [default_setting(train)]
    return call.replaced(space=default_space(train), first=first)


def drawn_first(how: Method, call: Call, budget: Budget, train: Dataset) -> tuple[Drawn, Rungs]:
    """Returns what is drawn before the search begins, and how much of it is trained."""
    options, space = call.options, checked_space(call.arguments["space"])
    source = Source(
        limit=budget.limit or {}, train=train, model=options.model, epochs=budget.max_epochs
    )
    known = source.known(call.arguments["first"], space, budget.num_settings)
    stops = budget.stops(space, options.metric, train.targets)
    space = with_fixed(space, stops)
    # settings drawn later come from the same space: enough samples show which programs it needs
    count = max(budget.num_settings, 0 if how.is_drawn_at_once else PROBES)
    num_drawn = count if how.draw == "grid" else count - len(known)
    further = source.draw(space, num_drawn, budget.seed, how.draw) if num_drawn else []
    settings = Settings([*(one | stops for one in known), *further], space)
    prepared = recipes(settings, train, options.model, budget.max_epochs)
    # a grid may have fewer settings
    rungs = [(min(count, len(settings)), epochs) for count, epochs in how.rungs(budget)]
    shares = [(count / len(prepared), epochs) for count, epochs in rungs]
    plan = options.plan(prepared, train, budget.max_epochs, rungs=shares)
    drawn = Drawn(settings, prepared, plan, budget=budget, known=known, stops=stops, source=source)
    return drawn, rungs
