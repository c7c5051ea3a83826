"""The templates of the page and of what lies over its pictures, compiled once: that takes longer
than filling them in."""

from functools import cache
from importlib.resources import files

from jinja2 import DictLoader, Environment, StrictUndefined, Template

from vfx_edge.outputs.report import colours
from vfx_edge.outputs.report.pictures import Picture


@cache
def template(name: str) -> Template:
    """The template in that file of templates/."""
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    folder = files("vfx_edge.outputs.report").joinpath("templates")
    texts = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}
    environment = Environment(loader=DictLoader(texts), autoescape=True, undefined=StrictUndefined)
    environment.globals.update(colours=colours, px=1)
    for name in texts:
        environment.get_template(name)
    return environment


def overlay(picture: Picture, pixel_mm: float) -> str:
    """What lies over the picture, as SVG in its millimetres. pixel_mm: a pixel's edge, the unit of
    the strokes."""
    return template("overlay.svg.j2").render(p=picture, px=pixel_mm)


def sign(status: str, ink: str, glyph: str) -> str:
    """A status' sign as SVG; its shape tells the status without colour."""
    return template("sign.svg.j2").render(status=status, ink=ink, glyph=glyph)
