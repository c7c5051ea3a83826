"""Each script's figures as Markdown tables."""

from statistics import fmean, median
from typing import Any

from benchmarks import growth as growing
from benchmarks import limits as limiting
from benchmarks import peers as peering
from benchmarks.floor import floor_s
from models.recipes.scorecard.table import table
from vfx_edge.bench.parity import first_difference
from vfx_edge.bench.samples import Samples, ratio, verdict

Figures = dict[str, Any]
PICTURES = {
    "growth": "Seconds over the number of slices, peak memory over the size of the volume",
    "limits": "Roofline: operations a second over operations a byte, peaks and networks",
}
LEAST_STAGE_S = 0.005


def speed(found: Figures) -> str:
    """Whole command, warm, memory; then the stages."""
    head = ("CT", "size (z, y, x)", "vertebrae", "whole command", "warm", "precision",
            "more for DICOM results", "peak memory, command", "warm")  # fmt: skip
    rows = [
        (
            f"`{r['name']}`", _size(r["input"]), str(r["vertebrae"]), _seconds(r["command"]),
            _seconds(r["warm"]), r["precision"], _more_for_dicom(r), _gib(r["command"]),
            _gib(r["warm"]),
        )
        for r in found["rows"]
    ]  # fmt: skip
    runs = len(found["rows"][0]["command"]["wall_s"])
    return "\n\n".join(
        (
            f"Median of {runs} runs (fastest to slowest), in turns, after one that is not counted. "
            f"`vfx-edge --help`: {_range(found['help_s'], 2)}.",
            table(head, rows),
            "Where the whole command spends its time, medians in seconds; process start, imports "
            "and the end of the process are the rest:",
            _stages(found),
        )
    )


def _more_for_dicom(row: Figures) -> str:
    return f"{dicom_added_s(row):+.2f} s" if row.get("dicom_s") else "–"


def dicom_added_s(row: Figures) -> float:
    """Median of what DICOM results add to the whole command, turn by turn."""
    pairs = zip(row["dicom_s"], row["command"]["wall_s"], strict=True)
    return float(median(more - alone for more, alone in pairs))


def floor(found: Figures) -> str:
    """A row for each CT: the command, its floor, and how many times as long it takes."""
    head = ("CT", "GFLOP of the networks", "at the peak, GFLOP/s", "they take at least", "reading",
            "whole command", "beyond the least", "times the least")  # fmt: skip
    rows = []
    for row in found["rows"]:
        least, speeds = floor_s(row), row["peak_gflops"]
        networks = [all_s - read_s for all_s, read_s in zip(least, row["read_s"], strict=True)]
        rows.append(
            (
                f"`{row['name']}`", _each(row["gflop"]),
                _each({name: median(speed) for name, speed in speeds.items()}),
                _range(networks, 2), f"{median(row['read_s']):.2f} s", _range(row["wall_s"], 2),
                f"{median(row['wall_s']) - median(least):.2f} s", _ratio(row["wall_s"], least),
            )
        )  # fmt: skip
    return table(head, rows)


def before(record: Figures) -> str:
    """What was noted of an AVX2 machine before anybody worked on that class: medians alone."""
    found = record["figures"]
    head = ("CT", "whole command", "GFLOP of the networks", "they take at least", "times the least")
    rows = []
    for row in found["rows"]:
        least = row["gflop"] / found["peak_gflops"] if row["gflop"] else None
        times = f"{row['wall_s'] / least:.1f}" if least else "–"
        operations = (str(row["gflop"]), f"{least:.1f} s") if least else ("–", "–")
        rows.append((row["name"], f"{row['wall_s']:.1f} s", *operations, times))
    return (
        f"{record['source']}; convolution peak {found['peak_gflops']} GFLOP/s in fp32, reading not "
        f"counted; the raw runs were not kept:\n\n{table(head, rows)}\n"
    )


def _each(numbers: dict[str, float]) -> str:
    return ", ".join(f"{value:.0f} in {name}" for name, value in numbers.items())


def precisions(found: Figures) -> str:
    """A row for each CT."""
    head = ("CT", "computed in", "vertebrae", "same names", "same suspicions", "Dice, mean",
            "lowest", "heights apart, mean", "most", "what differs first")  # fmt: skip
    rows = []
    for row in found["rows"]:
        dice, gaps = row["dice"] or [0.0], row["height_gaps_mm"] or [0.0]
        yes = ("yes" if row[key] else "**no**" for key in ("same_names", "same_suspicions"))
        rows.append(
            (
                f"`{row['name']}`", " against ".join(reversed(row["precision"])),
                str(row["vertebrae"]), *yes, f"{fmean(dice):.4f}",
                f"{min(dice):.4f}", f"{fmean(gaps):.2f} mm", f"{max(gaps):.2f} mm",
                row["difference"] or "nothing",
            )
        )  # fmt: skip
    settings = found["settings"]
    about = f"Asked for {settings['quick']} against {settings['exact']}, both by OpenVINO, set "
    return f"{about}`{settings['model']}`:\n\n{table(head, rows)}"


def _stages(found: Figures) -> str:
    stages = [
        name
        for name in found["rows"][0]["command"]["stages_s"]
        if any(median(r["command"]["stages_s"][name]) >= LEAST_STAGE_S for r in found["rows"])
    ]
    rows = []
    for row in found["rows"]:
        seconds = [median(row["command"]["stages_s"][name]) for name in stages]
        rest = median(row["command"]["wall_s"]) - sum(seconds)
        rows.append((f"`{row['name']}`", *(f"{s:.2f}" for s in (*seconds, rest))))
    return table(("CT", *stages, "rest"), rows)


def peers(found: Figures) -> str:
    """The chain in each runtime, then nnU-Net."""
    chains, ours = found["chains"], found["chains"][peering.REFERENCE]
    wanted = chains["onnxruntime"]["facts"]
    head = ("networks by", "precision", "networks", "times as long", "whole study, warm",
            "times as long", "peak memory", "findings")  # fmt: skip
    rows = [
        (
            row["title"], row["precision"], _range(row["networks_s"]),
            _ratio(row["networks_s"], ours["networks_s"]), _range(row["wall_s"]),
            _ratio(row["wall_s"], ours["wall_s"]), _gib(row), _same(row["facts"], wanted),
        )
        for row in chains.values()
    ]  # fmt: skip
    differs = found["torch_differs"]
    largest = "; ".join(
        f"{precision}: {max(each.values()):.2g} of an answer's range"
        for precision, each in differs.items()
    )
    return "\n\n".join(
        (
            f"On `{found['settings']['ct']}`, {_size(found['input'])}: median of "
            f"{len(ours['wall_s'])} rounds (fastest to slowest). Times as long: against the first "
            "line, with the 95 % interval of the ratio. Findings: against ONNX Runtime in fp32.",
            table(head, rows),
            f"PyTorch's networks answered noise as ONNX Runtime's did, before anything was timed: "
            f"largest difference {largest}.",
            _nnunets(found, ours),
        )
    )


def _nnunets(found: Figures, ours: Figures) -> str:
    if not found["nnunets"]:
        return "nnU-Net was not run."
    head = ("nnU-Net at", "runs", "grid (z, y, x)", "patches", "read", "resample", "predict",
            "labels back", "all", "times as long as the chain", "peak memory")  # fmt: skip
    rows = [
        (
            f"{row['spacing_mm']:g} mm", str(len(row["wall_s"])), _by(row["grid_zyx"]),
            _computed(row), *(f"{median(s):.1f} s" for s in row["stages_s"].values()),
            f"{median(row['wall_s']):.1f} s", _ratio(row["wall_s"], ours["wall_s"]), _gib(row),
        )
        for row in found["nnunets"].values()
    ]  # fmt: skip
    return table(head, rows)


def _computed(row: Figures) -> str:
    """How many patches; and, where not all were computed, how many the time was taken from."""
    some = row["computed"] < row["patches"]
    return f"{row['patches']}{', timed on ' + str(row['computed']) if some else ''}"


def growth(found: Figures) -> str:
    """Each series, its exponents, the steps of the first and the line of memory."""
    parts = []
    for name, title in growing.TITLES.items():
        rows = growing.series(found, name)
        exponents = growing.time_exponents(rows)
        what = "vertebrae" if name == "spine" else "slices"
        powers = ", ".join(f"{stage} {k:.2f}" for stage, k in exponents.items())
        parts += [
            f"**{title[0].upper()}{title[1:]}.** Seconds grow with the number of {what} to the "
            f"power of: {powers}.",
            _points(rows),
        ]
        if name == "finer":
            parts.append(_steps(growing.steps(rows)))
    slope, offset = growing.memory_line(found["rows"])
    runs = len(found["rows"][0]["wall_s"])
    parts.append(
        f"**Memory** follows {offset:.0f} MiB and {slope:.2f} times the volume's int16 size, over "
        f"all of these. Every figure is the median of {runs} runs, after one that is not counted."
    )
    return "\n\n".join(parts)


def _points(rows: list[Figures]) -> str:
    stages = [
        name
        for name in rows[0]["stages_s"]
        if any(median(row["stages_s"][name]) >= LEAST_STAGE_S for row in rows)
    ]
    head = ("size (z, y, x)", "slice mm", "found", "int16 MiB", *stages, "whole command, s",
            "peak MiB")  # fmt: skip
    cells = [
        (
            _size(row["input"]), f"{row['spacing_mm']:.2f}", str(row["vertebrae"]),
            f"{row['input']['int16_mib']:.0f}",
            *(f"{median(row['stages_s'][name]):.2f}" for name in stages),
            _range(row["wall_s"]).removesuffix(" s"), f"{median(row['peak_rss_mib']):.0f}",
        )
        for row in rows
    ]  # fmt: skip
    return table(head, cells)


def _steps(steps: list[growing.Step]) -> str:
    head = ("slices", "more in all", "more for reading", "beyond reading", "noise")
    rows = [
        (
            f"{step.slices[0]} to {step.slices[1]}",
            *(f"{s:+.2f} s" for s in (step.more_s, step.more_reading_s, step.excess_s)),
            f"{step.noise_s:.2f} s",
        )
        for step in steps
    ]
    return table(head, rows)


def limits(found: Figures) -> str:
    """Peaks, networks, chain."""
    return "\n\n".join(
        (
            f"Memory: {limiting.bandwidth(found):.1f} GB/s (a = b + c on arrays of "
            f"{found['memory']['mib_moved'] // 3} MiB). Matrix products of "
            f"{found['gemm'][0]['size']}², and convolutions, in GFLOP/s (medians):",
            _peaks(found),
            "The networks alone, at the batch the chain gives them. Bytes: what convolutions and "
            "matrix products have to read and write, everything else fused into them:",
            _networks(found),
            "All of them inside the chain, by OpenVINO:",
            _chains(found),
        )
    )


def _peaks(found: Figures) -> str:
    columns = dict.fromkeys((row["runtime"], row["precision"]) for row in found["conv"])
    titles = dict.fromkeys(_peak_title(row) for row in (*found["gemm"], *found["conv"]))
    speeds = {
        (_peak_title(row), row["runtime"], row["precision"]): limiting.gflops(row)
        for row in (*found["gemm"], *found["conv"])
    }
    rows = [
        (t, *(f"{speeds[t, *c]:.0f}" if (t, *c) in speeds else "–" for c in columns))
        for t in titles
    ]
    return table(("", *(" ".join(column) for column in columns)), rows)


def _peak_title(row: Figures) -> str:
    if "channels" not in row:
        return "matrix product"
    return f"{row['channels']} to {row['channels']} channels, {row['batch']} × {row['edge']}³"


def _networks(found: Figures) -> str:
    head = ("network", "precision", "batch", "patch", "GFLOP each", "MiB each", "ms each",
            "GFLOP/s", "of the convolution peak")  # fmt: skip
    rows = []
    for row in found["networks"]:
        speed_now = limiting.gflops(row)
        share = speed_now / limiting.conv_peak(found, row["precision"])
        each_ms = 1e3 * median(row["seconds"]) / row["batch"]
        rows.append(
            (
                row["role"], row["precision"], str(row["batch"]), _by(row["patch_zyx"]),
                f"{row['gflop_each']:.2f}", f"{row['mib_each']:.1f}", f"{each_ms:.1f}",
                f"{speed_now:.0f}", f"{share:.0%}",
            )
        )  # fmt: skip
    return table(head, rows)


def _chains(found: Figures) -> str:
    head = ("precision", "patches", "GFLOP/s", "of the convolution peak", "whole study, warm",
            "networks' share of it")  # fmt: skip
    rows = []
    for precision, chain in found["chains"].items():
        speed_now, share = limiting.achieved(chain)
        of_peak = limiting.of_peak(found, precision)[1]
        patches = ", ".join(f"{role} {count}" for role, count in chain["patches"].items() if count)
        rows.append(
            (precision, patches, f"{speed_now:.0f}", f"{of_peak:.0%}", _range(chain["wall_s"]),
             f"{share:.0%}")
        )  # fmt: skip
    return table(head, rows)


def batches(found: Figures) -> str:
    """A row for each network and way to feed it."""
    head = ("network", "patches", "ms a patch", "times as long", "first answer, ms",
            "memory, MiB")  # fmt: skip
    ours = {row["role"]: row["pass_s"] for row in reversed(found["rows"])}  # the first of each
    rows = [
        (
            row["role"], row["title"], f"{1e3 * median(row['pass_s']) / found['patches']:.1f}",
            _ratio(row["pass_s"], ours[row["role"]]), f"{1e3 * median(row['first_s']):.0f}",
            f"{median(row['grown_mib']):.0f}",
        )
        for row in found["rows"]
    ]  # fmt: skip
    return table(head, rows)


def service(found: Figures) -> str:
    """A row for each study: alone, through the service, and what that adds."""
    head = ("CT", "slices", "whole command, DICOM results too",
            "association's end to results stored", "added")  # fmt: skip
    rows = [
        (
            f"`{row['name']}`", str(row["input"]["shape_zyx"][0]), _range(row["alone_s"]),
            _range(row["through_s"]), f"{added_s(row):+.1f} s",
        )
        for row in found["rows"]
    ]  # fmt: skip
    return table(head, rows)


def page(found: Figures) -> str:
    """One row: how soon it is painted, and what that and one change cost."""
    head = ("studies", "first paint", "whole list", "browser's processor seconds",
            "bytes sent", "of one change", "browser's processor seconds for it")  # fmt: skip
    row = (
        str(int(found["rows"][0])), _range(found["first_s"], 2), _range(found["painted_s"], 2),
        _range(found["browser_cpu_s"], 2), str(round(median(found["bytes"]))),
        str(round(median(found["change_bytes"]))), _range(found["change_cpu_s"], 2),
    )  # fmt: skip
    return table(head, [row])


def added_s(row: Figures) -> float:
    """Median of what the way through the service added, turn by turn."""
    pairs = zip(row["through_s"], row["alone_s"], strict=True)
    return float(median(through - alone for through, alone in pairs))


def _seconds(runs: Figures) -> str:
    return _range(runs["wall_s"])


def _range(seconds: list[float], digits: int = 1) -> str:
    """Median, and from the fastest to the slowest; marked where they mean little."""
    samples = Samples(tuple(seconds))
    if len(samples) == 1:
        return f"{samples.median:.{digits}f} s"
    noisy = ", noisy" if samples.noisy else ""
    low, high = samples.min, samples.max
    return f"{samples.median:.{digits}f} ({low:.{digits}f}–{high:.{digits}f}{noisy}) s"


def _ratio(a: list[float], b: list[float]) -> str:
    if a == b:
        return "1"
    found = ratio(Samples(tuple(a)), Samples(tuple(b)))
    word = "" if verdict(found) in ("slower", "faster") else f", {verdict(found)}"
    return f"{found.median:.2f} ({found.low:.2f}–{found.high:.2f}{word})"


def _gib(runs: Figures) -> str:
    return f"{max(runs['peak_rss_mib']) / 1024:.2f} GiB"


def _size(given: Figures) -> str:
    return _by(given["shape_zyx"])


def _by(numbers: list[int]) -> str:
    return "×".join(map(str, numbers))


def _same(found: Figures, wanted: Figures) -> str:
    return first_difference(found, wanted) or "the same"
