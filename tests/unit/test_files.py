"""Files are there whole or not at all."""

import pytest

from dbp_policy.errors import DbpError
from dbp_policy.files import check_folder_of, write_json, written_whole


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"x": 1})
    old = path.read_text()
    with pytest.raises(ValueError):
        write_json(path, {"x": float("nan")})
    with pytest.raises(KeyboardInterrupt), written_whole(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == old
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named_before_any_work(tmp_path):
    check_folder_of(tmp_path / "a.json", "--json")
    with pytest.raises(DbpError, match="--json: expected a file in an existing folder"):
        check_folder_of(tmp_path / "no" / "a.json", "--json")
