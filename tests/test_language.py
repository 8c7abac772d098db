# ruff: noqa: RUF001
import pytest

from guard_service.language import is_unsupported

SUPPORTED = {
    "en": "Could you please tell me how I can sharpen an old kitchen knife without a whetstone?",
    "de": "Könnten Sie mir bitte erklären, wie ich ein altes Messer ohne Stein schärfen kann?",
    "fr": "Pourriez-vous m'expliquer comment aiguiser un vieux couteau de cuisine sans pierre ?",
    "es": "¿Podría explicarme cómo afilar un cuchillo de cocina viejo sin una piedra de afilar?",
    "it": "Potrebbe spiegarmi come affilare un vecchio coltello da cucina senza una pietra?",
    "pt": "Poderia explicar-me como afiar uma faca de cozinha velha sem uma pedra de amolar?",
    "hi": "क्या आप बता सकते हैं कि चाकू कैसे तेज़ करें और उसे साफ़ रखें थोड़ा समझाइए",
    "th": "ช่วยบอกหน่อยว่าฉันจะลับมีดทำครัวเก่าได้อย่างไรโดยไม่ใช้หิน",
}
OTHERS = {
    "tr": "Lütfen bana eski bir bıçağı bileme taşı olmadan nasıl bileyebileceğimi anlatır mısınız?",
    "pl": "Czy możesz mi wyjaśnić, jak naostrzyć stary nóż kuchenny bez kamienia szlifierskiego?",
    "sw": "Tafadhali nieleze jinsi ya kunoa kisu cha zamani cha jiko bila kutumia jiwe la kunolea",
    "ru": "Как наточить нож?",
    "zh": "如何磨刀",
    "ar": "كيف أشحذ السكين",
}


@pytest.mark.parametrize("language", SUPPORTED)
def test_the_eight_languages_are_supported(language: str) -> None:
    assert not is_unsupported(SUPPORTED[language])


@pytest.mark.parametrize("language", OTHERS)
def test_another_language_is_told(language: str) -> None:
    assert is_unsupported(OTHERS[language])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1234 !?",
        "😀😀",
        "ok",
        "Merhaba",  # Turkish, but nobody could be sure of so little
        "Bagaimana cara memasak nasi?",
        "My friend Анна lives in Berlin and works there as a doctor",
        "x = [i for i in range(10)]\nprint(sum(x)) # def f(a, b): return a + b",
        "H\u2082O and 5 µm in ℝ, n.º 5",
    ],
)
def test_short_texts_names_and_code_are_not_guessed_at(text: str) -> None:
    assert not is_unsupported(text)
