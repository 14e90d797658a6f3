"""What a row keeps of its registers, in as few bytes as it can, is what was put in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.codec import bytes_of, row_of
from stream.core.row import Cell, Row
from stream.core.versions import NULL
from stream.model import Version
from tests.core.build import START

VERSIONS = st.builds(
    Version, st.sampled_from([-2, -1, 0, START, START + 1]), st.integers(0, 1), st.integers(0, (1 << 32) - 1)
)
MAYBE = st.none() | VERSIONS
CELLS = st.builds(
    Cell, VERSIONS, st.sampled_from(["", "b.t:1", "c.t:1"]), st.just(()) | st.tuples(st.text()), MAYBE, MAYBE, MAYBE
)


@given(st.lists(st.none() | CELLS, max_size=80))
def test_every_register_is_read_as_it_was_kept(drawn: list[Cell | None]) -> None:
    row = Row(remote={f"f{number}": number for number in range(len(drawn))})
    cells = {f"f{number}": cell for number, cell in enumerate(drawn) if cell is not None}
    row.keep(cells)
    assert row.cells == cells
    read = row_of(bytes_of(row))
    assert isinstance(read, Row)
    assert read.cells == cells


def test_a_time_is_kept_once_for_all_fields_that_have_it_though_one_of_them_was_empty() -> None:
    versions = [Version(START, 1, digest) for digest in range(3)]
    row = Row(remote={"a": 1, "b": None, "c": 3, "d": 4})
    row.keep(dict(zip(row.remote, map(Cell, (versions[0], NULL, *versions[1:])), strict=True)))
    assert row.versions == (versions[0], NULL, 1, 2)
