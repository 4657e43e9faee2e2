"""The tables of `gpu.py`, made from what its JSON holds."""

from typing import Any

Row = dict[str, Any]

TEXT = """Measured by `benchmarks/gpu.py`; the numbers are from `gpu.json`.

- us: microseconds of a lane's step, the median of calls of many steps; least_us: the fastest call.
  step_us: of a step of all lanes.
- of_copy: 24 bytes a parameter (Adam reads and writes the parameter and two moments) x lanes /
  step_us, as a share of the best rate of a copy, read and written. Not counted: gradients,
  parameters read for the products, activations.
- memory_a_lane: bytes of the compiled program's arguments, results and temporaries a lane.
- first_s: what the first call took over the second; compile_s: XLA alone; trace_s: before it.
- precision: of products of float32. What JAX's default is here, the relative_error tells: about
  1e-3 is TF32, 1e-6 is float32. PyTorch's default is "highest", which is float32; "high" is TF32.
"""
PEERS = ("torch", "graphs", "compiled", "naive")


def markdown(found: Row) -> str:
    sections = found["sections"]
    parts = ["# One GPU", TEXT]
    shared = shares(sections)
    for name, section in sections.items():
        rows = shared if name == "lanes" else section["rows"]
        told = f"{section['seconds']:.0f} s of {section['limit_s']:.0f}" if rows else ""
        parts += [f"## {name}", *([told] if told else [])]
        parts += [f"Note: {section['note']}"] if "note" in section else []
        parts += [detail for row in rows for detail in details(row)]
        parts.append(table(rows))
    ratios = compared(sections)
    if ratios:
        parts += ["## jaxnn against the others", "How many times faster a lane's step is.", ""]
        parts[-1] = table(ratios)
    return "\n\n".join(part for part in parts if part) + "\n"


def shares(sections: Row) -> list[Row]:
    """The lanes' rows with their share of the memory rate."""
    rates = [row.get("bytes_a_s", 0.0) for row in rows_of(sections, "ceilings")]
    best, found = max(rates, default=0.0), []
    for row in rows_of(sections, "lanes"):
        if best and "step_us" in row:
            row = {**row, "of_copy": row["bytes_a_step"] / row["step_us"] * 1e6 / best}
        found.append(row)
    return found


def rows_of(sections: Row, name: str) -> list[Row]:
    return sections.get(name, {}).get("rows", [])


def compared(sections: Row) -> list[Row]:
    """Each peer over our program: of as many lanes, and of the number that is fastest."""
    ours = [row for row in rows_of(sections, "lanes") if "us" in row]
    plain = [row for row in ours if row["precision"] == "default" and "sweep" in row["side"]]
    found = []
    for row in (row for name in PEERS for row in rows_of(sections, name) if "us" in row):
        own = [one for one in plain if one["network"] == row["network"]]
        same = [one["us"] for one in own if one["lanes"] == row["lanes"]]
        best = min(own, key=lambda one: one["us"], default=None)
        name = {key: row[key] for key in ("network", "side", "lanes", "us")}
        name["jaxnn, as many lanes"] = row["us"] / same[0] if same else None
        if best:
            name["jaxnn, best"] = row["us"] / best["us"]
            name["its lanes"] = best["lanes"]
        found.append(name)
    return sorted(found, key=lambda row: (row["network"], row["side"], row["lanes"]))


def details(row: Row) -> list[str]:
    """What is no number of a table: a list of what has names, a block of what has lines."""
    name = ", ".join(str(value) for value in list(row.values())[:2] if isinstance(value, str | int))
    parts = []
    for key, value in row.items():
        if isinstance(value, dict):
            lines = [f"- {inner}: {shown(one)}" for inner, one in value.items()]
            parts.append("\n".join([f"{name or key}, {key}:\n", *lines]))
        elif key == "longest" and value:
            parts.append(f"{name}, longest kernels:\n\n{table(value)}")
        elif key == "plan":
            parts.append(f"```\n{value}\n```")
    return parts


def table(rows: list[Row]) -> str:
    flat = lambda value: not isinstance(value, dict | list)
    columns = dict.fromkeys(key for row in rows for key, value in row.items() if flat(value))
    names = [name for name in columns if name not in ("plan", "memory", "bytes_a_step", "took_s")]
    names += [name for name in ("took_s",) if name in columns]
    if not names:
        return ""
    lines = [names, ["---"] * len(names)]
    lines += [[shown(row.get(name)) for name in names] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.3g}"
    return str(value).replace("|", "\\|").replace("\n", " ")
