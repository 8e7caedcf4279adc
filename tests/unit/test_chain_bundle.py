"""Import and verification of figures: remade byte for byte, and every fault in a source or a figure is named."""

import csv
import errno
import hashlib
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from bot.chain import bundle, ondisk
from bot.chain.chain import BUNDLED, load
from bot.chain.headers import Headers
from bot.chain.sources import epochs_from_csv, fees_from_csv
from bot.chain.verify import verify
from bot.errors import ChainError

SHARED = Path(__file__).parents[3] / "shared/data/chain"
HEADERS, EPOCHS, FEES = (
    SHARED / name for name in ("headers_312480_340000.bin", "retarget_epochs.csv", "daily_2014H2.csv")
)
needs_sources = pytest.mark.skipif(not HEADERS.exists(), reason="the source files are not part of the project")

EPOCH_TABLE = """epoch,height,start_time,start_utc,time_is_exact,bits,difficulty
157,316512,1408475518,2014-08-19,1,0x182e1c58,23844670038.8036
158,318528,1409527152,2014-08-31,1,0x182815ee,27428630902.2579
"""
FEE_TABLE = """date,blocks,fees_btc,fees_per_block_btc,difficulty_mean
2014-08-01,157,10.47439382,0.06671588,18736441558.3102
2014-08-02,163,8.5,0.05241683,18736441558.3102
"""


def test_tables_are_read_exactly_with_either_line_ending() -> None:
    for text in (EPOCH_TABLE, EPOCH_TABLE.replace("\n", "\r\n")):
        first, second = epochs_from_csv(text.encode(), "e.csv")
        assert (first.number, first.first_height, first.start_s) == (157, 316_512, 1_408_475_518)
        assert (second.bits, second.time_is_exact) == (0x182815EE, True)
    assert [day[1:] for day in fees_from_csv(FEE_TABLE.encode(), "f.csv")] == [(157, 1_047_439_382), (163, 850_000_000)]


@pytest.mark.parametrize(
    ("old", "new", "where", "reason"),
    [
        (",23844670038.8036", ",0", 2, "difficulty is 0: a difficulty is always above 0 .the source failed"),
        (",23844670038.8036", ",0.0", 2, "always above 0"),
        (",23844670038.8036", ",23844690038.8", 2, "is not the 23844670038.8"),
        (",23844670038.8036", ",nan", 2, "difficulty 'nan' is not a plain decimal"),
        (",23844670038.8036", ",1e999", 2, "not a plain decimal"),
        ("0x182e1c58", "0x00000000", 2, "target of 0"),
        ("0x182e1c58", "0x18ae1c58", 2, "negative"),
        ("0x182e1c58", "182e1c58", 2, "bits '182e1c58' is not 0x and 8"),
        ("0x182e1c58", "0x1900002e", 2, "not in compact form|is not the"),
        ("157,316512", "157,316513", 2, "height 316513 of epoch 157 is not 316512"),
        ("157,316512", "1_57,316512", 2, "epoch '1_57' is not a whole number"),
        ("157,316512", "١٥٧,316512", 2, "is not ASCII"),
        (",1,0x182e", ",yes,0x182e", 2, "time_is_exact 'yes' is not 0 or 1"),
        ("158,318528", "159,320544", 3, "epoch 159 .* does not follow epoch 157"),
        ("158,318528", "157,316512", 3, "does not follow"),
        ("1409527152", "1408475518", 3, "does not follow"),
        (",27428630902.2579\n", "\n", 3, "6 fields under 7 columns: truncated"),
        ("epoch,height", "\ufeffepoch,height", 1, "is not ASCII"),
        ("start_time", "when", 1, "columns missing or doubled: start_time"),
        ("158,", '"158,', 3, "unexpected end of data"),
    ],
)
def test_a_fault_in_the_table_of_epochs_is_refused_at_its_line(old: str, new: str, where: int, reason: str) -> None:
    assert old in EPOCH_TABLE
    with pytest.raises(ChainError, match=reason) as caught:
        epochs_from_csv(EPOCH_TABLE.replace(old, new, 1).encode(), "e.csv")
    assert caught.value.problems[0].where == f"e.csv:{where}"
    assert caught.value.problems[0].remedy


@pytest.mark.parametrize(
    ("old", "new", "where", "reason"),
    [
        ("8.5,", "-8.5,", 3, "fees_btc '-8.5' is not an amount"),
        ("8.5,", "8.512345678,", 3, "not an amount with up to 8 decimals"),
        ("8.5,", "NaN,", 3, "not an amount"),
        (",163,", ",0,", 3, "fees of 850000000 satoshi on a day without blocks"),
        ("2014-08-02", "2014-08-01", 3, "does not follow 2014-08-01"),
        ("2014-08-02", "2014-08-03", 3, "does not follow 2014-08-01"),
        ("2014-08-02", "2014-02-30", 3, "date 2014-02-30: day"),
        ("2014-08-02", "20140802", 3, "not YYYY-MM-DD"),
        (",18736441558.3102\n2014-08-02", ",0\n2014-08-02", 2, "difficulty_mean is 0"),
        ("2014-08-01,157", "\n2014-08-01,157", 2, "0 fields under 5 columns"),
    ],
)
def test_a_fault_in_the_table_of_fees_is_refused_at_its_line(old: str, new: str, where: int, reason: str) -> None:
    assert old in FEE_TABLE
    with pytest.raises(ChainError, match=reason) as caught:
        fees_from_csv(FEE_TABLE.replace(old, new, 1).encode(), "f.csv")
    assert caught.value.problems[0].where == f"f.csv:{where}"


def test_a_table_without_rows_is_refused() -> None:
    with pytest.raises(ChainError, match="no rows follow"):
        fees_from_csv(FEE_TABLE.splitlines()[0].encode(), "f.csv")
    with pytest.raises(ChainError, match="columns missing"):
        fees_from_csv(b"", "f.csv")


def _headers(times_s: list[int]) -> Headers:
    return Headers("h.bin", "", 100, tuple(times_s), (0x1D00FFFF,) * len(times_s), "", "", 0, 0)


def test_the_cut_takes_blocks_by_effective_time_and_remembers_the_one_before() -> None:
    times = bundle.cut(_headers([90, 99, 95, 100, 97, 150, 199, 198, 200, 180]), 100, 200)
    assert (times.first_height, times.before_s) == (103, 99)
    assert times.times_s == [100, 97, 150, 199, 198]  # 180 comes after 200 took effect


@pytest.mark.parametrize("times_s", [[100, 150, 200], [90, 100, 150, 199], [90, 200, 210], [1, 2], [300, 400]])
def test_headers_that_do_not_enclose_the_days_are_refused(times_s: list[int]) -> None:
    with pytest.raises(ChainError, match="do not enclose 100 to 200 s"):
        bundle.cut(_headers(times_s), 100, 200)


@needs_sources
def test_the_bundled_figures_are_remade_byte_for_byte_by_the_command_they_state(tmp_path: Path) -> None:
    report = bundle.make(HEADERS, 312_480, EPOCHS, FEES, tmp_path / "a")
    for name in (*ondisk.FILES, ondisk.SUMS):
        assert (tmp_path / "a" / name).read_bytes() == (BUNDLED / name).read_bytes(), name
    assert report.retargets_exact == 12
    for path in (HEADERS, EPOCHS, FEES):
        line = f"  {hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        assert line in (BUNDLED / ondisk.PROVENANCE).read_text("ascii")


@needs_sources
def test_other_days_and_no_fees_can_be_imported_and_then_fees_are_unknown(tmp_path: Path) -> None:
    report = bundle.make(HEADERS, 312_480, EPOCHS, None, tmp_path, date(2015, 1, 1), date(2015, 1, 10))
    chain = load(tmp_path)
    assert report.fee_days == 0 < report.blocks == len(chain.blocks)
    assert "--from 2015-01-01 --to 2015-01-10" in (tmp_path / ondisk.PROVENANCE).read_text("ascii")
    start_ns, end_ns = chain.blocks[0].time_ns, chain.blocks[-1].time_ns
    assert all(block.fees_sat == 0 for block in chain.blocks_between(start_ns, end_ns))
    with pytest.raises(ChainError, match=r"fees of block \d+ of 2015-01-01T.* are unknown"):
        chain.require_fees(start_ns, end_ns)


@needs_sources
@pytest.mark.parametrize(
    ("source", "row", "column", "value", "reason"),
    [
        (EPOCHS, "157", 2, "1408475519", "e.csv:159: epoch 157: time 1408475519.*its header says 1408475518"),
        (EPOCHS, "157", 4, "0", "e.csv:159: epoch 157.*exact False; its header says"),
        (FEES, "2014-09-15", 1, "1000", "f.csv: 2014-09-15: fees of 1000 blocks, but the headers in the range count"),
    ],
)
def test_tables_that_contradict_the_headers_are_refused_and_nothing_is_written(
    tmp_path: Path, source: Path, row: str, column: int, value: str, reason: str
) -> None:
    copies = {EPOCHS: tmp_path / "e.csv", FEES: tmp_path / "f.csv"}
    for path, copy in copies.items():
        rows = list(csv.reader(path.read_text("ascii").splitlines()))
        if path == source:
            next(fields for fields in rows if fields[0] == row)[column] = value
        copy.write_text("".join(",".join(fields) + "\n" for fields in rows), "ascii")
    with pytest.raises(ChainError, match=reason):
        bundle.make(HEADERS, 312_480, copies[EPOCHS], copies[FEES], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@needs_sources
def test_a_wrong_first_height_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ChainError, match="inside an epoch"):
        bundle.make(HEADERS, 312_481, EPOCHS, FEES, tmp_path / "out")
    with pytest.raises(ChainError, match="its header says"):
        bundle.make(HEADERS, 312_480 + 2016, EPOCHS, FEES, tmp_path / "out")
    with pytest.raises(ChainError, match=r"none\.bin: cannot be read"):
        bundle.make(tmp_path / "none.bin", 0, EPOCHS, FEES, tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(ChainError, match="cannot be written"):
        bundle.make(HEADERS, 312_480, EPOCHS, FEES, tmp_path / "file")


@pytest.fixture
def figures(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUNDLED, tmp_path / "figures"))


def test_a_full_disk_leaves_the_old_figures_as_they_were(figures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in figures.iterdir()}
    write_bytes = Path.write_bytes

    def full_after_the_blocks(path: Path, content: bytes) -> int:
        if ondisk.BLOCKS not in path.name:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", full_after_the_blocks)
    with pytest.raises(ChainError, match="cannot be written: No space left"):
        bundle.write(figures, {name: content + b"newer" for name, content in before.items()})
    assert {path.name: path.read_bytes() for path in figures.iterdir()} == before
    monkeypatch.undo()
    bundle.write(figures, {name: content + b"newer" for name, content in before.items()})
    assert {path.name: path.read_bytes() for path in figures.iterdir()} == {n: c + b"newer" for n, c in before.items()}


def change(figures: Path, name: str, edit: Callable[[bytes], bytes]) -> None:
    """Edit one file and make the digests right again, as someone would who wants to hide it."""
    contents = {file: (figures / file).read_bytes() for file in ondisk.FILES}
    edited = edit(contents[name])
    assert edited != contents[name]
    contents[name] = edited
    (figures / name).write_bytes(edited)
    (figures / ondisk.SUMS).write_bytes(ondisk.render_sums(contents))


def substitute(old: bytes, new: bytes, everywhere: bool = False) -> Callable[[bytes], bytes]:
    return lambda raw: raw.replace(old, new, -1 if everywhere else 1)


@pytest.mark.parametrize("name", [*ondisk.FILES, ondisk.SUMS])
def test_a_file_of_the_figures_that_is_missing_or_cut_is_named(figures: Path, name: str) -> None:
    whole = (figures / name).read_bytes()
    (figures / name).write_bytes(whole[:-1])
    with pytest.raises(ChainError, match=name):
        load(figures)
    (figures / name).unlink()
    with pytest.raises(ChainError, match=f"{name}: cannot be read"):
        verify(figures)


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        (ondisk.BLOCKS, b" 527 1192", b" 527 1_192", r"blocks.txt:2: a character other than"),
        (ondisk.BLOCKS, b" 527 1192", b" 527 11a2", r"blocks.txt:2: is not `height bits time"),
        (ondisk.BLOCKS, b" 527 1192", b" 527  1192", r"blocks.txt:2: is not `height bits time"),
        (ondisk.BLOCKS, b" 527 1192", b" 1192", r"blocks.txt:3: 144 blocks from height 313488, expected height 313487"),
        (ondisk.BLOCKS, b" 527 1192", b" 527 600 592", r"blocks.txt:2: 85 blocks from height 313404"),
        (ondisk.BLOCKS, b" 527 1192", b" 527 99999999", r"blocks.txt:1: times .* do not lie in"),
        (ondisk.BLOCKS, b"\n313404 ", b"\n313405 ", r"blocks.txt:2: 84 blocks from height 313405"),
        (ondisk.BLOCKS, b"\n313488 ", b"\r\n313488 ", r"blocks.txt:2: carriage return"),
        (ondisk.BLOCKS, b" 527 1192", b" 527 119\xb2", r"blocks.txt:2: byte 0xb2 is not ASCII"),
        (ondisk.BLOCKS, b"fairhash-", b"\xef\xbb\xbffairhash-", r"blocks.txt:1: byte 0xef is not ASCII"),
        (ondisk.BLOCKS, b"blocks-1", b"blocks-2", r"blocks.txt:1: first line .* is not that of a fairhash-blocks-1"),
        (ondisk.BLOCKS, b"before_s=1406851080", b"before_s=1406851200", r"blocks.txt:1: times"),
        (ondisk.BLOCKS, b" 183aaea2 ", b" 00000000 ", r"target of 0"),
        (ondisk.EPOCHS, b",0x182e1c58", b",0x00000000", r"bits 0x00000000 encode a target of 0"),
        (ondisk.EPOCHS, b"\n157,", b"\n158,", r"epochs.csv:159: epoch 158 follows epoch 156"),
        (ondisk.EPOCHS, b",1408475518,", b",1407474111,", r"epochs.csv:159: epoch 157 starts at .* not after"),
        (ondisk.EPOCHS, b",1,0x182e1c58", b",2,0x182e1c58", r"epochs.csv:159: row"),
        (ondisk.EPOCHS, b"number,", b"no,", r"epochs.csv:1: first line"),
        (ondisk.FEES, b"2014-08-02", b"2014-08-03", r"fees.csv:3: day 2014-08-03 follows 2014-08-01"),
        (ondisk.FEES, b"2014-08-01,157", b"2014-08-01,156", r"2014-08-01 are those of 156 blocks, but 157 are known"),
        (ondisk.FEES, b"2014-08-01", b"2014-08-32", r"fees.csv:2: day '2014-08-32'"),
        (ondisk.FEES, b"2014-08-02,163,", b"2014-08-02,163,-", r"fees.csv:3: row"),
    ],
)
def test_malformed_figures_are_refused_by_line_even_with_right_digests(
    figures: Path, name: str, old: bytes, new: bytes, reason: str
) -> None:
    change(figures, name, substitute(old, new))
    with pytest.raises(ChainError, match=reason):
        load(figures)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        # the last block of epoch 162 a minute later
        ([(ondisk.BLOCKS, "last of 162", b"")], r"epoch 163: bits 0x181bc330 are not the 0x181b"),
        (
            [(ondisk.EPOCHS, b"0x181bc330", b"0x181bc331"), (ondisk.BLOCKS, b"181bc330", b"181bc331")],
            r"epoch 163: bits",
        ),
        ([(ondisk.BLOCKS, b" 181bc330 ", b" 181bc331 ")], r"epochs.csv:165: epoch 163 has bits 0x181bc330"),
        ([(ondisk.EPOCHS, b"0x181bc330", b"0x1900001b")], r"epochs.csv:165: bits 0x1900001b are not in compact form"),
        ([(ondisk.EPOCHS, b",0x1c05a3f4", b",0x1c06a3f4")], r"epoch \d+: no gap within 7200 s"),
        ([(ondisk.EPOCHS, b",0x17029a8a", b",0x17129a8a")], r"epoch 437: bits 0x17129a8a are beyond the clamp"),
        ([(ondisk.EPOCHS, b"\n99,199584,", b"\n99,199585,")], r"epochs.csv:101: epoch 99 starts at height 199585"),
        ([(ondisk.EPOCHS, b",1408475518,1,", b",1408475518,0,")], r"epoch 157 starts at 1408475518 s, its first block"),
        ([(ondisk.BLOCKS, b" 527 1192", b" 0527 1192")], r"blocks.txt:2: is not in canonical form"),
        ([(ondisk.EPOCHS, b"\n0,0,", b"\n0,00,")], r"epochs.csv:2: is not in canonical form"),
        ([(ondisk.BLOCKS, b" 1301 586 ", b" -8000 9887 ")], r"height 313417: time \d+ s is not above the median"),
    ],
)
def test_figures_that_break_a_rule_of_the_chain_fail_verification_even_with_right_digests(
    figures: Path, changes: list[tuple[str, bytes | str, bytes]], reason: str
) -> None:
    for name, old, new in changes:
        if isinstance(old, str):
            change(figures, name, _later_last_block)
        else:
            change(figures, name, substitute(old, new, everywhere=True))
    with pytest.raises(ChainError, match=reason):
        verify(figures)


def _later_last_block(raw: bytes) -> bytes:
    """Move the last block before height 163 x 2016 a minute ahead."""
    lines = raw.split(b"\n")
    at = next(i for i, line in enumerate(lines) if line.startswith(b"%d " % (163 * 2016))) - 1
    head, _, step = lines[at].rpartition(b" ")
    lines[at] = b"%s %d" % (head, int(step) + 60)
    return b"\n".join(lines)


def test_digests_listed_twice_or_for_unknown_files_are_refused(figures: Path) -> None:
    sums = (figures / ondisk.SUMS).read_bytes()
    for wrong in (sums + sums.split(b"\n")[0] + b"\n", sums.replace(b"  fees.csv", b"  ../fees.csv"), b"x\n"):
        (figures / ondisk.SUMS).write_bytes(wrong)
        with pytest.raises(ChainError, match=r"SHA256SUMS:\d: .* is not a digest of one of"):
            load(figures)
    (figures / ondisk.SUMS).write_bytes(b"\n".join(sums.split(b"\n")[1:]))
    with pytest.raises(ChainError, match=r"blocks.txt: its sha256 is .* SHA256SUMS says nothing"):
        load(figures)
