#!/usr/bin/env python3
"""Check a gpuaccept record or certificate with the standard library and openssl alone, sharing no code with gpuaccept.

Usage: verify_independent.py FILE [KEY.pub]

Verifies the DSSE signatures, judges the raw samples again by the rule in docs/explanation/decision.md, and compares
with the stored judgement. Exit code: 0 accepted, 5 rejected, 3 not decided, 4 not valid or in disagreement, 2 usage.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from statistics import median, stdev
from typing import Any

OPEN = b'<script type="application/vnd.gpuaccept.record+b64" id="gpuaccept-record">\n'
KIND = "application/vnd.in-toto+json"
Verdicts = dict[str, dict[str, str]]  # limit id -> subject -> result
Visits = list[tuple[tuple[float, int, int], list[Any]]]  # (at_s, look, visit) and samples, in order


def main() -> int:
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        predicate = signed_predicate(Path(sys.argv[1]).read_bytes(), sys.argv[2:])
        verdicts, not_in_plan, decision = Judge(predicate["evidence"]).judge()
        differences = compare(predicate["judgement"], verdicts, not_in_plan, decision)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError, RecursionError) as error:
        print(f"not valid: {type(error).__name__}: {str(error)[:300]!a}")
        return 4
    simulated = "" if predicate["evidence"]["simulated"] is None else "SIMULATED, says nothing about any hardware; "
    print("\n".join(f"differ: {line!a}" for line in differences[:20]) or "agree: every verdict and the decision")
    print(f"{simulated}{sum(map(len, verdicts.values()))} verdicts of {len(verdicts)} limits; decision: {decision}")
    return 4 if differences else {"accepted": 0, "rejected": 5}.get(decision, 3)


def strict_json(data: bytes) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key stands twice in one object")
        return dict(pairs)

    value = json.loads(data.decode("utf-8"), object_pairs_hook=unique)
    json.dumps(value, allow_nan=False)  # NaN, Infinity and 1e999 raise here
    return value


def signed_predicate(data: bytes, key_files: list[str]) -> Any:
    """The predicate that every listed signer signed; prints a line for each. Raises ValueError."""
    if not data.startswith(b"{"):
        if data.count(OPEN) != 1 or data.count(b'id="gpuaccept-record"') != 1:
            raise ValueError("neither a record nor a page with exactly one record")
        data = base64.b64decode(data.split(OPEN)[1].split(b"\n</script>")[0], validate=True)
    envelope = strict_json(data)
    payload = base64.b64decode(envelope["payload"], validate=True)
    predicate = strict_json(payload)["predicate"]
    message = b"DSSEv1 %d %s %d %s" % (len(KIND), KIND.encode(), len(payload), payload)
    signatures = {entry["keyid"]: base64.b64decode(entry["sig"], validate=True) for entry in envelope["signatures"]}
    signers = {base64.b64decode(one["spki"], validate=True): one["role"] for one in predicate["signers"]}
    given = [openssl(f"pkey -pubin -outform DER -in {Path(file).resolve()}", {}) for file in key_files]
    if envelope["payloadType"] != KIND or not len(signers) == len(signatures) == len(envelope["signatures"]) > 0:
        raise ValueError("another payload type, or signatures that are not one for each listed signer")
    if any(not key or key not in signers for key in given):
        raise ValueError(f"no signature is by the key in {key_files[0]}")
    for der, role in signers.items():
        keyid = hashlib.sha256(der).hexdigest()
        files = {"key": der, "sig": signatures[keyid], "message": message}
        if not openssl("pkeyutl -verify -pubin -keyform DER -inkey key -rawin -in message -sigfile sig", files):
            raise ValueError(f"the signature by key sha256:{keyid} does not fit")
        known = "the given key" if der in given else "A KEY THAT ONLY THE RECORD ITSELF NAMES: it proves no origin"
        print(f"signature: good, {role!a}, sha256:{keyid}, {known}")
    return predicate


def openssl(arguments: str, files: dict[str, bytes]) -> bytes:
    """What openssl prints when it succeeds, else nothing."""
    with tempfile.TemporaryDirectory() as name:
        for file, data in files.items():
            (Path(name) / file).write_bytes(data)
        done = subprocess.run(["openssl", *arguments.split(" ")], cwd=name, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else b""


def compare(stored: Any, verdicts: Verdicts, not_in_plan: list[str], decision: str) -> list[str]:
    out = [] if stored["decision"] == decision else [f"decision: stored {stored['decision']}, recomputed {decision}"]
    if list(stored["not_in_plan"]) != not_in_plan or [one["limit"] for one in stored["judged"]] != list(verdicts):
        out.append("which limits are judged")
    for entry in stored["judged"]:
        results = verdicts.get(entry["limit"], {})
        missed = {subject: result for subject, result in results.items() if result != "pass"}
        told = {verdict["subject"]: verdict["result"] for verdict in entry["missed"]}
        if told != missed or entry["passed"] != len(results) - len(missed):
            out.append(f"{entry['limit']}: recomputed {dict(Counter(results.values()))}")
    return out


class Judge:
    """The rule of docs/explanation/decision.md, section by section."""

    def __init__(self, evidence: Any) -> None:
        self.evidence, self.plan = evidence, evidence["plan"]
        self.declared = {metric["name"]: metric for check in evidence["checks"] for metric in check["metrics"]}
        self.failures = [failure for step in evidence["steps"] for failure in step.get("failures", ())]
        joined: Any = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
        for column in evidence["columns"]:
            key = (column["at_s"], column.get("look", 1), column["visit"])
            for subject, samples in zip(column["subjects"], column["samples"], strict=True):
                if samples:
                    joined[column["metric"]][subject][key] += samples
        self.visits: dict[str, dict[str, Visits]] = {}
        for name, of in joined.items():
            full = max(len(samples) for visits in of.values() for samples in visits.values())
            self.visits[name] = {s: sorted((k, x) for k, x in v.items() if len(x) == full) for s, v in of.items()}

    def judge(self) -> tuple[Verdicts, list[str], str]:
        ids = [gpu["pci_device_id"].upper() for gpu in self.evidence["node"]["gpus"]]
        fitting = [sum(one in c["pci_device_ids"] for one in ids) for c in self.evidence["profile"]["cohorts"]]
        self.cohort: Any = self.evidence["profile"]["cohorts"][fitting.index(max(fitting))]
        if ids and 2 * max(fitting) <= len(ids):
            return {"inventory.model": {"node": "fail"}}, [], "rejected"
        if not ids or self.cohort["name"] != self.plan["cohort"]:
            return {}, [], "not decided"
        lacking, verdicts, not_in_plan, conditions = self.lacking(), Verdicts(), [], []
        for limit in self.cohort["limits"]:
            name, effect, missed = limit["metric"], limit.get("effect", "require"), ["node"]
            if {name.split(".")[0], "*"} & lacking:
                if effect != "observe":
                    verdicts[limit["id"]] = dict.fromkeys(self.subjects(limit, {}) or ["node"], "error")
            elif self.planned(name):
                verdicts[limit["id"]] = self.results(limit) if name in self.declared else {"node": "error"}
            elif effect == "require":
                not_in_plan.append(limit["id"])
            if limit["id"] in verdicts:
                missed = [subject for subject, result in verdicts[limit["id"]].items() if result != "pass"]
            conditions += [(limit, missed)] if effect == "valid" else []
        for condition, missed in conditions:
            for limit in self.cohort["limits"]:
                if limit is not condition and any(
                    self.fits(one, limit["metric"]) for one in condition.get("valid_for", ())
                ):
                    for subject, result in verdicts.get(limit["id"], {}).items():
                        if result in ("pass", "fail") and any(self.related(subject, other) for other in missed):
                            verdicts[limit["id"]][subject] = "inconclusive"
        require = [limit["id"] for limit in self.cohort["limits"] if limit.get("effect", "require") == "require"]
        results = {result for name in require for result in verdicts.get(name, {}).values()}
        decided = "accepted" if self.evidence["complete"] and results == {"pass"} else "not decided"
        return verdicts, not_in_plan, "rejected" if "fail" in results else decided

    def lacking(self) -> set[str]:
        """Checks of the profile's plan that the run's plan does not have as the profile wants them; * for all."""
        spec = self.cohort["plans"].get(self.plan["name"])
        out, pool = set() if spec else {"*"}, [step for step in self.plan["steps"] if step.get("look", 1) == 1]
        for step in spec["steps"] if spec else []:
            wanted = {"check": step["check"], "state": step.get("state", ""), **step.get("parameters", {})}
            for planned in pool:
                has = {"check": planned["check"], "state": planned.get("state", ""), **planned.get("parameters", {})}
                if all(self.equal(has.get(name), value) for name, value in wanted.items()):
                    pool.remove(planned)
                    break
            else:
                out.add(step["check"])
        return out

    def steps_of(self, name: str) -> list[Any]:
        mine = [step for step in self.plan["steps"] if step["check"] == name.split(".")[0]]
        return [step for step in mine if name in step.get("metrics", ()) or not step.get("metrics")]

    def planned(self, name: str) -> bool:
        least = 2 if self.declared.get(name, {}).get("kind") in ("difference", "rate") else 0
        return name in self.plan["metrics"] and sum(s.get("look", 1) == 1 for s in self.steps_of(name)) >= least

    def subjects(self, limit: Any, visits: dict[str, Visits]) -> list[str]:
        if limit["metric"] not in self.declared:
            return []
        each = range(max([self.cohort["gpus"], *(gpu["index"] + 1 for gpu in self.evidence["node"]["gpus"])]))
        every = {
            "node": ["node"],
            "gpu": [f"gpu/{i}" for i in each],
            "link": [f"gpu/{i}/link/{j}" for i in each for j in range(self.cohort["links_per_gpu"])],
            "pair": [f"gpu/{i}>gpu/{j}" for i in each for j in each if i != j],
        }[self.declared[limit["metric"]]["subject"]]
        every += [subject for subject in visits if subject not in every]
        parts = limit.get("subjects", "*").split("/")
        split = [(subject, subject.split("/")) for subject in every]
        return [s for s, at in split if parts == ["*"] or (len(parts) == len(at) and all(map(self.fits, parts, at)))]

    def results(self, limit: Any) -> dict[str, str]:
        name, metric, visits = limit["metric"], self.declared[limit["metric"]], self.visits.get(limit["metric"], {})
        subjects, derived, kind = self.subjects(limit, visits), bool(metric.get("reduction")), metric["kind"]
        base = {"sampled": self.cohort["visits"], "difference": 2, "rate": 2}.get(kind, 1)
        planned = sum(name in step.get("metrics", ()) for step in self.plan["steps"])
        self.needed = 1 if derived else max([base, planned, *map(len, visits.values())])
        skipped = any(step.get("skip") for step in self.steps_of(name))
        early = kind in ("read", "counted") and {"minimum", "maximum", "equals", "one_of"} & set(limit)
        miss = "inconclusive" if limit.get("missed") == "inconclusive" or limit.get("effect") == "valid" else "fail"
        out = {}
        for subject in subjects:
            failed = any(self.concerns(failure, name, subject) for failure in self.failures)
            result = self.result(limit, subject, subjects) if visits.get(subject) else "error"
            if (len(visits.get(subject, ())) < self.needed or (derived and failed)) and not (
                early and result == "miss"
            ):
                result = "skipped" if skipped and not failed else "error"
            out[subject] = miss if result == "miss" else result
        return out or {"node": "error"}

    def result(self, limit: Any, subject: str, subjects: list[str]) -> str:
        name = limit["metric"]
        readings, sampled = self.readings(name, subject), self.declared[name]["kind"] == "sampled"
        if "max_deviation" in limit:
            return self.deviation(limit, subject, sampled)
        if sampled and {"minimum", "maximum"} & set(limit):
            return self.guarded(limit, self.visits[name][subject])
        if readings and (limit.get("uniform") or limit.get("unique")):
            known = [one for one in subjects if len(self.visits[name].get(one, ())) >= self.needed or one == subject]
            read = {one: self.readings(name, one) for one in known}
            if limit.get("unique"):
                return "miss" if any(set(readings) & set(read[one]) for one in known if one != subject) else "pass"
            votes = Counter(theirs[0] for theirs in read.values() if theirs).most_common(2)
            tie = len(votes) == 2 and votes[0][1] == votes[1][1]
            return "miss" if tie or set(readings) != {votes[0][0]} else "pass"
        met = [self.met(limit, value) for value in readings]
        return "miss" if False in met else "error" if None in met or not met else "pass"

    def readings(self, name: str, subject: str) -> list[Any]:
        """What is judged of a subject, in order; empty where it is an error."""
        visits, kind = self.visits[name][subject], self.declared[name]["kind"]
        if kind == "sampled":
            return [median(median(samples) for _, samples in visits)]
        read = [sample for _, samples in visits for sample in samples]
        if kind == "read" or not all(isinstance(one, str) and re.fullmatch("-?[0-9]+", one) for one in read):
            return read if kind == "read" else []
        largest, hours = [max(map(int, x)) for _, x in visits], (visits[-1][0][0] - visits[0][0][0]) / 3600
        if kind == "counted" or largest != sorted(largest) or (kind == "rate" and hours <= 0):
            return [int(one) for one in read] if kind == "counted" else []
        return [(largest[-1] - largest[0]) / hours if kind == "rate" else largest[-1] - largest[0]]

    def met(self, limit: Any, value: Any) -> bool | None:
        if {"minimum", "maximum"} & set(limit):
            low, high = limit.get("minimum", -math.inf), limit.get("maximum", math.inf)
            return None if isinstance(value, str) else bool(low <= value <= high)
        same = [self.equal(value, one) for one in limit.get("one_of", [limit.get("equals")])]
        return True if True in same else False if False in same else None

    def guarded(self, limit: Any, visits: Visits) -> str:
        facts, k = self.cohort["metrics"].get(limit["metric"], {}), self.cohort["coverage_factor"]
        if not facts.get("visit"):
            return "error"
        sign, dof, s = -1 if "maximum" in limit else 1, facts["visit"]["degrees_of_freedom"], facts["visit"]
        sigma, bound = s["sigma_percent"] / 100, sign * limit.get("minimum", limit.get("maximum"))
        values = [(look, sign * median(samples)) for (_, look, _), samples in visits]
        y, looks = median(value for _, value in values), {look for look, _ in values}
        k = student(dof, math.erfc(k / math.sqrt(2)) / 2) if dof < 30 else k
        u = k * math.hypot(1.253 * sigma * y / math.sqrt(len(values)), facts.get("type_b_percent", 0.0) / 100 * y)
        each = [[value for at, value in values if at == look] for look in looks]
        scatters = [stdev(one) > 3 * sigma * abs(median(one)) for one in each if len(one) > 1]
        noisy = bool(scatters) and all(scatters)
        if y + u < bound and (not noisy or all(value < bound for _, value in values)):
            return "miss"
        return "pass" if y - u >= bound and not noisy else "inconclusive"

    def deviation(self, limit: Any, subject: str, sampled: bool) -> str:
        name, visits, fresh = limit["metric"], self.visits[limit["metric"]], self.cohort["visits"]
        sigma, better = self.cohort["metrics"].get(name, {}).get("gpu"), self.declared[name]["better"]
        enough = [one for one in visits if len(visits[one]) >= self.needed]

        def at(look: int, least: int) -> dict[str, float]:
            of = {s: [median(x) for (_, at, _), x in visits[s] if at == look] for s in enough}
            return {s: median(values) for s, values in of.items() if len(values) >= least}

        def outside(value: float, middle: float) -> bool:
            d = 100 * (value - middle) / middle
            bad = {"higher": -d, "lower": d}.get(better, abs(d))
            return bool(bad > limit["max_deviation"]["sigmas"] * sigma["sigma_percent"])

        read = {} if sampled else {one: self.readings(name, one) for one in enough}
        numbers = {s: median(n) for s, n in read.items() if n and not any(isinstance(one, str) for one in n)}
        first = at(1, 1) if sampled else numbers
        middle = median(first.values()) if len(first) >= 3 and sigma else 0
        if not middle or subject not in first:
            return "error"
        if not sampled or not outside(first[subject], middle):
            return "miss" if outside(first[subject], middle) else "pass"
        looks = [look for (_, look, _), _ in visits[subject] if look > 1 and subject in at(look, fresh)]
        again = at(max(looks), fresh) if looks else {}
        middle = median(again.values()) if len(again) >= 3 else middle
        return "inconclusive" if not looks else "miss" if outside(again[subject], middle) else "pass"

    def equal(self, value: Any, wanted: Any) -> bool | None:
        if isinstance(value, int) and isinstance(wanted, str):
            return str(value) == wanted
        if isinstance(value, str | bool | None) or isinstance(wanted, str | bool):
            return bool(value == wanted) if type(value) is type(wanted) else None
        return bool(abs(value - wanted) <= 1e-9 * max(abs(value), abs(wanted)))

    def fits(self, pattern: str, text: str) -> bool:
        return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None

    def related(self, one: str, other: str) -> bool:
        shared = set(re.findall("gpu/([0-9]+)", one)) & set(re.findall("gpu/([0-9]+)", other))
        return "node" in (one, other) or bool(shared)

    def concerns(self, failure: Any, name: str, subject: str) -> bool:
        at, whole_gpu = failure["subject"], re.fullmatch("gpu/[0-9]+", failure["subject"])
        place = at in ("node", subject) or (whole_gpu and subject != "node" and self.related(at, subject))
        return bool(place) and failure["metric"] in (name, name.split(".")[0] + ".*")


@cache
def student(dof: float, tail: float) -> float:
    """Student's t with this upper tail: incomplete beta by its series (DLMF 8.17.8), bisection, 6 decimals."""

    def above(t: float) -> float:
        x, a, n, term, total = dof / (dof + t * t), dof / 2, 0, 1.0, 1.0
        while term > 1e-17 * total:
            term *= (a + 0.5 + n) / (a + 1 + n) * x
            total, n = total + term, n + 1
        scale = math.lgamma(a + 0.5) - math.lgamma(a) - math.lgamma(0.5) + a * math.log(x) + math.log(1 - x) / 2
        return 0.5 * math.exp(scale) / a * total

    low, high = 0.5, 1e6
    for _ in range(100):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if above(middle) > tail else (low, middle)
    return round(low, 6)


if __name__ == "__main__":
    sys.exit(main())
