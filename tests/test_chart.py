import xml.etree.ElementTree as ET

from guard_service.chart import Axis, Line, line_chart

ACROSS, UP = Axis("recall", 1), Axis("precision <at it>", 1)


def test_a_line_begins_left_and_low_and_ends_right_and_high() -> None:
    tree = ET.fromstring(line_chart([Line([(0, 0), (1, 1)], "#123")], ACROSS, UP))
    (line,) = tree.findall("{*}polyline")
    (left, low), (right, high) = (place.split(",") for place in line.attrib["points"].split())
    assert float(left) < float(right)
    assert float(low) > float(high)


def test_titles_and_labels_are_text_and_lines_without_a_label_have_none() -> None:
    lines = [Line([(0, 0)], "#123", "<ours>"), Line([(0, 0)], "#456")]
    tree = ET.fromstring(line_chart(lines, ACROSS, UP))
    texts = {text.text for text in tree.findall("{*}text")}
    assert {"recall", "precision <at it>", "<ours>"} <= texts
    assert "" not in texts
