import xml.etree.ElementTree as ET

from guard_service.benchmark.plot import latency_plot
from guard_service.benchmark.report import Latency


def point(workload: str, share: float, p99_ms: float) -> Latency:
    return Latency(workload, share, 100 * share, 100 * share, 0, 5.0, 8.0, p99_ms, 60.0, 3.0)


def test_each_workload_is_two_lines_with_a_point_for_each_load() -> None:
    measured = [point(name, s, 20 + 40 * s) for name in ("W100", "Wmix") for s in (0.2, 0.5, 0.9)]
    tree = ET.fromstring(latency_plot(measured))
    lines = tree.findall("{*}polyline")
    assert len(lines) == 4
    assert {len(line.attrib["points"].split()) for line in lines} == {3}
    assert {"W100", "Wmix"} <= {text.text for text in tree.iter("{http://www.w3.org/2000/svg}text")}


def test_higher_latency_is_drawn_higher() -> None:
    tree = ET.fromstring(latency_plot([point("W100", 0.2, 10.0), point("W100", 0.9, 50.0)]))
    p99 = tree.findall("{*}polyline")[1].attrib["points"].split()
    assert float(p99[1].split(",")[1]) < float(p99[0].split(",")[1])
