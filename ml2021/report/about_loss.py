"""Pictures of the training loss over the parameters, with the way that training took down it."""

from ml2021.parameters import Parameter, ParameterNames
from ml2021.report.blocks import Block, Picture
from ml2021.report.material import Material, Terrain
from ml2021.surfaces.drawing import draw_curve, draw_surface, rows_text
from ml2021.surfaces.planes import named_plane, plane_of_the_way


def loss_pictures(material: Material) -> list[Block]:
    """Return the loss around the path of training, and of a line's two parameters over its slope.

    None where no path was kept, or where it would take long.
    """
    terrain = material.terrain
    if terrain is None:
        return []
    blocks: list[Block] = [_surface(material, terrain)]
    named = _weight_and_constant(material)
    if named:
        plane = named_plane(terrain.way, named[:1], material.model.network.layout)
        figure = draw_curve(material.model, terrain.way, plane, terrain.ground)
        caption = "The same over w alone. A step goes along the slope at its start; where it ends, "
        caption += "the curve may have turned."
        blocks.append(Picture("loss_curve", figure, caption))
    return blocks


def _surface(material: Material, terrain: Terrain) -> Picture:
    model, way, ground = material.model, terrain.way, terrain.ground
    named = _weight_and_constant(material)
    if named:
        plane = named_plane(way, named, model.network.layout)
        what = "over its two parameters"
    else:
        plane = plane_of_the_way(way, ground.downhill)
        what = f"in the plane in which the {model.network.layout.parameters:,} parameters moved "
        what += "most; start, end and best lie near it, and their losses are their own"
    caption = f"The loss on {rows_text(ground)}, {what}. The line is the way of training: from "
    caption += "the circle to the square; the star is kept."
    if len(model.theta) > 1:
        caption += " It is that of the first member."
    figure = draw_surface(model, way, plane, ground, terrain.settings)
    return Picture("loss_surface", figure, caption)


def _weight_and_constant(material: Material) -> list[Parameter]:
    """Return the parameters of a function that has no more than these two; none of another."""
    model = material.model
    layout = model.network.layout
    if layout.parameters != 2:
        return []
    names = ParameterNames(material.config.model.type, layout, model.preprocessing)
    return [names.at(0), names.at(1)]
