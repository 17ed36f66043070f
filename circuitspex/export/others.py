"""The formats of what is not one circuit: comparisons, series of checkpoints, and drawings for dark pages."""

from __future__ import annotations

from circuitspex.circuits import formats


def register() -> None:
    """Add these formats. Each is loaded when it is first used."""
    from circuitspex.export import _later as later  # not above: the package registers these while it is imported

    comparison = {
        "json": later("compare_file", "write"),
        "csv": later("compare_file", "write_csv"),
        "html": later("compare_html", "write"),
        "svg": later("compare_figure", "write_svg"),
        "png": later("compare_figure", "write_png"),
        "pdf": later("compare_figure", "write_pdf"),
        "text": later("compare_text", "write"),
    }
    for form, write in comparison.items():
        formats.register_other("comparison", form, write=write)
    formats.register_other("comparison", "text", render=later("compare_text", "render"))
    formats.register_other("comparison", "html", render=later("compare_notebook", "render"))
    formats.register("comparison", read=later("compare_file", "read"))
    series = {
        "json": later("compare_file", "write_series"),
        "csv": later("compare_file", "write_series_csv"),
        "plot": later("series_figure", "write"),
        "text": later("compare_text", "write_series"),
    }
    for form, write in series.items():
        formats.register_other("series", form, write=write)
    formats.register_other("series", "text", render=later("compare_text", "render_series"))
    formats.register("series", read=later("compare_file", "read_series"))
    formats.register("svg-dark", write=later("figure", "write_svg_dark"))
    formats.register("png-dark", write=later("figure", "write_png_dark"))
