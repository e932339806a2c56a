"""Compare a run of the benchmarks with the baseline of this kind of processor.

    pytest bench --benchmark-json=bench/results/bench.json
    python bench/compare.py bench/results/bench.json

Times are in units of the calibration that was timed beside each, so that a slower clock does not
count. A benchmark has become slower if both its median and its fastest round are beyond the
threshold. Only shown, marked by a question mark, are those of fewer than five rounds, and wall
times taken while the calibration did not get all its cores, now or in the baseline. Exit status:
1 if any has become slower, 2 if there is nothing to compare.
"""

import argparse
import json
import re
import sys
from pathlib import Path

BASELINES = Path(__file__).resolve().parent / "baselines"
MIN_ROUNDS = 5


def name_baseline(machine_info):
    """Return the file of the baseline: processor, family, model."""
    cpu = machine_info["cpu"]
    parts = [cpu.get("brand_raw", "unknown"), cpu.get("family", ""), cpu.get("model", "")]
    return BASELINES / (re.sub(r"[^a-z0-9]+", "-", "-".join(map(str, parts)).lower()) + ".json")


def read_times(run):
    """Return benchmark -> [median, minimum, whether they can be trusted], in calibrations."""
    times = {}
    for benchmark in run["benchmarks"]:
        stats, unit = benchmark["stats"], benchmark["extra_info"]["calibration_s"]
        trusted = stats["rounds"] >= MIN_ROUNDS and benchmark["extra_info"]["undisturbed"]
        times[benchmark["fullname"].split("/")[-1]] = [
            float(f"{stats['median'] / unit:.4g}"),
            float(f"{stats['min'] / unit:.4g}"),
            trusted,
        ]
    return times


def compare(times, baseline, threshold):
    """Return the lines of the report, the most slowed first, and how many are too slow."""
    rows, n_slower = [], 0
    for name in times.keys() & baseline.keys():
        (median, minimum, trusted), before = times[name], baseline[name]
        ratios = median / before[0], minimum / before[1]
        trusted = trusted and before[2]
        slower = trusted and min(ratios) > threshold
        n_slower += slower
        rows.append((*ratios, name + "  SLOWER" * slower + "  ?" * (not trusted)))
    lines = [f"{now:6.2f} {fastest:6.2f}  {name}" for now, fastest, name in sorted(rows)[::-1]]
    lines += [f"   new         {name}" for name in sorted(times.keys() - baseline.keys())]
    lines += [f"   not run     {name}" for name in sorted(baseline.keys() - times.keys())]
    return ["median   min  (now / baseline)", *lines], n_slower


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="what --benchmark-json wrote")
    parser.add_argument("--baseline", type=Path, help="default: that of the run's processor")
    parser.add_argument("--threshold", type=float, default=1.5)
    parser.add_argument("--save", action="store_true", help="make this run the baseline")
    arguments = parser.parse_args()
    run = json.loads(arguments.run.read_text())
    times = read_times(run)
    path = arguments.baseline or name_baseline(run["machine_info"])
    if arguments.save:
        lines = [f" {json.dumps(name)}: {json.dumps(times[name])}" for name in sorted(times)]
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
        print(f"wrote {path}")
        return 0
    if not path.exists():
        print(f"there is no baseline {path}; --save makes one", file=sys.stderr)
        return 2
    lines, n_slower = compare(times, json.loads(path.read_text()), arguments.threshold)
    print("\n".join(lines))
    print(f"{n_slower} of {len(times)} slower by more than {arguments.threshold}")
    return int(n_slower > 0)


if __name__ == "__main__":
    sys.exit(main())
