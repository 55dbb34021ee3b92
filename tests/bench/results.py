"""What rounds come to: figures of a run, medians of rounds, the table, and the file that is kept."""
import datetime
import json
import os
import platform
import statistics
import subprocess

UNSTEADY = 0.10  # probes before and after a run that differ by more: the machine was not the same machine
CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_tile", "amx_bf16", "amx_int8")


def per_step(workload, run, steps):
    return [workload.tokens(i) / run.seconds[i] for i in steps]


def figures(workload, model, run, steps, before, after):
    """Of one run: medians over its measured steps; the rate is the mean of the probes around it."""
    rate = (before["step_shapes_tflops"] + after["step_shapes_tflops"]) / 2
    difference = abs(before["step_shapes_tflops"] - after["step_shapes_tflops"]) / rate
    flops = [workload.flops(i, model, run.adapter_parameters) / run.seconds[i] for i in steps]
    return {"tokens_per_second": statistics.median(per_step(workload, run, steps)),
            "loss_tokens_per_second": statistics.median(workload.targets(i) / run.seconds[i] for i in steps),
            "share_of_gemm": statistics.median(flops) / 1e12 / rate,
            "peak_rss_gb": run.peak_rss / 1e9, "first_step_seconds": run.first_step, "last_loss": run.losses[-1],
            "gemm_tflops": rate, "large_gemm_tflops": (before["large_tflops"] + after["large_tflops"]) / 2,
            "steady": difference <= UNSTEADY, "measured_steps": len(steps)}


def median_of(rows):
    """Of the steady rows, or of all where none is; `steady` becomes their count."""
    chosen = [row for row in rows if row["steady"]] or rows
    middle = {key: statistics.median(row[key] for row in chosen) for key in chosen[0] if key != "steady"}
    return {**middle, "steady": f"{sum(row['steady'] for row in rows)} of {len(rows)}"}


def ratio(workload, ours, theirs):
    """Median over rounds of ours / theirs, each over the steps that both measured. Pairs of (run, steps, row) per round."""
    values, steady = [], []
    for (run, steps, row), (other, other_steps, other_row) in zip(ours, theirs):
        common = [i for i in steps if i in other_steps] or list(other_steps)
        value = statistics.median(per_step(workload, run, common)) / statistics.median(per_step(workload, other, common))
        values.append(value)
        if row["steady"] and other_row["steady"]:
            steady.append(value)
    return {"median": statistics.median(steady or values), "rounds": values, "steady": f"{len(steady)} of {len(values)}"}


def table(report):
    lines = [f"{report['workload']}: {report['rows']} rows, {report['batch']} a step; median of {report['rounds']} rounds",
             f"{'':34}{'tok/s':>8}{'loss tok/s':>12}{'of GEMM':>9}{'GEMM TF':>9}{'large TF':>10}{'peak RSS':>11}{'first step':>12}"
             f"{'ratio':>8}  steady"]
    for side in report["sides"]:
        if "median" not in side:
            lines.append(f"{side['name'][:33]:34} failed: {side['error'].splitlines()[0]}")
            continue
        f, compared = side["median"], side.get("first_over_this")
        lines.append(f"{side['name'][:33]:34}{f['tokens_per_second']:8.0f}{f['loss_tokens_per_second']:12.0f}{f['share_of_gemm']:9.1%}"
                     f"{f['gemm_tflops']:9.2f}{f['large_gemm_tflops']:10.2f}{f['peak_rss_gb']:8.2f} GB{f['first_step_seconds']:10.2f} s"
                     f"{compared['median'] if compared else 1:8.2f}  {f['steady']}")
    lines.append("ratio: tokens/s of the first side over this side's, same steps, same round")
    return "\n".join(lines)


def start_up_table(rows):
    lines = ["exec to the end of a first step of 512 tokens, median, warm cache"]
    lines += [f"{row['name'][:33]:34}{row['seconds']:8.2f} s  ({row['base']})" for row in rows]
    return "\n".join(lines)


def attention_table(rows):
    lines = ["attention against SDPA, SmolLM2's heads, bf16: forward, and forward + backward",
             f"{'length':>8}{'ours ms':>10}{'sdpa ms':>10}{'ratio':>8}{'ours ms':>12}{'sdpa ms':>10}{'ratio':>8}{'of GEMM':>9}"]
    for r in rows:
        lines.append(f"{r['length']:8}{r['forward_ms']:10.2f}{r['sdpa_forward_ms']:10.2f}{r['sdpa_forward_ms'] / r['forward_ms']:8.2f}"
                     f"{r['both_ms']:12.2f}{r['sdpa_both_ms']:10.2f}{r['sdpa_both_ms'] / r['both_ms']:8.2f}{r['share_of_gemm']:9.1%}")
    return "\n".join(lines)


def machine():
    flags, name = set(), platform.processor() or platform.machine()
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() == "flags":
                flags = set(value.split())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": name, "cpus": len(os.sched_getaffinity(0)), "memory_gb": round(memory / 1e9, 1),
            "instructions": [flag for flag in CPU_FLAGS if flag in flags], "load_at_start": round(os.getloadavg()[0], 2)}


def commit(folder):
    def git(*words):
        return subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, check=False).stdout.strip()
    return {"commit": git("rev-parse", "--short=12", "HEAD") or "unknown", "changed_files": len(git("status", "--porcelain").splitlines())}


def keep(folder, label, document):
    """Writes DATE-COMMIT-LABEL.json. `document` has no host name and no absolute path in it."""
    os.makedirs(folder, exist_ok=True)
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M")
    path = os.path.join(folder, f"{stamp}-{document['commit']}-{label}.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(rounded(document), file, indent=1)
        file.write("\n")
    return path


def rounded(value):
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list) else value
