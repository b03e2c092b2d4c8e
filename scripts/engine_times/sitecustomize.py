"""For `make bench` only: each process of a run writes what its time went into to $GPUACCEPT_TIMES, as it goes.

Python imports this by itself where this folder is on PYTHONPATH. It wraps functions from outside, so that gpuaccept
holds nothing for it: every driver call and wait of a worker, every step on both sides, every phase of the supervisor.
"""

import atexit
import importlib.abc
import json
import os
import sys
import time
from pathlib import Path

BORN = time.monotonic()
SPENT: dict[str, float] = {}
CPU: dict[str, float] = {}
STEPS: list[dict[str, object]] = []
PHASES = {
    "gpuaccept.device.nvidia.calls": {},
    "gpuaccept.device.nvidia.node": {"NvidiaNode.wait": "wait", "open_node": "open"},
    "gpuaccept.device.nvidia.timing": {"warm_up": "wait"},
    "gpuaccept.run.perform": {"perform": "steps"},
    "gpuaccept.run.loading": {"load_checks": "load checks"},
    "gpuaccept.run.journal": {"Journal._flush": "journal"},
    "gpuaccept.run.crew": {"Crew.open": "open", "Crew.perform": "steps", "Crew.close": "close"},
    "gpuaccept.profile.load": {"load_profile": "profile"},
    "gpuaccept.acceptance": {"judge": "judge", "check_request": "check request"},
    "gpuaccept.record.envelope": {"sign": "sign"},
    "gpuaccept.certificate.html": {"render": "render"},
    "gpuaccept.record.store": {"write_new": "write"},
}
OUTSIDE = ("driver", "wait")
"""What is not gpuaccept's own: the driver's calls, and waits that the method prescribes (clocks that rise, links that
train). One within the other counts once."""
_depth = dict.fromkeys({"driver", *(name for module in PHASES.values() for name in module.values())}, 0)


class _Driver:
    """pynvml or cuda.bindings.driver, whose functions are timed: what gpuaccept does around each call is its own."""

    def __init__(self, inner) -> None:  # type: ignore[no-untyped-def]
        self._inner = inner

    def __getattr__(self, name):  # type: ignore[no-untyped-def]
        found = getattr(self._inner, name)
        if name.startswith(("cu", "nvml")) and callable(found) and not isinstance(found, type):
            found = driver_call(found)  # type: ignore[no-untyped-call]
        setattr(self, name, found)
        return found


def driver_call(function):  # type: ignore[no-untyped-def]
    clock, cpu_clock, depth, spent, cpu = time.monotonic, time.thread_time, _depth, SPENT, CPU
    spent.setdefault("driver", 0.0)
    cpu.setdefault("driver", 0.0)

    def wrapper(*args):  # type: ignore[no-untyped-def]
        if depth["wait"]:
            return function(*args)
        began, before = clock(), cpu_clock()
        try:
            return function(*args)
        finally:
            spent["driver"] += clock() - began
            cpu["driver"] += cpu_clock() - before

    return wrapper


def timed(function, name):  # type: ignore[no-untyped-def]
    within = OUTSIDE if name in OUTSIDE else (name,)

    def wrapper(*args, **kwargs):  # type: ignore[no-untyped-def]
        nested = any(_depth[one] for one in within)
        _depth[name] += 1
        before = SPENT.get("driver", 0.0), SPENT.get("wait", 0.0)
        began, cpu = time.monotonic(), time.thread_time()
        try:
            return function(*args, **kwargs)
        finally:
            _depth[name] -= 1
            ended = time.monotonic()
            if not nested:
                SPENT[name] = SPENT.get(name, 0.0) + ended - began
                CPU[name] = CPU.get(name, 0.0) + time.thread_time() - cpu
                if name == "steps":
                    step = next(one for one in args if hasattr(one, "at_once"))
                    STEPS.append(
                        {
                            "check": " ".join([step.check, step.state, str(dict(step.parameters).get("paths", ""))]),
                            "at_once": step.at_once,
                            "began": began,
                            "ended": ended,
                            "driver": SPENT.get("driver", 0.0) - before[0],
                            "wait": SPENT.get("wait", 0.0) - before[1],
                        }
                    )

    return wrapper


def patch(module) -> None:  # type: ignore[no-untyped-def]
    if module.__name__ == "gpuaccept.device.nvidia.calls":
        begin = module.Cuda.__init__

        def init(self, pulse) -> None:  # type: ignore[no-untyped-def]
            begin(self, pulse)
            self.driver = _Driver(self.driver)

        module.Cuda.__init__ = init
        module.pynvml = _Driver(module.pynvml)
    for path, name in PHASES[module.__name__].items():
        *owner, last = path.split(".")
        holder = getattr(module, owner[0]) if owner else module
        setattr(holder, last, timed(getattr(holder, last), name))  # type: ignore[no-untyped-call]


class _Loader(importlib.abc.Loader):
    def __init__(self, inner) -> None:  # type: ignore[no-untyped-def]
        self.inner = inner

    def create_module(self, spec):  # type: ignore[no-untyped-def]
        return self.inner.create_module(spec)

    def exec_module(self, module) -> None:  # type: ignore[no-untyped-def]
        self.inner.exec_module(module)
        patch(module)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):  # type: ignore[no-untyped-def]
        if name not in PHASES:
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                spec.loader = _Loader(spec.loader)
                return spec
        return None


def dump(role: str) -> None:
    file = Path(os.environ["GPUACCEPT_TIMES"]) / f"{os.getpid()}.json"
    part = file.with_suffix(".part")
    own = time.process_time() - sum(CPU.get(name, 0.0) for name in OUTSIDE)
    part.write_text(json.dumps({"role": role, "born": BORN, "spent": SPENT, "steps": STEPS, "own_cpu": own}))
    part.replace(file)


def keep_dumping(role: str) -> None:  # what is killed at the end tells as it goes
    import threading

    def keep() -> None:
        while True:
            time.sleep(0.2)
            dump(role)

    threading.Thread(target=keep, daemon=True).start()


if os.environ.get("GPUACCEPT_TIMES"):
    sys.meta_path.insert(0, _Finder())
    if "gpuaccept.run.nursery" in sys.orig_argv:
        dump("nursery")
        os.register_at_fork(before=lambda: dump("nursery"), after_in_child=lambda: keep_dumping("worker"))
    else:
        atexit.register(dump, "supervisor")
