"""The engines' suites on the device: what must hold before any figure counts."""

from here import Here, xla_flags
from report import ROOT
from steps import Run, Step, call

# One after the other: a test may want the GPU for itself.
SUITE = ("--nocapture", "--test-threads=1")
LIMIT_S = 240


def on_a_gpu(it: Here) -> list[str]:
    return ["a dry run has no GPU"] if it.dry else []


def driver(run: Run) -> None:
    # The other tests of that program need a C compiler, and no GPU.
    words = [run.here.program("driver"), "the_driver_of_this_machine_opens", *SUITE]
    call(run, words, 60, run.here.environment(SALVER_TEST_GPU="1"), quiet=False)


def driver_lacks(it: Here) -> list[str]:
    return on_a_gpu(it) or it.lacks_program("driver")


def pjrt(run: Run) -> None:
    env = pjrt_environment(run.here)
    call(run, [run.here.program("pjrt-suite"), *SUITE], LIMIT_S, env, quiet=False)


def pjrt_environment(here: Here) -> dict[str, str]:
    """TF32 off, as far as it can be: in NVIDIA's libraries by their own switch, in XLA's kernels by a flag."""
    more = {} if here.dry else {"XLA_FLAGS": xla_flags(here.plugin), "NVIDIA_TF32_OVERRIDE": "0"}
    return here.environment(
        SALVER_TEST_PJRT_PLUGIN=str(here.plugin),
        SALVER_TEST_PJRT_DEVICE=here.device,
        SALVER_TEST_PJRT_FIXTURES=str(ROOT / "backends/pjrt/fixtures"),
        **more,
    )


def pjrt_lacks(it: Here) -> list[str]:
    plugin = [] if it.plugin else ["no xla_cuda_plugin.so: pip install jax-cuda13-pjrt, or --plugin FILE"]
    return it.lacks_program("pjrt-suite") + plugin


def onnxruntime(run: Run) -> None:
    env = run.here.environment(
        SALVER_TEST_GPU_LIBRARY=str(run.here.library),
        SALVER_TEST_FIXTURES=str(ROOT / "backends/api/fixtures"),
    )
    call(run, [run.here.program("onnxruntime-suite"), *SUITE], LIMIT_S, env, quiet=False)


def onnxruntime_lacks(it: Here) -> list[str]:
    needs = it.lacks_cuda("libcudart.so*", "libcublasLt.so*", "libcudnn.so*")
    return on_a_gpu(it) or it.lacks_program("onnxruntime-suite") + it.lacks_library() + needs


def candle(run: Run) -> None:
    env = run.here.environment(
        SALVER_TEST_GPU="1",
        SALVER_TEST_CANDLE_FIXTURES=str(ROOT / "backends/candle/fixtures"),
    )
    call(run, [run.here.program("candle-suite"), *SUITE], LIMIT_S, env, quiet=False)


def candle_lacks(it: Here) -> list[str]:
    if on_a_gpu(it):
        return on_a_gpu(it)
    program = [] if it.program("candle-suite") else ["no program candle-suite: make candle-cuda, then make test-gpu-prepare"]
    return program + it.lacks_cuda("libcublas.so.13", "libcurand.so.10")


STEPS = (
    Step("driver", "CUDA's driver", driver_lacks, driver),
    Step("pjrt", "PJRT's suite", pjrt_lacks, pjrt),
    Step("onnxruntime", "ONNX Runtime's suite", onnxruntime_lacks, onnxruntime),
    Step("candle", "candle's suite, beside the processor", candle_lacks, candle),
)
