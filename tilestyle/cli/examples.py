"""Examples in `--help`, by command; "" is `tilestyle` itself. A test parses all of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A command line.

    Attributes:
        what: What it does, as a title.
        words: The words after `tilestyle`, without quotes or spaces in them.
    """

    what: str
    words: str


EXAMPLES: dict[str, tuple[Example, ...]] = {
    "again": (
        Example("The same picture, larger", "again result.png --size 4k"),
        Example("With less of the style", "again result.png --strength 0.3"),
    ),
    "": (
        Example("Repaint a photo", "render photo.jpg painting.jpg"),
        Example("Make a wall of fabric", "texture fabric.jpg -o wall.png --size 4000x3000"),
        Example("The same picture again, larger", "again photo-painting.png --size 4k"),
        Example("Try it with pictures that are included", "demo"),
    ),
    "render": (
        Example("Bigger strokes", "render photo.jpg painting.jpg --stroke 2%"),
        Example("More of the photo", "render photo.jpg painting.jpg --strength 0.3"),
        Example("A print", "render photo.jpg painting.jpg -o poster.tif --print 60x90cm"),
    ),
    "batch": (
        Example("All photos of a folder", "batch photos --style painting.jpg -o painted"),
        Example("Each photo in two styles", "batch photos --style swirls --style inkwash -o painted"),
        Example("How long it will take", "batch photos --style painting.jpg -o painted --dry-run"),
    ),
    "texture": (
        Example("A texture larger than its sample", "texture fabric.jpg -o wall.png --size 4000x3000"),
        Example("A tile that repeats without a seam", "texture fabric.jpg -o tile.png --tileable both"),
        Example("More of a texture that you made", "texture --like wall.png -o more.png --size 6000x3000"),
    ),
    "preview": (
        Example(
            "A poster before you render it", "preview photo.jpg --style painting.jpg -o look.png --print A1"
        ),
        Example("A detail, such as an eye", "preview photo.jpg --style painting.jpg -o look.png --at 0.4,0.3"),
        Example("Bigger strokes", "preview photo.jpg --style painting.jpg -o look.png --print A1 --stroke 8mm"),
    ),
    "paper": (
        Example(
            "A PDF for a print shop", "paper poster.tif --print 24x36in --bleed 3mm --profile press --marks"
        ),
        Example("A TIFF for a photo lab", "paper poster.png -o lab.tif --print 60x90cm --profile adobe-rgb"),
        Example("A canvas with mirrored edges", "paper poster.tif --print 60x90cm --wrap 4cm --edge mirror"),
        Example("A wall in panels", "paper poster.tif -o wall.tif --print 3x2m --panels 120cm"),
    ),
    "looks": (
        Example("Every look and style", "looks photo.jpg -o looks.jpg"),
        Example("One style in several strengths", "looks photo.jpg --style painting.jpg -o looks.jpg"),
        Example("Larger pictures", "looks photo.jpg -o looks.jpg --size 400"),
    ),
    "studio": (
        Example("Open it in your browser", "studio"),
        Example("Use it from a phone as well", "studio --host 0.0.0.0"),
        Example("Another folder, and at most 50 GB", "studio --root prints --storage 50GB"),
    ),
    "sheet": (
        Example("Photo, style and result", "sheet photo.jpg --style painting.jpg -o sheet.png"),
        Example(
            "Three strengths side by side",
            "sheet photo.jpg --style painting.jpg -o sheet.png --vary strength=0.3,0.5,0.7",
        ),
        Example(
            "Strengths across, stroke sizes down",
            "sheet photo.jpg --style painting.jpg -o sheet.png --vary strength=0.3,0.7 "
            "--vary style-scale=0.5,1",
        ),
    ),
    "drift": (
        Example("Two styles in turn", "drift photo.jpg --style a.jpg --style b.jpg -o drift"),
        Example("The same as a film", "drift photo.jpg --style a.jpg --style b.jpg -o drift --film drift.mp4"),
        Example("Keep more of the picture before", "drift photo.jpg --style a.jpg -o drift --strength 0.3"),
    ),
    "zoom": (
        Example("A film", "zoom painting.jpg -o zoom --film zoom.mp4"),
        Example("A film that starts again without a jump", "zoom painting.jpg -o zoom --loop --film zoom.mp4"),
        Example("Start from a photo", "zoom painting.jpg -o zoom --start photo.jpg --steps 200"),
    ),
    "upscale": (
        Example("Four times larger", "upscale small.png --reference similar.jpg -o large.png"),
        Example("Twice as large", "upscale small.png --reference similar.jpg -o large.png --factor 2"),
        Example(
            "Compare with other ways to enlarge",
            "upscale small.png --reference similar.jpg -o large.png --sheet compare.png",
        ),
    ),
    "video": (
        Example("Repaint a video", "video clip.mp4 --style painting.jpg -o painted.mp4"),
        Example("Smaller and faster", "video clip.mp4 --style painting.jpg -o painted.mp4 --size 640"),
        Example("More of the original", "video clip.mp4 --style painting.jpg -o painted.mp4 --strength 0.3"),
    ),
    "invert": (
        Example("What one layer sees", "invert photo.jpg -o seen.png --layer relu3_1"),
        Example("What two layers see together", "invert photo.jpg -o seen.png --layer relu2_1 --layer relu4_1"),
        Example("Another network", "invert photo.jpg -o seen.png --network vgg19 --layer relu4_1"),
    ),
    "resume": (Example("Continue a render that was stopped", "resume poster.tif.work"),),
    "info": (
        Example("This computer", "info"),
        Example("How a picture was made", "info poster.png"),
        Example("What a larger render of it would need", "info photo.jpg --size 8000"),
    ),
    "pictures": (
        Example("Names and credits", "pictures"),
        Example("Copies in a folder", "pictures --to pictures"),
    ),
    "presets": (
        Example("All presets", "presets"),
        Example("The settings of one, as a file to change", "presets gatys"),
    ),
    "demo": (Example("Larger pictures", "demo --out demo --size 1024"),),
    "help": (Example("The help of a command", "help render"),),
}
