"""Every key of every configuration: type, unit, range, default and meaning.

One file a command. Only `build_*` functions and scripts see these classes; everything else takes plain arguments.
"""

from configs.schema.align import AlignJob, AlignSection, SourceSection
from configs.schema.evaluation import EvalJob, EvalSet
from configs.schema.occlusion import (
    Generator,
    NatOccSection,
    OccluderSection,
    OcclusionJob,
    OcclusionSection,
    RandOccSection,
    WholeImageSection,
)
from configs.schema.shared import DataSection, FaceSection, PreparedSet
from configs.schema.training import (
    AugmentSection,
    LossSection,
    ModelSection,
    OptimiserSection,
    ScheduleSection,
    TrainJob,
    TrainSection,
    ValidationSection,
)

__all__ = [
    "AlignJob",
    "AlignSection",
    "AugmentSection",
    "DataSection",
    "EvalJob",
    "EvalSet",
    "FaceSection",
    "Generator",
    "LossSection",
    "ModelSection",
    "NatOccSection",
    "OccluderSection",
    "OcclusionJob",
    "OcclusionSection",
    "OptimiserSection",
    "PreparedSet",
    "RandOccSection",
    "ScheduleSection",
    "SourceSection",
    "TrainJob",
    "TrainSection",
    "ValidationSection",
    "WholeImageSection",
]
