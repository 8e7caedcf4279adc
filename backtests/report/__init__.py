"""The report: one self-contained HTML page of a run, its charts drawn as SVG by a small module of our own."""

from backtests.report.market import MarketSeries
from backtests.report.page import ReportInput, render

__all__ = ["MarketSeries", "ReportInput", "render"]
