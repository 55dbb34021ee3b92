"""Measures the memory of `graft merge` and checks it: while it writes, anonymous memory (RssAnon) stays within --limit-mb.

Writing lasts from the first byte beside --out to the last; what follows is the proof, whose memory is reported apart. Pages of
mapped files, which the system takes back when it needs them, count as file memory. With --kill N it is also killed with SIGKILL
at N moments spread over its life, after each of which --out must be absent, or whole.

Usage: python tests/bench/merge_memory.py --model BASE --adapter A --out DIR|FILE [--kill 20] [-- further words of merge]
"""

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

STEP = 0.005  # seconds between samples


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graft", default=Path(__file__).resolve().parents[2] / "build" / "graft")
    parser.add_argument("--model", required=True)
    parser.add_argument("--adapter", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit-mb", type=float, default=500.0)
    parser.add_argument("--kill", type=int, default=0)
    parser.add_argument("words", nargs="*", help="of merge, after --")
    return parser.parse_args()


def start(arguments):
    command = [arguments.graft, "merge", "--model", arguments.model, "--adapter", arguments.adapter, "--out", arguments.out,
               *arguments.words]
    return subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def memory_of(pid):
    """RssAnon and VmRSS in bytes; nothing once the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon", "VmRSS"))}
    return (sizes["RssAnon"], sizes["VmRSS"]) if len(sizes) == 2 else None


def written(out):
    """Bytes at the target and in temporary files or folders beside it, but for golden.json, which follows the proof."""
    places = [out, *out.parent.glob(f".{out.name}.tmp-*")]
    total = 0
    for place in places:
        for file in place.rglob("*") if place.is_dir() else [place]:
            try:
                total += file.stat().st_size if file.is_file() and not file.name.endswith("golden.json") else 0
            except OSError:
                pass
    return total


def remove(path):
    for place in [path, *path.parent.glob(f".{path.name}.tmp-*")]:
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)


def digest(path):
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {str(file.relative_to(path)): hashlib.file_digest(file.open("rb"), "sha256").hexdigest() for file in files}


def sample(arguments):
    process = start(arguments)
    begin, samples = time.monotonic(), []
    while process.poll() is None:
        memory = memory_of(process.pid)
        if memory:
            samples.append((time.monotonic() - begin, *memory, written(arguments.out)))
        time.sleep(STEP)
    text = process.communicate()[0]
    if process.returncode != 0:
        sys.exit(text)
    return text.strip(), samples, time.monotonic() - begin


def report(arguments):
    text, samples, seconds = sample(arguments)
    last = next(time for time, _, _, size in samples if size == samples[-1][3])
    phases = {"writing": [s for s in samples if s[0] <= last], "proof": [s for s in samples if s[0] > last]}
    print(text)
    for name, part in phases.items():
        if part:
            print(f"{name}: {part[-1][0] - part[0][0]:.2f} s, anonymous memory at most {max(s[1] for s in part) / 1e6:.0f} MB, "
                  f"with the files' pages {max(s[2] for s in part) / 1e6:.0f} MB")
    peak = max(s[1] for s in phases["writing"]) / 1e6
    print(f"{samples[-1][3] / 1e6:.0f} MB written")
    if peak > arguments.limit_mb:
        sys.exit(f"while writing {peak:.0f} MB, want at most {arguments.limit_mb:.0f} MB")
    return seconds


def kill_often(arguments, seconds):
    whole = digest(arguments.out)
    for i in range(arguments.kill):
        remove(arguments.out)
        process = start(arguments)
        time.sleep(seconds * (i + 0.5) / arguments.kill)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        if arguments.out.exists() and digest(arguments.out) != whole:
            sys.exit(f"killed after {seconds * (i + 0.5) / arguments.kill:.2f} s: half of it is at {arguments.out}")
    print(f"killed {arguments.kill} times: absent or whole each time")


if __name__ == "__main__":
    given = parse()
    remove(given.out)
    duration = report(given)
    if given.kill:
        kill_often(given, duration)
    remove(given.out)
