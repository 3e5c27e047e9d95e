"""The table of a capacity, for a terminal."""

from pathlib import Path

from local_sagemaker.fit.capacities import Capacity


def write(capacity: Capacity) -> str:
    """Return what was measured, for a terminal."""
    measured = capacity.measured
    first, further = measured["first"], measured["further"]
    unpack, source = capacity.unpack_seconds, "folder" if Path(capacity.model).is_dir() else "archive"
    rows = [
        ("", "first copy", "each further copy"),
        ("memory, anonymous", _size(first["anonymous"]), _size(further["anonymous"])),
        ("memory, mapped files", _size(first["mapped"]), _size(further["mapped"])),
        (f"load, from the {source}", _time(unpack + measured["first_load"]), _time(unpack + measured["further_load"])),
        ("load, once prepared", "", _time(measured["prepared_load"])),
        ("memory, left after unloading all", _size(measured["left"]["anonymous"]), ""),
        ("disk", _size(capacity.disk_bytes), _size(capacity.disk_bytes)),
    ]
    lines = [f"{capacity.model}: {_size(measured['weight_bytes'])} of weights, {measured['engine']}"]
    lines += [f"It shares no graph: {measured['reason']}"] if measured["reason"] else []
    lines += ["", *(f"{what:32}{first:>12}{further:>20}" for what, first, further in rows), ""]
    for name, seconds in measured["calls"].items():
        answer = "the model refuses a made-up instance" if seconds is None else f"p50 {_time(seconds)}"
        lines.append(f"warm call, one made-up instance, {name}: {answer}")
    if measured["has_handler"]:
        lines.append("inference.py was loaded, and its process is in the memory; the calls went to the model itself.")
    return "\n".join([*lines, "", *_verdict(capacity)])


def _verdict(capacity: Capacity) -> list[str]:
    memory, disk = _size(capacity.memory_limit), _size(capacity.disk_limit)
    in_memory = "any number" if capacity.copies_in_memory is None else f"{capacity.copies_in_memory:,}"
    counted = _size(capacity.measured["counted_bytes"])
    lines = [
        f"{capacity.copies:,} copies fit on an instance.",
        f"  memory: {in_memory}, as {memory} are for models and each counts {counted}",
        f"  disk: {capacity.copies_on_disk:,}, as {disk} are for models and each takes {_size(capacity.disk_bytes)}",
    ]
    if not capacity.copies:
        return [*lines, "Give the instance more: --memory-bytes, --disk-bytes."]
    anonymous, mapped = capacity.memory_of(capacity.copies)
    return [*lines, f"The container then takes about {_size(anonymous)}, and maps {_size(mapped)} of files."]


def _size(count: int) -> str:
    size, units = float(count), iter(("B", "KiB", "MiB", "GiB"))
    unit = next(units)
    while abs(size) >= 1024 and unit != "GiB":
        size, unit = size / 1024, next(units)
    return f"{size:.0f} B" if unit == "B" else f"{size:,.1f} {unit}"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"
