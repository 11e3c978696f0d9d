"""`python -m face_align CONFIG`: align a data set; `detect` and `restore` are commands of their own."""

from __future__ import annotations

import sys
from collections import Counter

from common.cli import add_config, add_processes, parse, parser, print_dry_run
from common.config import load_config
from common.errors import exit_on_user_error
from common.jobs import claim_folder, run_job, write_report
from configs.schema import AlignJob
from face_align import detect_photos, restore
from face_align.align import build_aligner
from face_align.report import summarise, write_contact_sheet, write_histograms
from face_align.sources import build_records

COMMANDS = {"detect": detect_photos.main, "restore": restore.main}

EXAMPLES = """  python -m face_align configs/sample/align.yaml
  python -m face_align configs/mini/align.yaml data.root=/data/celebamask_hq_mini
  python -m face_align configs/sample/align.yaml align.method=similarity5 output=runs/sample/similarity --dry-run

other commands, each with --help:
  python -m face_align detect INPUT OUT             landmarks for photos
  python -m face_align restore PREPARED MASKS OUT   masks of crops back in the photos"""


@exit_on_user_error
def main() -> None:
    """Align every photo of a data set; go on where an interrupted run stopped."""
    if len(sys.argv) > 1 and sys.argv[1] in COMMANDS:
        COMMANDS[sys.argv[1]](sys.argv[2:])
        return
    arguments = parser("Cut aligned faces and their label maps out of photos with landmarks.", EXAMPLES)
    add_config(arguments)
    add_processes(arguments)
    options = parse(arguments)
    job = load_config(options.config, AlignJob, options.overrides)
    aligner = build_aligner(job)
    records = build_records(job, aligner.landmarks)
    if options.dry_run:
        splits = dict(Counter(record.split for record in records))
        print_dry_run(job, f"would align {len(records)} photos {splits} into {job.output}")
        return
    claim_folder(job.output, job)
    report = run_job(
        aligner,
        records,
        folder=job.output,
        title="align",
        processes=options.processes,
        engine=job.build_engine(processes=options.processes),
        shard=job.part(),
        max_failed_share=job.max_failed_share,
        source_digest=aligner.source_digest,
    )
    print(f"{report.outcomes} of {len(report.rows)} photos, {report.images_per_s:.1f} images/s")
    if job.part() is not None:
        print(f"part {job.shard} is done; when all are, run the command without shard")
        return
    path = write_report(job.output, report, **summarise(report.rows))
    sheet = write_contact_sheet(job.output, report.rows, job.face.policy())
    page = write_histograms(job.output, report.rows)
    print("\n".join(str(written) for written in (path, sheet, page) if written is not None))


if __name__ == "__main__":
    main()
