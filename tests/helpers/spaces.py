"""The spaces that searches are tested on; importing them makes no array, so processes may."""

import jaxnn

SPACE = {
    "learning_rate": jaxnn.loguniform(1e-3, 1e0),
    "momentum": jaxnn.reverseloguniform(0.5, 0.99),
    "l2": jaxnn.loguniform(1e-5, 1e-2),
    "dropout": jaxnn.uniform(0.1, 0.3),
    "decay_schedule": "inverse",
    "decay_rate": 0.1,
    "optimizer": "momentum",
    "hidden": (5,),
    "batch_norm": True,
    "batch_size": 16,
}
MIXED = SPACE | {
    "hidden": jaxnn.choice([(5,), (4, 3)]),
    "optimizer": jaxnn.choice(["adam", "momentum"]),
    "batch_size": jaxnn.choice([16, 20]),
}
PADDED = {
    "learning_rate": jaxnn.loguniform(1e-3, 1e1),
    "hidden": jaxnn.choice([(4,), (6, 3)]),
    "optimizer": jaxnn.choice(["adam", "gd"]),
    "batch_size": jaxnn.choice([16, 20]),
}
