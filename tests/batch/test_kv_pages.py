"""Pages: none is given twice, promises are kept, all come back; and how many fit into a device."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_plugin.engine.model.config import LanguageConfig
from tts_plugin.engine.model.random_weights import REALTIME_05B
from tts_plugin.engine.pages import OutOfPages, PagePool, pages_for
from tts_plugin.engine.sizes import NotEnoughMemory, VoiceLengths, fit

VOICES = [VoiceLengths(74, 251, 1), VoiceLengths(49, 148, 1)]
DEEDS = st.lists(st.tuples(st.sampled_from(["promise", "take", "give back"]), st.integers(0, 5)), max_size=120)


@given(st.integers(2, 40), DEEDS)
def test_whatever_happens_pages_are_whole_and_promises_kept(count, deeds) -> None:
    pool, has, owed = PagePool(count), dict[int, list[int]](), dict[int, int]()
    for deed, owner in deeds:
        if deed == "promise" and owner not in owed and pool.can_promise(4):
            pool.promise(owner, 4)
            owed[owner] = 4
        elif deed == "take" and owner in owed:
            try:
                has.setdefault(owner, []).append(pool.take(owner))
            except OutOfPages:
                assert not owed[owner], "a promise was broken"
            else:
                owed[owner] = max(0, owed[owner] - 1)
        elif deed == "give back":
            pool.give_back(owner, has.pop(owner, []))
            owed.pop(owner, None)
        out = [page for pages in has.values() for page in pages]
        assert len(out) == len(set(out))
        assert 0 not in out
        assert pool.free == count - 1 - len(out)
        assert pool.unpromised == pool.free - sum(owed.values()) >= 0


def test_beyond_its_promise_an_utterance_gets_only_what_nobody_was_promised() -> None:
    pool = PagePool(7)  # 6 to give
    pool.promise(1, 2)
    pool.promise(2, 3)
    assert len({pool.take(1) for _ in range(3)}) == 3
    with pytest.raises(OutOfPages):
        pool.take(1)
    assert len({pool.take(2) for _ in range(3)}) == 3


@pytest.mark.parametrize(("positions", "pages"), [(0, 0), (1, 1), (64, 1), (65, 2), (8192, 128)])
def test_a_page_holds_64_positions(positions, pages) -> None:
    assert pages_for(positions) == pages


@given(st.integers(1, 256), st.integers(0, 200 << 30))
def test_the_sizes_never_exceed_the_memory(slots, free) -> None:
    try:
        sizes = fit(REALTIME_05B, VOICES, slots, 2, free)
    except NotEnoughMemory:
        assert free < 64 << 20
        return
    assert 1 <= sizes.slots <= slots
    assert sizes.bytes <= free
    language: LanguageConfig = REALTIME_05B.language
    page = 64 * 2 * language.kv_heads * language.head_dim * 2
    assert sizes.bytes == page * (4 * sizes.base_pages + 20 * sizes.tts_pages)
    assert sizes.tts_pages >= sizes.slots * sizes.promise.tts


def test_a_large_card_gives_every_utterance_its_full_length() -> None:
    sizes = fit(REALTIME_05B, VOICES, 64, 2, 40 << 30)
    assert sizes.slots == 64
    assert sizes.tts_pages >= 64 * 2 * 128
    assert sizes.base_pages >= 64 * 128


def test_too_little_memory_says_how_much_is_needed() -> None:
    with pytest.raises(NotEnoughMemory, match=r"3 MiB of memory are free.*each utterance \d+ MiB"):
        fit(REALTIME_05B, VOICES, 8, 2, 3 << 20)
