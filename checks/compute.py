"""How fast every GPU multiplies matrices in each precision, and whether every element of the product is right.

Operands are small integers, so each partial sum is exact in any order: a product has one right answer, bit for bit.
TFLOP/s are 2 n^3 operations over GPU event time (TOP/s for int8). The figure is one of the library that ran, too.
"""

from typing import Annotated, get_args

from gpuaccept.check import Check, DeviceError, Meta, Metric, Node, Parameters, Precision, Visit, gpu_subject

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
NAMES = "|".join(PRECISIONS)


class Settings(Parameters, frozen=True, kw_only=True):
    """Products of `size` cubed; the passes of one timed span last 50 ms or so at the rate of a B200."""

    precisions: Annotated[str, Meta(pattern=f"^({NAMES})(,({NAMES}))*$")] = ",".join(PRECISIONS)
    size: Annotated[int, Meta(ge=256, le=65536)] = 8192
    passes: Annotated[int, Meta(ge=1, le=10000)] = 60
    repeats: Annotated[int, Meta(ge=3, le=100)] = 3


def measure(node: Node, visit: Visit) -> None:
    """Time each precision on every GPU; other operands in each repeat."""
    settings = visit.parameters
    assert isinstance(settings, Settings)
    wanted = asked(settings)
    for gpu in node.gpus:
        subject, wrong, seed = gpu_subject(gpu), 0, visit.seed
        implementations: set[str] = set()
        with visit.part(subject):
            failed: list[DeviceError] = []
            for precision in wanted:
                try:
                    spans = []
                    for _ in range(settings.repeats):
                        seed += 1
                        passes = _passes(settings, precision)
                        spans.append(node.gemm(gpu, precision, settings.size, passes, seed))
                except DeviceError as error:
                    with visit.part(subject, f"gemm_{precision}"):
                        failed.append(error)
                        raise
                    continue
                rates = [float(f"{span.operations / span.elapsed_ns * 1e-3:.5g}") for span in spans]
                visit.measured(f"gemm_{precision}", subject, *rates)
                wrong += sum(span.wrong_elements for span in spans)
                implementations |= {span.implementation for span in spans}
            if not implementations and failed:
                raise failed[0]
            visit.measured("wrong_elements", subject, wrong)
            visit.measured("implementation", subject, ", ".join(sorted(implementations)))


def asked(settings: Settings) -> tuple[Precision, ...]:
    """The precisions that were asked for, in the order of `PRECISIONS`."""
    names = settings.precisions.split(",")
    return tuple(precision for precision in PRECISIONS if precision in names)


def _passes(settings: Settings, precision: Precision) -> int:
    """Fewer of the slow precision, so that a span takes about as long."""
    return max(1, settings.passes // 20) if precision == "fp64" else settings.passes


def _groups(parameters: Parameters) -> frozenset[str]:
    assert isinstance(parameters, Settings)
    return frozenset(asked(parameters))


def _seconds(parameters: Parameters, gpus: int) -> float:
    assert isinstance(parameters, Settings)
    return 1.0 + len(asked(parameters)) * parameters.repeats * 0.08


CHECK = Check(
    name="compute",
    purpose="Matrix products in each precision: throughput, and every element of the results",
    scope="gpu",
    metrics=(
        *(
            Metric(
                f"gemm_{precision}",
                "TOP/s" if precision == "int8" else "TFLOP/s",
                f"Matrix product in {precision}",
                kind="sampled",
                better="higher",
                group=precision,
            )
            for precision in PRECISIONS
        ),
        Metric(
            "wrong_elements",
            "elements",
            "Elements of matrix products that are wrong",
            kind="counted",
            better="lower",
        ),
        Metric("implementation", "", "Library or kernel that multiplied"),
    ),
    measure=measure,
    parameters=Settings,
    seconds=_seconds,
    detects=("sm_silent_corruption",),
    groups=_groups,
)
