"""`python -m occlusion_gen CONFIG`: write an occluded data set; `browse`, `cutout` and `import` are other commands."""

from __future__ import annotations

import sys

from common.cli import add_config, add_processes, parse, parser, print_dry_run
from common.config import load_config
from common.errors import exit_on_user_error
from common.image_io import image_size
from common.jobs import claim_folder, run_job, write_report
from configs.schema import OcclusionJob
from occlusion_gen.commands import browse, cutout, import_
from occlusion_gen.offline import build_occluder, read_faces, source_digest, summarise, write_contact_sheet

COMMANDS = {"browse": browse.main, "cutout": cutout.main, "import": import_.main}

EXAMPLES = """  python -m occlusion_gen configs/sample/natocc.yaml
  python -m occlusion_gen configs/occlude/mix.yaml data.root=/data/celebamask_hq_mini
  python -m occlusion_gen configs/sample/natocc.yaml set=1 output=runs/sample/natocc_1   # another draw, same faces
  python -m occlusion_gen configs/occlude/mix.yaml shard=3/16   # a part; the command without it puts all together
  python -m occlusion_gen configs/occlude/mix.yaml engine=ray ray_address=auto

other commands, each with --help:
  python -m occlusion_gen browse CONFIG            a page of samples with their parameters
  python -m occlusion_gen cutout PHOTOS OUT        cut-outs from photos on a white background
  python -m occlusion_gen import LAYOUT SRC OUT    occluders from published data sets"""


@exit_on_user_error
def main() -> None:
    """Occlude every face of a prepared set; go on where an interrupted run stopped."""
    if len(sys.argv) > 1 and sys.argv[1] in COMMANDS:
        COMMANDS[sys.argv[1]](sys.argv[2:])
        return
    arguments = parser("Put occluders in front of aligned faces and write the occluded set.", EXAMPLES)
    add_config(arguments)
    add_processes(arguments)
    options = parse(arguments)
    job = load_config(options.config, OcclusionJob, options.overrides)
    records = read_faces(job)
    side_px = max(image_size(job.data.prepared / records[0].row["files"]["image"]))
    occluder = build_occluder(job, side_px=side_px)
    if options.dry_run:
        generators = ", ".join(job.occlusion.generators)
        print_dry_run(job, f"would occlude {len(records)} faces of {side_px} px with {generators} into {job.output}")
        return
    claim_folder(job.output, job)
    report = run_job(
        occluder,
        records,
        folder=job.output,
        title="occlude",
        processes=options.processes,
        engine=job.build_engine(processes=options.processes),
        shard=job.part(),
        max_failed_share=job.max_failed_share,
        source_digest=source_digest,
    )
    print(f"{report.outcomes} of {len(report.rows)} faces, {report.images_per_s:.1f} images/s")
    if job.part() is not None:
        print(f"part {job.shard} is done; when all are, run the command without shard")
        return
    path = write_report(job.output, report, **summarise(report.rows))
    sheet = write_contact_sheet(job.output, report.rows, job.face.policy())
    print(f"{path}\n{sheet}")


if __name__ == "__main__":
    main()
