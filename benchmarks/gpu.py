"""Measure a GPU: one command of at most eight minutes, from a plain checkout.

    python benchmarks/gpu.py [--minutes 8] [--manifest synthetic] [--parts steps epoch] [--out FILE]
    python benchmarks/gpu.py --device cpu --tiny     # tries everything, in under two minutes

It needs the base installation of `pyproject.toml`, and nothing else; pytest for the tests, the
extra `media` for the extraction. Each part (`gpu_parts.py`) is a process of its own, so that what
breaks one, or takes too long, leaves the others alone. The file that is written, after each part,
says the machine, the date and every figure with its n and spread, and of a part that failed, why.
"""

import argparse
import datetime
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# Part -> its share of the time; what one leaves over is for those after it.
PARTS = {"tests": 1.6, "steps": 2.2, "epoch": 1.6, "precision": 1, "extraction": 0.8, "table": 3}
LEAST_SECONDS = 5  # in which a part can do something


def run_part(part: str, options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Run a part in a process of its own; returns what it found, also where it did not end well."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        command = [sys.executable, str(HERE / "gpu_parts.py"), part, str(file)]
        command += ["--device", options.device, "--manifest", options.manifest]
        command += ["--tiny"] if options.tiny else []
        paths = [str(HERE.parent), str(HERE), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        problem = None
        try:
            if code := process.wait(seconds):
                problem = f"ended with status {code}"
        except subprocess.TimeoutExpired:
            problem = f"stopped after {seconds:.0f} s; what it had found by then is kept"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # and what it had started
                process.wait()
        found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if problem and "error" not in found:
        found["error"] = problem
    return found


def write(file: Path, found: dict[str, Any]) -> None:
    """Write what was found, whole or not at all."""
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    partial.replace(file)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run the parts, one after another, and write what they found after each."""
    begun = time.monotonic()
    found: dict[str, Any] = {"date": datetime.date.today().isoformat(), "tiny": options.tiny}
    found |= {"device": options.device, "machine": "", "parts": {}, "left_out": []}
    for number, part in enumerate(options.parts):
        left = 60 * options.minutes - (time.monotonic() - begun)
        if left < LEAST_SECONDS:
            found["left_out"] = options.parts[number:]
            break
        seconds = left * PARTS[part] / sum(PARTS[each] for each in options.parts[number:])
        print(f"\n## {part}, at most {seconds:.0f} s\n", flush=True)
        started = time.monotonic()
        outcome = run_part(part, options, seconds)
        found["machine"] = outcome.pop("machine", found["machine"])
        found["parts"][part] = outcome | {"seconds": round(time.monotonic() - started, 1)}
        for key in ("skipped", "error"):
            if key in outcome:
                print(f"{part} {key}: {outcome[key]}", flush=True)
        found["seconds"] = round(time.monotonic() - begun, 1)
        write(options.out, found)
    write(options.out, found)
    return found


def main() -> int:
    """Measure, and sum up; 0 if all parts ran."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="sizes that mean nothing: a trial")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--manifest", default="synthetic", help="of Table 2 and of the precisions")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=[*PARTS])
    parser.add_argument("--out", type=Path, default=HERE / "gpu.json")
    options = parser.parse_args()
    if (file := Path(options.manifest)).is_file():
        options.manifest = str(file.resolve())
    found = measure(options)
    failed = [part for part, outcome in found["parts"].items() if "error" in outcome]
    figures = [each for outcome in found["parts"].values() for each in outcome.get("figures", ())]
    missed = [each["name"] for each in figures if each.get("met") is False]
    print(f"\n{options.out}, after {found.get('seconds', 0.0):.0f} s: {found['machine']}")
    print(f"targets missed: {'; '.join(missed) or 'none'}")
    print(f"parts that failed: {', '.join(failed) or 'none'}")
    print(f"parts left out for lack of time: {', '.join(found['left_out']) or 'none'}")
    return 1 if failed or found["left_out"] else 0


if __name__ == "__main__":
    sys.exit(main())
