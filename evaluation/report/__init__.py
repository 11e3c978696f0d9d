"""The page of an evaluation (`write_report`) and the small pictures it shows (`views.write_view`)."""

from evaluation.report.page import write_report

__all__ = ["write_report"]
