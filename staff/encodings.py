"""Tell a table's encoding: UTF-8, UTF-16, or what Windows writes in China (GBK) or in Western Europe (Windows-1252).

Most bytes are valid in both of the last two, so the text decides. Other encodings of one byte (Windows-1250 and 1251,
ISO 8859-15, Mac Roman) and Big5, Shift-JIS and EUC-KR are not known: most such texts look like neither, but not all.
"""

import codecs
import re
import unicodedata

# Accented letters that the words of one language have; words of other encodings seldom keep to one such set.
_LANGUAGES = ("àâçèéêëîïôœùûü", "äöüßé", "àáçèéíïñòóúü", "àáâãçéêíóôõúü", "àèéìíîòóùú", "åäæéöøü", "áàâéèêëíïóöúü")
# Signs that part words; none of them is a letter in the encodings of Eastern Europe.
_SIGNS = dict.fromkeys(map(ord, "\xa0¡§©«®°±·»×€‚„…‘’“”•–—™"), " ")
_ATTACHED = re.compile(r"^[¿µ]|(?<!\w\w\w)[²³ªº£]$")  # as in µm, R² and 1º
# Capitals inside a word, letters where no language has them, and words without any plain letter.
_MISSPELT = re.compile(
    r"[a-zß-ÿ][À-Þ]|[A-ZÀ-Þ][À-Þ][a-zß-ÿ]|[ß-ÿ][A-ZÀ-Þ]|[Õõ](?![Ee])|ã(?![eos]|\b)|[ìù](?!\b)|œ(?![dinstu])|\A[^A-Za-z]{2,}\Z"
)


def decode(raw: bytes) -> tuple[str, str] | None:
    """A file's text, and the name of its encoding where that was guessed, else empty; None if it is not clear."""
    utf16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text, guess = _decoded(raw, "utf-16" if utf16 else "utf-8-sig"), ""
    if text is None and not utf16:
        text, guess = _guessed(raw)
    return None if text is None or "\0" in text else (text, guess)


def _decoded(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None


def _guessed(raw: bytes) -> tuple[str | None, str]:
    utf8 = re.findall(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}", raw)
    if raw.startswith(codecs.BOM_UTF8) or 5 * sum(map(len, utf8)) > 4 * sum(byte > 127 for byte in raw):
        return None, ""  # UTF-8 that was damaged
    gbk, western = _decoded(raw, "gb18030"), _decoded(raw, "cp1252")
    common, plausible = _chinese(gbk or "")
    if western is not None and common < 0.5 and _european(western):
        return western, "Windows-1252"
    return (gbk, "GBK") if plausible >= 0.5 else (None, "")


def _chinese(text: str) -> tuple[float, float]:
    """The shares of the characters outside ASCII that are common, and that stand where Chinese text has them.

    A character alone that touches a plain letter, or was one, is rather a misread word of Europe.
    """
    common = plausible = total = 0
    for before, run, after in re.findall(r"([A-Za-z]?)([^\0-\x7f]+)(?=([A-Za-z]?))", text):
        codes = [c.encode("gb18030") for c in run]
        total += len(run)
        # The first rows of GB 2312 are signs and the 3,755 characters that make up nearly all of a modern text.
        usual = sum(b"\xa1\xa1" <= code < b"\xd8" and code[1] > 0xA0 for code in codes)
        common += usual
        if len(run) > 1 or (usual and not (before and after)) or (codes[0][1] > 0x7F and not (before or after)):
            plausible += len(run)
    unknown = any(unicodedata.category(c)[0] == "C" for c in text if c > "\x9f")
    return (0, 0) if unknown or not total else (common / total, plausible / total)


def _european(text: str) -> bool:
    """Whether each word is spelled as in a language of Western Europe, and « has its »."""
    if text.count("«") != text.count("»"):
        return False
    for word in set(re.findall(r"[A-Za-z\x80-\uffff]+", text.translate(_SIGNS))):
        word = _ATTACHED.sub("", word)
        accented = {letter for letter in word.lower() if letter > "\x7f"}
        if accented and (_MISSPELT.search(word) or not any(accented <= set(letters) for letters in _LANGUAGES)):
            return False
    return True
