"""A record ends at one byte, whatever its text holds."""

import json

import pytest

from vqc.json_lines import appended_record, read_records, records_in


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
def test_no_other_character_ends_a_record(mark):
    line = json.dumps({"note": f"a{mark}b"}, ensure_ascii=False).encode()
    assert list(records_in(line + b"\n" + line)) == [(1, line), (2, line)]


def test_a_byte_order_mark_blank_lines_and_windows_ends_are_no_part_of_a_record():
    assert list(records_in(b"\xef\xbb\xbf1\r\n\r\n2")) == [(1, b"1"), (3, b"2")]


def test_a_last_line_without_its_end_is_read_if_it_is_whole_and_given_back_if_it_is_torn(tmp_path):
    path = tmp_path / "a.jsonl"
    assert read_records(path) == ([], b"")
    path.write_bytes(b"1\n2")
    assert read_records(path) == ([1, 2], b"")
    path.write_bytes(b'1\n{"a"')
    assert read_records(path) == ([1], b'{"a"')
    path.write_bytes(b"1\n{\n2\n")
    with pytest.raises(ValueError, match="line 1"):
        read_records(path)


@pytest.mark.parametrize(("before", "after"), [(b"", b"3\n"), (b"1\n2", b"1\n2\n3\n"), (b"1\n{", b"1\n3\n")])
def test_a_record_is_appended_as_a_line_of_its_own(tmp_path, before, after):
    path = tmp_path / "a.jsonl"
    path.write_bytes(before)
    with appended_record(path, 3):
        pass
    assert path.read_bytes() == after
