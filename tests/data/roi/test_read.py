"""Areas from masks, JSON and the files of labeling tools; what is not understood is refused."""

import json

import cv2
import numpy as np
import pytest

from edgeseg.data.images import write_png
from edgeseg.data.roi.read import check_resolved, read_roi
from edgeseg.errors import ConfigError, DataError
from tests.kit.errors import fails
from tests.kit.rois import make_roi

SIZE = (60, 80)
SQUARE = [[10, 20], [30, 20], [30, 40], [10, 40]]
FLAT = [number for corner in SQUARE for number in corner]


def square():
    mask = np.zeros(SIZE, bool)
    mask[20:40, 10:30] = True
    return mask


def write_mask(path, mask=None):
    write_png(path, np.where(square() if mask is None else mask, 255, 0).astype(np.uint8))
    return path


def write_json(path, document):
    path.write_text(json.dumps(document))
    return path


def own(**more):
    return {"size": [80, 60], "rois": {"cap": [SQUARE]}} | more


def labelme(**changes):
    shape = {"label": "cap", "points": SQUARE, "shape_type": "polygon", "flags": {}} | changes
    return {"version": "5", "imageWidth": 80, "imageHeight": 60, "shapes": [shape]}


def coco(**changes):
    annotation = {"id": 1, "category_id": 7, "segmentation": [FLAT], "bbox": [10, 20, 20, 20]}
    return {
        "images": [{"id": 1, "width": 80, "height": 60, "file_name": "a.png"}],
        "categories": [{"id": 7, "name": "cap"}],
        "annotations": [annotation | changes],
    }


def cvat(shape, images=1):
    image = f'<image id="0" name="a.png" width="80" height="60">{shape}</image>'
    return f"<annotations><version>1.1</version>{image * images}</annotations>"


POLYGON = '<polygon label="cap" points="10,20;30,20;30,40;10,40" occluded="0"/>'
BOX = '<box label="cap" xtl="10" ytl="20" xbr="30" ybr="40"/>'


def counts():
    """The square, column by column: outside, inside, outside, ..."""
    flat, found, value = square().T.ravel(), [], False
    start = 0
    for place in range(1, flat.size + 1):
        if place == flat.size or flat[place] != value:
            found.append(place - start)
            start, value = place, not value
    return found


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("own.json", own()),
        ("labelme.json", labelme()),
        ("box.json", labelme(points=[[10, 20], [30, 40]], shape_type="rectangle")),
        ("coco.json", coco()),
        ("coco-box.json", coco(segmentation=[])),
        ("coco-counts.json", coco(segmentation={"counts": counts(), "size": [60, 80]})),
        ("cvat.xml", cvat(POLYGON)),
        ("cvat-box.xml", cvat(BOX)),
    ],
)
def test_every_form_gives_the_same_pixels(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    roi = read_roi(path, None, SIZE)
    assert roi.names == ("cap",) and roi.picture == SIZE
    np.testing.assert_array_equal(roi.inside(SIZE), square())


def test_a_mask_has_the_name_of_its_file_and_a_folder_has_several(tmp_path):
    np.testing.assert_array_equal(
        read_roi(write_mask(tmp_path / "masks" / "cap.png"), None, SIZE).inside(SIZE), square()
    )
    write_mask(tmp_path / "masks" / "thread.png", np.roll(square(), 40, axis=1))
    assert read_roi(tmp_path / "masks", None, SIZE).names == ("cap", "thread")


def test_what_a_card_holds_can_be_read_again(tmp_path):
    roi = make_roi(SIZE, ignored=[(0, 0, 5, 5)], cap=(1, 2, 30, 40))
    document = {"picture": SIZE, "areas": [], "ignored": []}
    for key in ("areas", "ignored"):
        document[key] = [{"name": a.name, "rings": a.rings} for a in getattr(roi, key)]
    assert read_roi(write_json(tmp_path / "roi.json", document), None, SIZE) == roi


def test_ignored_areas_come_from_a_file_of_their_own_or_a_label(tmp_path):
    hole = np.zeros(SIZE, bool)
    hole[25:30, 15:20] = True
    ignore = write_mask(tmp_path / "logo.png", hole)
    path = write_mask(tmp_path / "cap.png")
    expected = square() & ~hole
    np.testing.assert_array_equal(read_roi(path, ignore, SIZE).inside(SIZE), expected)
    alone = read_roi(None, ignore, SIZE)
    np.testing.assert_array_equal(alone.inside(SIZE), ~hole)
    labels = own(ignore=[[[15, 25], [20, 25], [20, 30], [15, 30]]])
    path = write_json(tmp_path / "a.json", labels)
    np.testing.assert_array_equal(read_roi(path, None, SIZE).inside(SIZE), expected)
    document = labelme()
    document["shapes"].append({"label": "Ignore", "points": labels["ignore"][0]})
    path = write_json(tmp_path / "b.json", document)
    np.testing.assert_array_equal(read_roi(path, None, SIZE).inside(SIZE), expected)


def test_nothing_is_given():
    assert read_roi(None, None) is None


def test_a_circle_of_labelme(tmp_path):
    document = labelme(points=[[40, 30], [40, 50]], shape_type="circle")
    inside = read_roi(write_json(tmp_path / "a.json", document), None, SIZE).inside(SIZE)
    assert inside.sum() == pytest.approx(np.pi * 20**2, rel=0.01)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "JSON"),
        ("[1]", "not an object"),
        (own(more=1), "unknown"),
        (own(rois={"cap": [[[1, 2], [3, 4]]]}), "2 corners"),
        (own(rois={"cap": [[[1, 2], [3, "x"], [5, 6]]]}), "a number"),
        (own(rois={"a/b": [SQUARE]}), "plain name"),
        (own(rois={"cap": [[[1, 2], [3, 99], [5, 6]]]}), "outside of its 80 x 60"),
        (labelme(shape_type="line"), "'line' is not read"),
        (coco() | {"images": []}, "0 images"),
        (coco(segmentation={"counts": "abc", "size": [60, 80]}), "compressed"),
        (coco(segmentation={"counts": [10**12], "size": [60, 80]}), "do not add up"),
        (coco(segmentation=[FLAT[:-1]]), "odd number"),
        (coco(category_id=8), "missing 8"),
        ('{"size": [80, 60], "rois": {"a": [], "a": []}}', "'a' is there more than once"),
        (own(rois={"a": [], "cap": [SQUARE]}), "the ROI a has no polygon"),
        (own(rois={"cap": [SQUARE + SQUARE]}), "crosses itself"),
        (own(rois={"\ud800": [SQUARE]}), "cannot be shown"),
        ({"picture": SIZE, "areas": [{"name": "cap", "rings": []}]}, "cap has no pixel"),
        ({"picture": SIZE, "areas": [{"name": "cap", "rings": [[[1, 2]]]}]}, "1 corners"),
        (coco(image_id=2), "another image"),
        (coco(segmentation=[], bbox=[30, 40, -20, -20]), "a box of -20 x -20"),
        (coco(segmentation={"counts": [80 * 60], "size": [60, 80]}), "cap has no pixel"),
        (coco() | {"categories": [{"id": 7, "name": None}]}, "name is None"),
        (coco() | {"annotations": ["a"]}, "AttributeError"),
    ],
)
def test_json_that_is_not_understood_is_refused(tmp_path, content, words):
    path = tmp_path / "a.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with fails(DataError, "data/roi") as caught:
        read_roi(path, None, SIZE)
    assert words in caught.value.problem


@pytest.mark.parametrize("turns", [1, 2])
def test_a_star_is_refused_where_its_middle_may_be_inside_or_not(tmp_path, turns):
    angles = 2 * np.pi * turns * np.arange(5) / 5
    star = np.stack([40 + 20 * np.sin(angles), 30 + 20 * np.cos(angles)], axis=1).tolist()
    path = write_json(tmp_path / "a.json", own(rois={"star": [star]}))
    if turns == 1:
        area = 5 / 2 * 20**2 * np.sin(2 * np.pi / 5)  # of a pentagon
        inside = read_roi(path, None, SIZE).inside(SIZE)
        assert inside.sum() == pytest.approx(area, rel=0.02)
        return
    with fails(DataError, "data/roi") as caught:
        read_roi(path, None, SIZE)
    assert "the outline of star crosses itself" in caught.value.problem


def test_json_with_a_mark_at_its_begin_is_read(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(own()), encoding="utf-8-sig")
    assert read_roi(tmp_path / "a.json", None, SIZE).names == ("cap",)


@pytest.mark.parametrize(("outside", "inside"), [(100, 255), (1, 2)])
def test_a_mask_that_is_inside_for_two_reasons_is_refused(tmp_path, outside, inside):
    values = np.where(square(), inside, outside).astype(np.uint8)
    write_png(tmp_path / "a.png", values)
    with fails(DataError, "data/roi") as caught:
        read_roi(tmp_path / "a.png", None, SIZE)
    assert f"where its value is {outside} and where it is {inside}" in caught.value.problem


def test_a_photo_in_place_of_a_mask_is_refused(tmp_path):
    noise = np.random.default_rng(0).normal(0, 8, (*SIZE, 3))
    photo = np.where(square()[..., None], 180, 60) + noise  # a light part on a dark belt
    write_png(tmp_path / "a.png", photo.clip(0, 255).astype(np.uint8))
    with fails(DataError, "data/roi") as caught:
        read_roi(tmp_path / "a.png", None, SIZE)
    assert "as many gray levels as a photo" in caught.value.problem


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_mask_with_soft_edges_is_read(tmp_path, suffix):
    mask = cv2.GaussianBlur(np.where(square(), 255, 0).astype(np.uint8), (3, 3), 0)
    cv2.imwrite(str(tmp_path / f"cap{suffix}"), mask)
    inside = read_roi(tmp_path / f"cap{suffix}", None, SIZE).inside(SIZE)
    assert (inside != square()).mean() < 0.01


def test_what_is_inspected_is_logged(tmp_path, said, monkeypatch):
    monkeypatch.setattr("edgeseg.log._logged", set())  # of tests before
    read_roi(write_mask(tmp_path / "cap.png"), None, SIZE)
    assert said == ["inspected: 8.33 % of the picture: cap"]
    read_roi(None, write_mask(tmp_path / "logo.png"), SIZE)
    assert said[1:] == ["inspected: 91.7 % of the picture"]


def test_files_of_areas_in_a_folder_are_read_with_its_masks(tmp_path):
    write_mask(tmp_path / "cap.png")
    thread = own(rois={"thread": [[[50, 20], [60, 20], [60, 40]]]})
    write_json(tmp_path / "more.json", thread)
    assert read_roi(tmp_path, None, SIZE).names == ("cap", "thread")


def test_counts_of_a_picture_beyond_the_limit_are_refused_before_memory_is_taken(tmp_path):
    document = coco(segmentation={"counts": [65536 * 65535, 65536], "size": [65536, 65536]})
    document["images"][0] |= {"width": 65536, "height": 65536}
    with fails(ConfigError, "config/limit"):
        read_roi(write_json(tmp_path / "a.json", document), None)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("<annotations>", "ParseError"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', "document type"),
        ('<?xml version="1.0" encoding="klingon"?><annotations/>', "klingon"),
        (cvat(POLYGON + '<spline label="cap" points="1,2;3,4"/>'), "'spline' is not read"),
        (cvat(POLYGON).replace('width="80"', 'width="-80"'), "width is -80"),
        (cvat(POLYGON, images=2), "2 images"),
        (cvat('<polyline label="cap" points="1,2;3,4"/>'), "'polyline' is not read"),
        (cvat(BOX.replace("/>", ' rotation="30.0"/>')), "rotated"),
        (cvat(POLYGON.replace("10,20", "nan,20")), "a finite number"),
        (cvat(POLYGON.replace("10,20", "10")), "ValueError"),
        (cvat(POLYGON).replace('width="80"', ""), "missing 'width'"),
    ],
)
def test_xml_that_is_not_understood_is_refused(tmp_path, content, words):
    path = tmp_path / "a.xml"
    path.write_text(content)
    with fails(DataError, "data/roi") as caught:
        read_roi(path, None, SIZE)
    assert words in caught.value.problem


@pytest.mark.parametrize("kind", ["mask", "json"])
def test_another_size_is_refused(tmp_path, kind):
    path = write_mask(tmp_path / "a.png")
    if kind == "json":
        path = write_json(tmp_path / "a.json", own())
    with fails(DataError, "data/roi-size") as caught:
        read_roi(path, None, (120, 160))
    assert "80 x 60 pixels (expected 160 x 120, as the images)" in caught.value.problem


def test_masks_of_two_sizes_are_refused(tmp_path):
    write_mask(tmp_path / "masks" / "a.png")
    write_mask(tmp_path / "masks" / "b.png", np.ones((9, 9), bool))
    with fails(DataError, "data/roi-size"):
        read_roi(tmp_path / "masks", None)


def test_what_leaves_nothing_to_inspect_is_refused(tmp_path):
    empty = write_mask(tmp_path / "empty.png", np.zeros(SIZE, bool))
    full = write_mask(tmp_path / "full.png", np.ones(SIZE, bool))
    nothing = write_json(tmp_path / "a.json", {"size": [80, 60]})
    inner = own(rois={"cap": [SQUARE], "inner": [[[12, 22], [20, 22], [20, 30]]]})
    covered = write_json(tmp_path / "b.json", inner)
    (tmp_path / "folder").mkdir()
    for roi, ignore in ((empty, None), (None, full), (nothing, None), (covered, None)):
        with fails(DataError, "data/roi-empty"):
            read_roi(roi, ignore, SIZE)
    with fails(DataError, "data/roi"):
        read_roi(tmp_path / "folder", None, SIZE)


def test_other_files_and_missing_ones_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    with fails(DataError, "data/roi"):
        read_roi(tmp_path / "a.txt", None)
    with fails(DataError, "data/not-found"):
        read_roi(tmp_path / "b.png", None)


def test_a_picture_beyond_the_limit_is_refused(tmp_path):
    huge = write_json(tmp_path / "a.json", own() | {"size": [60000, 60000]})
    with fails(ConfigError, "config/limit"):
        read_roi(huge, None)


def test_a_roi_smaller_than_a_pixel_of_the_network_is_refused():
    roi = make_roi((600, 800), dot=(10, 10, 12, 12), cap=(100, 100, 700, 500))
    with fails(DataError, "data/roi-empty") as caught:
        check_resolved(roi, (60, 80))
    assert "the ROI dot is smaller" in caught.value.problem
    assert "10 pixels of the picture" in caught.value.problem
    check_resolved(roi, (600, 800))
