"""What Plotly writes into a report."""

import base64

import numpy as np


def decoded(values):
    """Plotly packs long lists."""
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"]).tolist()
    return values
