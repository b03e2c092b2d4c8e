"""Every value that passes between the rooms of gpuaccept: frozen, typed, and with no behaviour of its own.

Data flows one way (see ARCHITECTURE.md): profile -> plan -> run -> evidence -> judgement -> record -> certificate.
All types are msgspec Structs that refuse unknown fields, so the same definitions validate profiles, decode records
and publish JSON Schemas. Times are seconds; bandwidth is GB/s (10^9 bytes a second); see docs/reference/vocabulary.md.
"""

from gpuaccept.data.base import Action as Action
from gpuaccept.data.base import Better as Better
from gpuaccept.data.base import Cause as Cause
from gpuaccept.data.base import Decision as Decision
from gpuaccept.data.base import Effect as Effect
from gpuaccept.data.base import Kind as Kind
from gpuaccept.data.base import MetricName as MetricName
from gpuaccept.data.base import Name as Name
from gpuaccept.data.base import Outcome as Outcome
from gpuaccept.data.base import Reduction as Reduction
from gpuaccept.data.base import Result as Result
from gpuaccept.data.base import Scalar as Scalar
from gpuaccept.data.base import Source as Source
from gpuaccept.data.base import SubjectKind as SubjectKind
from gpuaccept.data.base import Tails as Tails
from gpuaccept.data.base import Text as Text
from gpuaccept.data.base import Value as Value
from gpuaccept.data.evidence import Boot as Boot
from gpuaccept.data.evidence import CheckFacts as CheckFacts
from gpuaccept.data.evidence import Column as Column
from gpuaccept.data.evidence import Environment as Environment
from gpuaccept.data.evidence import Event as Event
from gpuaccept.data.evidence import Evidence as Evidence
from gpuaccept.data.evidence import Failure as Failure
from gpuaccept.data.evidence import MetricDeclaration as MetricDeclaration
from gpuaccept.data.evidence import Plan as Plan
from gpuaccept.data.evidence import PlannedStep as PlannedStep
from gpuaccept.data.evidence import SeriesEnvelope as SeriesEnvelope
from gpuaccept.data.evidence import SeriesGroup as SeriesGroup
from gpuaccept.data.evidence import SeriesSummary as SeriesSummary
from gpuaccept.data.evidence import StepRun as StepRun
from gpuaccept.data.judgement import Coverage as Coverage
from gpuaccept.data.judgement import Finding as Finding
from gpuaccept.data.judgement import Judged as Judged
from gpuaccept.data.judgement import Judgement as Judgement
from gpuaccept.data.judgement import Look as Look
from gpuaccept.data.judgement import Part as Part
from gpuaccept.data.judgement import Verdict as Verdict
from gpuaccept.data.node import UNKNOWN_COUNT as UNKNOWN_COUNT
from gpuaccept.data.node import GpuFacts as GpuFacts
from gpuaccept.data.node import KernelCode as KernelCode
from gpuaccept.data.node import NodeFacts as NodeFacts
from gpuaccept.data.node import Platform as Platform
from gpuaccept.data.node import Simulated as Simulated
from gpuaccept.data.profile import STARS_LIMIT as STARS_LIMIT
from gpuaccept.data.profile import Cohort as Cohort
from gpuaccept.data.profile import Deviation as Deviation
from gpuaccept.data.profile import Layer as Layer
from gpuaccept.data.profile import Limit as Limit
from gpuaccept.data.profile import MetricFacts as MetricFacts
from gpuaccept.data.profile import OtherCohort as OtherCohort
from gpuaccept.data.profile import PlanSpec as PlanSpec
from gpuaccept.data.profile import Profile as Profile
from gpuaccept.data.profile import Sigma as Sigma
from gpuaccept.data.profile import Step as Step
from gpuaccept.data.record import LedgerPosition as LedgerPosition
from gpuaccept.data.record import Predicate as Predicate
from gpuaccept.data.record import Signer as Signer
from gpuaccept.data.record import Statement as Statement
from gpuaccept.data.record import StatementSubject as StatementSubject
