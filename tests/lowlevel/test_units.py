"""Sizes and names as they are read and shown, at their borders."""
import pytest

from rmapcore.units import format_size, parse_limit, parse_size, visible


@pytest.mark.parametrize(("size", "text"), [
    (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (4096, "4 KiB"), ((1 << 20) - 1, "1024 KiB"), (1 << 20, "1 MiB"),
    (1 << 30, "1 GiB"), (3 << 29, "1.5 GiB"), (1 << 40, "1 TiB"), (1 << 50, "1024 TiB"),
])
def test_sizes_are_shown(size, text):
    assert format_size(size) == text


@pytest.mark.parametrize(("value", "size"), [
    (0, 0), (4096, 4096), ("4096", 4096), ("4 KiB", 4096), (" 1MiB ", 1 << 20), ("2GiB", 2 << 30),
    ("1TiB", 1 << 40), ("8192B", 8192), ("12M", 12 << 20), ("12MB", 11_997_184), ("1.5MiB", 3 << 19), ("1.5G", 3 << 29),
    ("0.3 MiB", 314572 // 4096 * 4096), ("1TB", 10**12 // 4096 * 4096), ("8K", 8192), ("4.096KB", 4096),
])
def test_sizes_are_read(value, size):
    assert parse_size(value, "ram") == parse_limit(value, "ram") == size


@pytest.mark.parametrize("value", [-4096, 1, 4095, 4097, "1", "-4096", "1.5", "4096.5B", "1KiB", "5K", "1KB", "0.1K", "1.MiB",
                                   ".5MiB", "12m", "4096 b", "MiB", "", True, None, 4096.0])
def test_what_is_no_size(value):
    with pytest.raises((TypeError, ValueError), match="ram: "):
        parse_size(value, "ram")


def test_a_limit_may_be_none():
    assert parse_limit("unlimited", "stack_limit") == "unlimited"


@pytest.mark.parametrize(("text", "shown"), [
    ("plain é", "plain é"), ("\x1b[31m", r"\x1b[31m"), ("a\nb", r"a\x0ab"), ("\x7f", r"\x7f"), ("\xa0", r"\xa0"), ("", ""),
    ("\udc80", r"\x80"), ("\udcff", r"\xff"), ("\udc7f", r"\udc7f"), ("\udd00", r"\udd00"), ("\u2028", r"\u2028"),
    ("\uffff", r"\uffff"), ("\U000e0001", r"\U000e0001"), ("\U00010ffff"[:1], r"\U00010fff"),
])
def test_names_change_nothing_on_a_terminal(text, shown):
    assert visible(text) == shown
