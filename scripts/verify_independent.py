"""Check a gpuaccept record or certificate with the standard library and openssl alone, sharing no code with gpuaccept.

Usage: verify_independent.py [--allow-simulated] FILE [KEY.pub]. Judges the samples by docs/explanation/decision.md too.
Exit code: 0 accepted, 5 rejected, 3 not decided, 4 not valid, not agreed, or simulated and not allowed, 2 usage."""

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
from itertools import groupby, product
from pathlib import Path
from statistics import median, stdev
from typing import Any

KIND = b"application/vnd.in-toto+json"
PLACE = b'id="gpuaccept-record">\n'  # of the record in a page, once
GPU = re.compile("gpu/[0-9]+")
METRIC = {"kind": "read", "better": "neither", "subject": "gpu"}  # what a record leaves out is this
Verdicts = dict[str, dict[str, str]]  # limit id -> subject -> result
Visits = list[tuple[tuple[float, int, int], list[Any]]]  # (at_s, look, visit) and samples, in order


def main() -> int:
    names = [one for one in sys.argv[1:] if one != "--allow-simulated"]
    try:
        if len(names) not in (1, 2) or names[0][:1] == "-":
            raise OSError(0, __doc__, "usage")
        predicate = signed_predicate(*names)
        verdicts, not_in_plan, decision = Judge(predicate["evidence"]).judge()
        differences = compare(predicate["judgement"], verdicts, not_in_plan, decision)
    except OSError as error:  # a file that is not there, or openssl
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        print(f"not valid: {type(error).__name__}: {str(error)[:300]!a}")
        return 4
    print("\n".join(f"differ: {line!a}" for line in differences[:20]) or "agree: every verdict and the decision")
    print(f"{sum(map(len, verdicts.values()))} verdicts of {len(verdicts)} limits; decision: {decision}")
    return 4 if differences else {"accepted": 0, "rejected": 5}.get(decision, 3)


def strict_json(data: bytes) -> Any:
    once = lambda pairs: dict(pairs) if len(dict(pairs)) == len(pairs) else math.nan  # noqa: E731  dumps refuses NaN
    json.dumps(value := json.loads(data.decode("utf-8"), object_pairs_hook=once), allow_nan=False)
    return value


def signed_predicate(file: str, key: str = "") -> Any:  # prints a line for each signer
    raw = Path(file).read_bytes()
    given = openssl("pkey -pubin -outform DER -in key", {"key": Path(key).read_bytes()}) if key else b""
    data = raw if raw.startswith(b"{") else raw.split(PLACE)[1].split(b"\n</script>")[0]
    envelope = strict_json(data)
    predicate = (statement := strict_json(payload := base64.b64decode(envelope["payload"])))["predicate"]
    sigs = {one["keyid"]: base64.b64decode(one["sig"]) for one in envelope["signatures"]}
    listed = [{"keyid": keyid, "sig": base64.b64encode(sig).decode()} for keyid, sig in sigs.items()]
    only = {"payload": base64.b64encode(payload).decode(), "payloadType": KIND.decode(), "signatures": listed}
    if json.dumps(only, separators=(",", ":")).encode() != data or raw.count(PLACE) > 1:
        raise ValueError("the envelope is of another type, holds something else, or is not in its one spelling")
    signers = {base64.b64decode(one["spki"], validate=True): one["role"] for one in predicate["signers"]}
    if (key and given not in signers) or len(signers) != len(sigs):
        raise ValueError("no signature by the given key, or not one for each listed signer")
    for der, role in signers.items():
        keyid = hashlib.sha256(der).hexdigest()
        files = {"key": der, "sig": sigs[keyid], "message": b"DSSEv1 28 %s %d %s" % (KIND, len(payload), payload)}
        if not openssl("pkeyutl -verify -pubin -keyform DER -inkey key -rawin -in message -sigfile sig", files):
            raise ValueError(f"the signature by key sha256:{keyid} does not fit")
        origin = "the given key" if der == given else "A KEY THAT ONLY THE RECORD ITSELF NAMES: it proves no origin"
        print(f"signature: good, {role!a}, sha256:{keyid}, {origin}")
    simulated = predicate["evidence"]["simulated"] is not None
    print("SIMULATED: says nothing about any hardware" if simulated else "of real hardware")
    kind = f"urn:gpuaccept:{'simulated-' * simulated}record:v1"
    if statement["predicateType"] != kind or (simulated and "--allow-simulated" not in sys.argv):
        raise ValueError(f"the predicate type is not {kind}, or it is and --allow-simulated is missing")
    return predicate


def openssl(arguments: str, files: dict[str, bytes]) -> bytes:  # what it prints when it succeeds, else nothing
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
        stored_as = {verdict["subject"]: verdict["result"] for verdict in entry.get("missed", ())}
        if stored_as != missed or entry.get("passed", 0) != len(results) - len(missed):
            out.append(f"{entry['limit']}: recomputed {dict(Counter(results.values()))}")
    return out


class Judge:  # the rule of docs/explanation/decision.md, section by section
    def __init__(self, evidence: Any) -> None:
        self.evidence, self.plan, self.boots = evidence, evidence["plan"], evidence.get("boots", ())
        self.declared = {m["name"]: {**METRIC, **m} for check in evidence["checks"] for m in check["metrics"]}
        self.failures = [failure for step in evidence["steps"] for failure in step.get("failures", ())]
        joined: Any = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
        for column in evidence["columns"]:
            key = (column["at_s"], column.get("look", 1), column.get("visit", 1))
            subjects = self.expand(column["subjects"][0]) if len(column["subjects"]) == 1 else column["subjects"]
            every = column["samples"] * (len(subjects) if len(column["samples"]) == 1 else 1)
            for subject, samples in [one for one in zip(subjects, every, strict=True) if one[1]]:
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
        limits, lacking, verdicts, not_in_plan, conditions = self.cohort["limits"], self.lacking(), Verdicts(), [], []
        for limit in limits:
            name, effect = limit["metric"], limit.get("effect", "require")
            changes = self.declared.get(name, {}).get("kind") in ("difference", "rate")
            if {name.split(".")[0], "*"} & lacking:
                if effect != "observe":
                    verdicts[limit["id"]] = dict.fromkeys(self.subjects(limit, {}) or ["node"], "error")
            elif self.steps_of(name) and len(self.steps_of(name, 1)) >= 2 * changes:
                verdicts[limit["id"]] = self.results(limit) if name in self.declared else {"node": "error"}
            elif effect == "require":
                not_in_plan.append(limit["id"])
            missed = [one for one, result in verdicts.get(limit["id"], {"node": ""}).items() if result != "pass"]
            conditions += [(limit, missed, [set(GPU.findall(s)) for s in missed])] if effect == "valid" else []
        for condition, missed, touched in conditions:
            for pattern, limit in product(condition.get("valid_for", ()), limits):
                results = verdicts.get(limit["id"], {}) if limit is not condition and missed else {}
                for subject in [one for one in results if self.fits(pattern, limit["metric"], ".*")]:
                    mine = set(GPU.findall(subject))  # of two pairs, only the same pair is near
                    near = any(mine & gpus and (mine == gpus or 1 in (len(mine), len(gpus))) for gpus in touched)
                    if ("node" in (subject, *missed) or near) and results[subject] in ("pass", "fail"):
                        results[subject] = "inconclusive"
        require = [verdicts.get(one["id"], {}) for one in limits if one.get("effect", "require") == "require"]
        found = set().union(*(results.values() for results in require))
        decided = "accepted" if self.evidence["complete"] and found == {"pass"} else "not decided"
        return verdicts, not_in_plan, "rejected" if "fail" in found else decided

    def lacking(self) -> set[str]:  # checks that the run's plan does not have as the profile's has them; * for all
        spec, out = self.cohort["plans"].get(self.plan["name"]), set()
        pool = [{"state": "", **s, **s.get("parameters", {})} for s in self.plan["steps"] if s.get("look", 1) == 1]
        for step in spec["steps"] if spec else []:
            wanted = {"check": step["check"], "state": step.get("state", ""), **step.get("parameters", {})}
            fit = [one for one in pool if all(self.equal(one.get(name), value) for name, value in wanted.items())]
            pool.remove(fit[0]) if fit else out.add(step["check"])
        return out if spec else {"*"}

    def expand(self, subject: str) -> list[str]:
        form, ends = re.sub(r"0\.\.-?[0-9]+", "%d", subject), re.findall(r"0\.\.(-?[0-9]+)", subject)
        each = product(*(range(int(end) + 1) for end in ends))
        return [form % numbers for numbers in each if ">" not in subject or len({*numbers}) == len(ends)]

    def steps_of(self, name: str, look: int = 0) -> list[Any]:
        own = [s for s in self.plan["steps"] if s["check"] == name.split(".")[0] and look in (0, s.get("look", 1))]
        return [step for step in own if name in step.get("metrics", ())]

    def subjects(self, limit: Any, visits: dict[str, Visits]) -> list[str]:
        top = max([self.cohort["gpus"] - 1, *(gpu["index"] for gpu in self.evidence["node"]["gpus"])])
        one, links = f"gpu/0..{top}", self.cohort["links_per_gpu"] - 1
        forms = {"gpu": one, "link": f"{one}/link/0..{links}", "pair": f"{one}>{one}"}
        kind = self.declared.get(limit["metric"], {"subject": "0..-1"})["subject"]
        every = dict.fromkeys([*self.expand(forms.get(kind, kind)), *visits])
        return [one for one in every if (of := limit.get("subjects", "*")) == "*" or self.fits(of, one, "[^/]*")]

    def results(self, limit: Any) -> dict[str, str]:
        name, metric, visits = limit["metric"], self.declared[limit["metric"]], self.visits.get(limit["metric"], {})
        subjects, derived, kind = self.subjects(limit, visits), bool(metric.get("reduction")), metric["kind"]
        base = {"sampled": self.cohort["visits"], "difference": 2, "rate": 2}.get(kind, 1)
        planned = sum(name in step.get("metrics", ()) for step in self.plan["steps"])
        needed = 1 if derived else max([base, planned, *map(len, visits.values())])
        skipped = any(step.get("skip") for step in self.steps_of(name))
        early = kind in ("read", "counted") and {"minimum", "maximum", "equals", "one_of", "matrix"} & set(limit)
        miss = "inconclusive" if limit.get("missed") == "inconclusive" or limit.get("effect") == "valid" else "fail"
        failures = [one["subject"] for one in self.failures if one["metric"] in (name, name.split(".")[0] + ".*")]
        failed = {one for one in subjects if not {"node", one, *GPU.findall(one)}.isdisjoint(failures)}
        self.enough = [one for one, v in visits.items() if len(v) >= needed and not (derived and one in failed)]
        out = {}
        for subject in subjects:
            result = self.result(limit, subject, subjects) if visits.get(subject) else "error"
            if subject not in self.enough and not (early and result == "miss"):
                result = "skipped" if skipped and subject not in failed else "error"
            out[subject] = miss if result == "miss" else result
        return out or {"node": "error"}

    def result(self, limit: Any, subject: str, subjects: list[str]) -> str:
        readings, sampled = self.readings(name := limit["metric"], subject), self.declared[name]["kind"] == "sampled"
        if "matrix" in limit:
            row, word = (slice(int(number), int(number) + 1) for number in re.findall("[0-9]+", subject))
            limit = {"one_of": [one for words in limit["matrix"][row] for one in words.split()[word]]}
        if "max_deviation" in limit:
            return self.deviation(limit, subject, sampled)
        if sampled and {"minimum", "maximum"} & set(limit):
            return self.guarded(limit, self.visits[name][subject])
        if readings and (limit.get("uniform") or limit.get("unique")):
            read = {one: self.readings(name, one) for one in {*self.enough, subject} if one in subjects}
            if limit.get("unique"):
                return "miss" if any(set(readings) & set(read[one]) for one in read if one != subject) else "pass"
            votes = Counter(theirs[0] for theirs in read.values() if theirs).most_common(2)
            return "miss" if len({n for _, n in votes}) < len(votes) or set(readings) != {votes[0][0]} else "pass"
        met = [self.met(limit, value) for value in readings]
        return "miss" if False in met else "error" if None in met or not met else "pass"

    def readings(self, name: str, subject: str) -> list[Any]:  # what is judged, in order; empty where it is an error
        visits, kind = self.visits[name][subject], self.declared[name]["kind"]
        if kind == "sampled":
            return [median(median(samples) for _, samples in visits)]
        read = [sample for _, samples in visits for sample in samples]
        if kind == "read" or not all(isinstance(one, str) and re.fullmatch("-?[0-9]+", one) for one in read):
            return read if kind == "read" else []
        parts = groupby(visits, lambda visit: sum(boot["at_s"] <= visit[0][0] for boot in self.boots))
        windows = [[(max(map(int, x)), key[0]) for key, x in part] for _, part in parts]  # none reaches across a boot
        n, s = (sum(window[-1][i] - window[0][i] for window in windows) for i in (0, 1))
        fair = all(sorted(w) == w for w in windows) and max(map(len, windows)) > 1 and (kind != "rate" or s > 0)
        return list(map(int, read)) if kind == "counted" else [n * 3600 / s if kind == "rate" else n] if fair else []

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
        sign, dof = -1 if "maximum" in limit else 1, facts["visit"]["degrees_of_freedom"]
        sigma, bound = facts["visit"]["sigma_percent"] / 100, sign * limit.get("minimum", limit.get("maximum"))
        values = [(look, sign * median(samples)) for (_, look, _), samples in visits]
        y, k = median(v for _, v in values), student(dof, math.erfc(k / math.sqrt(2)) / 2) if dof < 30 else k
        a, b = 1.253 * sigma, facts.get("type_b_percent", 0.0) / 100
        u, u1 = (k * math.hypot(a / math.sqrt(n), b) for n in (len(values), 1))
        u, clear = u * abs(y), all(value - u1 * abs(value) >= bound for _, value in values)
        each = [[value for at, value in values if at == look] for look in {look for look, _ in values}]
        wild = [[stdev(one) > c * sigma * abs(median(one)) for one in each if len(one) > 1] for c in (3, 10)]
        noisy = bool(wild[0]) and (all(wild[1]) or (all(wild[0]) and not clear))
        missed = y + u < bound and (not noisy or all(value < bound for _, value in values))
        return "miss" if missed else "pass" if y - u >= bound and not noisy else "inconclusive"

    def deviation(self, limit: Any, subject: str, sampled: bool) -> str:
        name, visits, fresh = limit["metric"], self.visits[limit["metric"]], self.cohort["visits"]
        sigma, better = self.cohort["metrics"].get(name, {}).get("gpu"), self.declared[name]["better"]
        numbers = {s: median(n) for s in self.enough if (n := self.readings(name, s)) and str not in map(type, n)}
        allowed, first = limit["max_deviation"]["sigmas"], self.at(name, 1, 1) if sampled else numbers
        middle = median(first.values()) if len(first) >= 3 and sigma else 0
        if not middle or subject not in first:
            return "error"
        looks = [n for (_, n, _), _ in visits[subject] if sampled and n > 1 and subject in self.at(name, n, fresh)]
        again = self.at(name, max(looks), fresh) if looks else first
        last = median(again.values()) if len(again) >= 3 else middle
        d = [100 * (one - m) / m for one, m in ((first[subject], middle), (again[subject], last))]
        far = [{"higher": -x, "lower": x}.get(better, abs(x)) > allowed * sigma["sigma_percent"] for x in d]
        return "pass" if not all(far) else "miss" if looks or not sampled else "inconclusive"

    def at(self, name: str, look: int, least: int) -> dict[str, float]:
        of = {s: [median(x) for (_, at, _), x in self.visits[name][s] if at == look] for s in self.enough}
        return {s: median(values) for s, values in of.items() if len(values) >= least}

    def equal(self, value: Any, wanted: Any) -> bool | None:
        value = str(value) if isinstance(value, int) and isinstance(wanted, str) else value
        if isinstance(value, str | bool | None) or isinstance(wanted, str | bool):
            return bool(value == wanted) if type(value) is type(wanted) else None
        return bool(abs(value - wanted) <= 1e-9 * max(abs(value), abs(wanted)))

    def fits(self, pattern: str, text: str, star: str) -> bool:
        return re.fullmatch(star.join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


@cache
def student(dof: float, tail: float) -> float:
    """Student's t with this upper tail: incomplete beta by its series (DLMF 8.17.8), bisection, 6 decimals."""
    a, low, high = dof / 2, 0.5, 1e150
    scale = math.exp(math.lgamma(a + 0.5) - math.lgamma(a)) / math.sqrt(math.pi) / dof
    for _ in range(100):
        t, x, n, term, total = math.sqrt(low * high), dof / (dof + low * high), 0, 1.0, 1.0
        while term > 1e-17 * total:
            term *= (a + 0.5 + n) / (a + 1 + n) * x
            total, n = total + term, n + 1
        low, high = (t, high) if scale * x**a * math.sqrt(1 - x) * total > tail else (low, t)
    return round(low, 6)


if __name__ == "__main__":
    sys.exit(main())
