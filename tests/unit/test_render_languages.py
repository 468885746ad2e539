"""Languages: tags, guesses, labels with their plurals, direction, blank texts."""

from __future__ import annotations

from typing import Any

import pytest

from previewops.worker.render.bundle_paths import choose_bundle_paths
from previewops.worker.render.encode.webvtt import build_tracks
from previewops.worker.render.labels import LANGUAGES, labels_for
from previewops.worker.render.layout.layout import lay_out_frames
from previewops.worker.render.layout.sheet import lay_out_sheet
from previewops.worker.render.storyboard import Storyboard, read_storyboard
from previewops.worker.render.text.characters import is_blank
from previewops.worker.render.text.languages import guess_language, normalise_language
from previewops.worker.render.text.typesetting import Typesetter
from tests.render_support import payload

SENTENCES = {
    "en": "A morning above the fog: where to stand when the light changes, and what to do with it",
    "de": "Der Morgen über dem Nebel, und wo das Licht sich ändert auf dem Weg",
    "fr": "Un matin au-dessus du brouillard, où se tenir quand la lumière est dans les arbres",
    "es": "Una mañana sobre la niebla: dónde pararse cuando la luz cambia en el valle para los que vienen",
    "pt": "O dia em que a luz não é como no mar",
    "it": "La mattina sopra la nebbia, dove si sta quando la luce cambia e non è ancora nel giorno",
    "nl": "De ochtend boven de mist en het licht dat op de berg is",
    "pl": "Poranek nad mgłą i światło, które się nie zmienia na szczycie",
    "ru": "Утро над туманом, где мы стоим",
    "uk": "Ранок над туманом, її світло",
    "tr": "Sisin üstünde bir sabah ve ışık için çok güzel",
    "ar": "صباح فوق الضباب",
    "fa": "صبح بالای مه، کجا بایستیم",
    "he": "בוקר מעל הערפל",
    "hi": "कोहरे के ऊपर सुबह",
    "th": "เช้าเหนือหมอก",
    "vi": "Buổi sáng trên sương mù",
    "id": "Pagi di atas kabut yang indah dan cahaya untuk semua di gunung",
    "zh-Hans": "雾上的早晨，这个国家的阳光",
    "zh-Hant": "霧上的早晨，這個國家的陽光",
    "ja": "霧の上の朝",
    "ko": "안개 위의 아침",
}


def board_of(steps: int = 1, title: str = "", **options: Any) -> Storyboard:
    return read_storyboard(payload([{}] * steps, title=title, description="", **options))


def words_of(board: Storyboard) -> list[str]:
    """The texts of all frames."""
    frames = lay_out_frames(board, {}, Typesetter())
    return [line.text for frame in frames for text in frame.texts for line in text.block.lines]


def test_every_language_has_labels() -> None:
    assert set(LANGUAGES) == set(SENTENCES)
    for language in LANGUAGES:
        labels = labels_for(language)
        assert len({labels.plural(count) for count in range(1, 501)}) <= len(labels.counts)
        for count in (1, 2, 5, 11, 21, 22, 100, 101, 500):
            assert labels.count(count)
        assert "7" in labels.heading(7)
        assert labels.reason("asset-missing") != labels.reason("another-code") == labels.unavailable


@pytest.mark.parametrize("language", SENTENCES)
def test_the_language_is_guessed(language: str) -> None:
    board = board_of(title=SENTENCES[language])
    assert board.language == language
    assert board.labels is labels_for(language)


@pytest.mark.parametrize(
    "text",
    ["", "Chess", "1:0", "Nikon 70-200mm", "Café Zürich", "東京 in the spring of the year for you and this"],
)
def test_without_evidence_labels_are_english(text: str) -> None:
    assert board_of(title=text).labels is labels_for("en")


@pytest.mark.parametrize(
    ("language", "counts"),
    [
        ("en", {1: "1 step", 2: "2 steps", 21: "21 steps"}),
        ("fr", {1: "1 étape", 2: "2 étapes"}),
        ("pl", {1: "1 krok", 3: "3 kroki", 5: "5 kroków", 13: "13 kroków", 22: "22 kroki", 21: "21 kroków"}),
        ("ru", {1: "1 шаг", 3: "3 шага", 5: "5 шагов", 11: "11 шагов", 21: "21 шаг", 112: "112 шагов"}),
        (
            "ar",
            {1: "خطوة واحدة", 2: "خطوتان", 3: "3 خطوات", 11: "11 خطوة", 100: "100 خطوة", 103: "103 خطوات"},
        ),
        ("he", {1: "שלב אחד", 2: "שני שלבים", 3: "3 שלבים"}),
        ("ja", {1: "1 ステップ", 2: "2 ステップ"}),
    ],
)
def test_counts_have_the_plural_of_their_language(language: str, counts: dict[int, str]) -> None:
    assert {count: labels_for(language).count(count) for count in counts} == counts


@pytest.mark.parametrize(
    ("tag", "normalised"),
    [
        ("zh-CN", "zh-Hans"), ("zh-TW", "zh-Hant"), ("zh-Hant-HK", "zh-HK"), ("yue", "zh-HK"), ("zh", "zh-Hans"),
        ("pt-br", "pt-BR"), ("iw", "he"), ("EN-us", "en-US"), ("sr-latn-rs", "sr-Latn-RS"), ("de", "de"),
    ],
)  # fmt: skip
def test_tags_are_normalised(tag: str, normalised: str) -> None:
    assert normalise_language(tag) == normalised


def test_a_region_has_the_labels_of_its_language() -> None:
    assert labels_for("pt-BR") is labels_for("pt")
    assert labels_for("zh-HK") is labels_for("zh-Hant")
    assert labels_for("sw") is labels_for(None) is labels_for("en")


@pytest.mark.parametrize("language", ["ar", "fa", "he", "ur"])
def test_a_given_language_decides_the_direction(language: str) -> None:
    assert board_of(title="A title", language=language).right_to_left
    assert not board_of(title="שלום", language="en").right_to_left
    assert board_of(title="שלום").right_to_left


def test_a_given_language_decides_letterforms_and_labels() -> None:
    board = board_of(3, title="骨直", language="ja")
    assert board.shaping_language == "ja"
    assert board.labels.count(3) == "3 ステップ"
    assert board_of(title="A tour of 東京 and かな", language="en").shaping_language == "ja"
    assert board_of(title="A title", language="tr").shaping_language == "tr"


BLANKS = (
    *(
        "",
        " ",
        "\u00a0\u2003\u3000",
        "\u200b",
        "\u200d\ufeff",
        "\u00ad",
        "\u202e",
        "\ufe0f",
        "\u2800",
        "\u3164",
    ),
    *("\n\t", "\u034f"),
)


@pytest.mark.parametrize("blank", BLANKS, ids=ascii)
def test_a_blank_text_is_as_the_empty_string(blank: str) -> None:
    assert is_blank(blank)
    boards = []
    for text in (blank, ""):
        step = {"title": text, "text": text, "assetIds": ["a"]}
        asset = {"id": "a", "uri": "a.png", "title": text}
        boards.append(read_storyboard(payload([step, {}], [asset], title=text, description=text)))
    assert boards[0] == boards[1]
    assert "Untitled" in words_of(boards[0])
    assert "Step 2" in words_of(boards[0])
    tracks = build_tracks(boards[0], choose_bundle_paths(boards[0]), lay_out_sheet(boards[0]))
    assert tracks["captions.vtt"].decode().count("-->") == 0


@pytest.mark.parametrize("text", ["a", "\u0301", "\u0600", "\U0001f600", "-", "\ufffd"])
def test_visible_texts_are_not_blank(text: str) -> None:
    assert not is_blank(text)


def test_guessing_reads_a_bounded_part() -> None:
    assert guess_language(["x" * 10_000, SENTENCES["de"]]) is None
