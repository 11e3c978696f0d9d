"""Every key of every configuration: type, unit, range, default and meaning.

One file a command. Only `build_*` functions and scripts see these classes; everything else takes plain arguments.
"""

from configs.schema.align import AlignJob, AlignSection, SourceSection
from configs.schema.evaluation import EvalJob, EvalSet
from configs.schema.eyewear import EyewearSection
from configs.schema.harmony import HarmonySection
from configs.schema.limb import LimbSection
from configs.schema.masks import MaskPolygonSection, MaskTemplateSection
from configs.schema.network import LossSection, ModelSection, loss_problem, size_problem
from configs.schema.occluder import NatOccSection, OccluderSection, PlacedSection, RandOccSection
from configs.schema.occlusion import CoverageSection, OcclusionJob, OcclusionSection, WholeImageSection
from configs.schema.pasting import HandPasteSection, PasteSection, PoolSection, RealSection
from configs.schema.shared import DataSection, FaceSection, PreparedSet
from configs.schema.table import (
    ColumnSection,
    EvaluationSection,
    PublishedSource,
    StepSection,
    TableJob,
    TableNetworkSection,
    TestSetSection,
    TrainingSetSection,
)
from configs.schema.training import (
    AugmentSection,
    OptimiserSection,
    ScenesSection,
    ScheduleSection,
    TrainJob,
    TrainSection,
    ValidationSection,
)

__all__ = [
    "AlignJob",
    "AlignSection",
    "AugmentSection",
    "ColumnSection",
    "CoverageSection",
    "DataSection",
    "EvalJob",
    "EvalSet",
    "EvaluationSection",
    "EyewearSection",
    "FaceSection",
    "HandPasteSection",
    "HarmonySection",
    "LimbSection",
    "LossSection",
    "MaskPolygonSection",
    "MaskTemplateSection",
    "ModelSection",
    "NatOccSection",
    "OccluderSection",
    "OcclusionJob",
    "OcclusionSection",
    "OptimiserSection",
    "PasteSection",
    "PlacedSection",
    "PoolSection",
    "PreparedSet",
    "PublishedSource",
    "RandOccSection",
    "RealSection",
    "ScenesSection",
    "ScheduleSection",
    "SourceSection",
    "StepSection",
    "TableJob",
    "TableNetworkSection",
    "TestSetSection",
    "TrainJob",
    "TrainSection",
    "TrainingSetSection",
    "ValidationSection",
    "WholeImageSection",
    "loss_problem",
    "size_problem",
]
