#!/usr/bin/env python3
"""What must hold on a machine with an NVIDIA GPU, and how fast it is there: CUDA's driver, the suites of ONNX Runtime,
PJRT and candle, and what each engine and the whole server do a second.

    make test-gpu-prepare                   where there is cargo: builds, and packs for another machine
    make test-gpu                           where there is a GPU: with what was prepared, or else built here
    loadtest/gpu/run.py --only driver pjrt  these steps; --steps lists them
    loadtest/gpu/run.py --device cpu        a dry run on the processor: tries the script, checks no GPU

Exit code 0: all that could be run passed, and something could. 77: nothing could; what is missing is printed. 1: something
failed, or there was no time for it. The report is also in $OUT/gpu-report.md, or target/gpu-report.md.

A machine without cargo gets the checkout and, one after the other if they are too large together, target/gpu/1,
target/gpu/2, …: run `make test-gpu` there each time, and it says what can be checked and what is still missing. Needed
there are NVIDIA's driver; for ONNX Runtime the CUDA and cuDNN libraries that it was built for (--cuda DIR, repeated; else
LD_LIBRARY_PATH, and those of the nvidia-* packages of this Python); for PJRT jax-cuda13-pjrt; for candle what
`make candle-cuda` has built; for figures numpy, onnx, onnxruntime and scikit-learn, with which their models are made.
"""

import argparse
import shutil
import sys
from pathlib import Path

import beside
import models
import prepare
import served
import speeds
from here import Here, look
from report import ROOT, Clock, Report, head
from steps import MEASURED, PASSED, Failed, Run, Step
from suites import STEPS as SUITES

SKIPPED = 77
# What holds before what is fast, and what there is a target for before what there is none for: time may run out.
STEPS: tuple[Step, ...] = (*SUITES, *models.STEPS, *served.STEPS, *beside.STEPS, *speeds.STEPS)


def main() -> int:
    options = arguments()
    if options.steps:
        print(*(f"{it.name:12} {it.title}" for it in STEPS), sep="\n")
        return 0
    if options.prepare:
        prepare.build(options.profile)
        prepare.carry(options.lib / "onnxruntime-gpu")
        return 0
    try:
        here = look(options)
    except ValueError as damaged:
        print(f"{damaged}: carry the packs again")
        return 1
    wanted = [it for it in STEPS if not options.only or it.name in options.only]
    if not here.gpus and not here.dry:
        return no_gpu(here, wanted)
    if may_build(here, options):
        prepare.build(options.profile)
        here = look(options)
    run = Run(here, Report(options.report), Clock(options.minutes), options.seconds, options.rounds)
    run.report.say(*head(here.device, here.gpus, here.origin))
    if here.dry:
        run.report.say("", "**A dry run on the processor: it tries this script, and says nothing of a GPU.**")
    results = {it.name: one(it, run) for it in wanted}
    return summary(run, wanted, results)


def may_build(here: Here, options: argparse.Namespace) -> bool:
    """A dry run takes what it is given."""
    prepared = any(it.is_dir() for it in here.folders)
    return not (prepared or here.dry or options.programs) and shutil.which("cargo") is not None


def no_gpu(here: Here, wanted: list[Step]) -> int:
    print("no GPU check was run: nvidia-smi shows no GPU; a machine with one, and NVIDIA's driver, is needed")
    lacks = {it.name: it.lacking(here) for it in wanted}
    missing = sorted({words for it in lacks.values() for words in it})
    if missing:
        print("there would also be missing:", *missing, sep="\n  ")
    return SKIPPED


def one(step: Step, run: Run) -> str:
    """What became of it, in words."""
    lacks = step.lacking(run.here)
    if lacks:
        return f"not checked: {'; '.join(lacks)}"
    if not run.clock.left():
        return f"not run: no time was left; --only {step.name} runs it alone"
    run.report.say("", f"## {step.title} on {run.here.device}", "")
    try:
        step.run(run)
    except Failed as fault:
        run.report.say("", f"{step.name}: failed: {fault}")
        return f"failed: {str(fault).splitlines()[0]}"
    run.report.say("", f"{step.name}: {step.well}")
    return step.well


def summary(run: Run, wanted: list[Step], results: dict[str, str]) -> int:
    run.report.table(f"In short, on {run.here.device}", "step", "result")
    for it in wanted:
        run.report.row(it.title, results[it.name].replace("|", "/"))
    run.report.say("", f"report: {run.report.path}")
    if any(it.startswith(("failed", "not run")) for it in results.values()):
        return 1
    if not {PASSED, MEASURED} & set(results.values()):
        run.report.say("NOTHING WAS CHECKED: this is no pass")
        return SKIPPED
    return 0


def absolute(path: str) -> Path:
    return Path(path).absolute()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[it.name for it in STEPS], metavar="STEP", default=[])
    parser.add_argument("--steps", action="store_true", help="list them")
    parser.add_argument("--minutes", type=float, default=9, help="after which nothing more is begun, and what runs is ended")
    parser.add_argument("--seconds", type=float, default=3, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="of what is compared")
    parser.add_argument("--device", choices=("cuda:0", "cpu"), default="cuda:0", help="cpu: a dry run")
    parser.add_argument("--library", type=absolute, help="ONNX Runtime's, with its parts for CUDA beside it")
    parser.add_argument("--plugin", type=absolute, help="PJRT's, such as xla_cuda_plugin.so")
    parser.add_argument("--cuda", type=absolute, action="append", default=[], help="a folder with CUDA's libraries")
    parser.add_argument("--programs", type=absolute, help="a folder with the programs")
    parser.add_argument("--report", type=absolute, help="where the report goes")
    parser.add_argument("--prepare", action="store_true", help="build and pack, and run nothing")
    parser.add_argument("--profile", default="release", help="cargo's, of the programs that measure")
    parser.add_argument("--lib", type=absolute, default=ROOT / ".lib", help="where fetched libraries are")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
