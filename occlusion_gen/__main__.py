"""`python -m occlusion_gen CONFIG`: write an occluded data set."""

from __future__ import annotations

from common.cli import add_config, add_processes, parse, parser, print_dry_run
from common.config import load_config
from common.errors import exit_on_user_error
from common.image_io import image_size
from common.jobs import claim_folder, run_job, write_report
from common.manifest import read_samples
from configs.schema import OcclusionJob
from occlusion_gen.offline import FaceRecord, build_occluder, summarise, write_contact_sheet

EXAMPLES = """  python -m occlusion_gen configs/sample/natocc.yaml
  python -m occlusion_gen configs/mini/randocc.yaml data.root=/data/celebamask_hq_mini
  python -m occlusion_gen configs/sample/natocc.yaml set=1 output=runs/sample/natocc_1   # another draw, same faces"""


@exit_on_user_error
def main() -> None:
    """Occlude every face of a prepared set; go on where an interrupted run stopped."""
    arguments = parser("Put occluders in front of aligned faces and write the occluded set.", EXAMPLES)
    add_config(arguments)
    add_processes(arguments)
    options = parse(arguments)
    job = load_config(options.config, OcclusionJob, options.overrides)
    faces = read_samples(job.data.prepared, split=job.split)[: job.limit]
    records = [FaceRecord(id=row["id"], index=index, row=row) for index, row in enumerate(faces)]
    side_px = max(image_size(job.data.prepared / faces[0]["files"]["image"]))
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
        max_failed_share=job.max_failed_share,
    )
    path = write_report(job.output, report, **summarise(report.rows))
    sheet = write_contact_sheet(job.output, report.rows, job.face.policy())
    print(f"{report.outcomes} of {len(report.rows)} faces, {report.images_per_s:.1f} images/s\n{path}\n{sheet}")


if __name__ == "__main__":
    main()
