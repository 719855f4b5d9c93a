"""German: numbers, dates, times, money, the commonest units and abbreviations."""

from __future__ import annotations

import re

from tts_plugin.speakable.abbreviations import read_abbreviation, read_list_number
from tts_plugin.speakable.addresses import read_address
from tts_plugin.speakable.amounts import read_amount, read_fraction, read_unit
from tts_plugin.speakable.dates import read_date
from tts_plugin.speakable.locale import Currency, Locale, Reading, Unit
from tts_plugin.speakable.money import read_money
from tts_plugin.speakable.numbers import Numbers
from tts_plugin.speakable.phones import read_phone
from tts_plugin.speakable.times import read_time
from tts_plugin.speakable.versions import read_version
from tts_plugin.speakable.window import Window

_MONTHS = (
    *("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November"),
    "Dezember",
)
_DAY = re.compile(r"[0-9]{1,4}")
_DATIVE = frozenset("am vom zum dem den im bis seit ab beim".split())  # noqa: SIM905
_NOMINATIVE = frozenset("der die das".split())  # noqa: SIM905


def _ordinal(locale: Locale, digits: str, before: str) -> str:
    said = locale.numbers.ordinal(digits)
    return said + ("n" if before in _DATIVE else "" if before in _NOMINATIVE else "r")


def _date(locale: Locale, day: int, month: int, year: str) -> str:
    said = f"{locale.numbers.ordinal(str(day))}r {locale.months[month - 1]}"
    return f"{said} {locale.numbers.year(year)}" if year else said


def _time(locale: Locale, hours: str, minutes: str, seconds: str) -> str:
    numbers = locale.numbers
    said = f"{numbers.counting(hours.lstrip('0') or '0')} Uhr"
    if minutes != "00" or seconds:
        said += f" {numbers.cardinal(str(int(minutes)))}"
    return f"{said} und {numbers.counting(str(int(seconds)))} Sekunden" if seconds else said


def read_dated(window: Window, locale: Locale) -> Reading | None:
    """3. März, am 24.11.2026, der 3. Platz."""
    core, token = window.core, window.token
    before = window.before().lower()
    reading = read_date(window, locale)
    if reading is not None:
        said = reading.text
        first = said.partition(" ")[0]
        if "." in core and first.endswith("ter") and before in _DATIVE | _NOMINATIVE:
            said = said.replace(first, first[:-1] + ("n" if before in _DATIVE else ""), 1)
        return reading._replace(text=said)
    if not _DAY.fullmatch(core) or token.trail != "." or core.startswith("0"):
        return None
    if not window.next_first().isupper():
        return None
    following = window.next_token()
    if following is not None and following.core.lower() in locale.month_names and int(core) <= 31:
        month = locale.months[locale.month_names[following.core.lower()] - 1]
        trail = following.trail[1:] if following.trail.startswith(".") and len(following.core) < 4 else None
        return Reading(f"{_ordinal(locale, core, before)} {month}", 2, trail)
    if before in _DATIVE | _NOMINATIVE and following is not None and following.core[:1].isupper():
        return Reading(_ordinal(locale, core, before), 1, "")
    return None


def _currency(one: str, many: str = "", cent: str = "", cents: str = "") -> Currency:
    return Currency(one, many or one, cent, cents or cent)


def _units(**units: str) -> dict[str, Unit]:
    return {written: Unit(said, said) for written, said in units.items()}


_EURO = _currency("Euro", cent="Cent")
_DOLLAR = _currency("Dollar", cent="Cent")
_MILLION, _BILLION = Unit("Million", "Millionen"), Unit("Milliarde", "Milliarden")

GERMAN = Locale(
    language="de",
    numbers=Numbers("de", ",", ".", "Komma", "minus", "plus", one=(("eins", "ein"),), years_by_hundreds=True),
    symbols={
        "+": "plus",
        "-": "minus",
        "±": "plus minus",
        "×": "mal",
        "÷": "geteilt durch",
        "=": "gleich",
        "<": "kleiner als",
        ">": "größer als",
        "≤": "höchstens",
        "≥": "mindestens",
        "≈": "etwa",
        "≠": "ungleich",
        "&": "und",
        "@": "ät",
        "%": "Prozent",
        "#": "Nummer",
        "°": "Grad",
        "§": "Paragraf",
        "№": "Nummer",
        "→": "zu",
        "⇒": "zu",
        "∞": "unendlich",
        "√": "Wurzel aus",
        "π": "Pi",
        "©": "Copyright",
        "Ω": "Ohm",
        "->": "zu",
        "=>": "zu",
        ">=": "mindestens",
        "<=": "höchstens",
        "!=": "ungleich",
        "==": "gleich",
        "&&": "und",
        "¶": "Absatz",
        "~": "etwa",
        "²": "Quadrat",
        "³": "hoch drei",
    },
    words={
        "slash": "Schrägstrich",
        "over": "durch",
        "and": "und",
        "date and time": "um",
        "dot": "Punkt",
        "dash": "Minus",
        "underscore": "Unterstrich",
        "version point": "Punkt",
        "per": "pro",
        "power": "hoch",
        "out of": "von",
    },
    months=_MONTHS,
    month_names={
        **{name.lower(): n for n, name in enumerate(_MONTHS, 1)},
        "jan": 1,
        "feb": 2,
        "mär": 3,
        "apr": 4,
        "jun": 6,
        "jul": 7,
        "aug": 8,
        "sep": 9,
        "sept": 9,
        "okt": 10,
        "nov": 11,
        "dez": 12,
        "jänner": 1,
    },
    date_order="dmy",
    date=_date,
    time=_time,
    currencies={
        **dict.fromkeys(("€", "EUR", "EURO"), _EURO),
        **dict.fromkeys(("$", "USD", "US$", "DOLLAR"), _DOLLAR),
        **dict.fromkeys(("£", "GBP"), _currency("Pfund", cent="Penny", cents="Pence")),
        **dict.fromkeys(("CHF", "FRANKEN"), _currency("Franken", cent="Rappen")),
        **dict.fromkeys(("¥", "JPY"), _currency("Yen")),
    },
    scales={
        **dict.fromkeys(("million", "millionen", "mio"), _MILLION),
        **dict.fromkeys(("milliarde", "milliarden", "mrd"), _BILLION),
        "tausend": Unit("tausend", "tausend"),
    },
    scale_link="",
    units={
        **_units(
            km="Kilometer", m="Meter", cm="Zentimeter", mm="Millimeter", kg="Kilogramm", g="Gramm", mg="Milligramm"
        ),
        **_units(l="Liter", ml="Milliliter", GB="Gigabyte", MB="Megabyte", kB="Kilobyte", TB="Terabyte", kW="Kilowatt"),
        **_units(
            kWh="Kilowattstunden", W="Watt", V="Volt", Hz="Hertz", kHz="Kilohertz", MHz="Megahertz", GHz="Gigahertz"
        ),
        **_units(ms="Millisekunden", min="Minuten", s="Sekunden", h="Stunden"),
        "%": Unit("Prozent", "Prozent"),
        "°C": Unit("Grad Celsius", "Grad Celsius"),
        "°": Unit("Grad", "Grad"),
        "km/h": Unit("Kilometer pro Stunde", "Kilometer pro Stunde"),
        "m²": Unit("Quadratmeter", "Quadratmeter"),
        "km²": Unit("Quadratkilometer", "Quadratkilometer"),
        "m³": Unit("Kubikmeter", "Kubikmeter"),
    },
    abbreviations={
        "z.b.": "zum Beispiel",
        "z.b": "zum Beispiel",
        "d.h.": "das heißt",
        "usw.": "und so weiter",
        "bzw.": "beziehungsweise",
        "ca.": "circa",
        "u.a.": "unter anderem",
        "dr.": "Doktor",
        "nr.": "Nummer",
        "str.": "Straße",
        "hr.": "Herr",
        "fr.": "Frau",
        "prof.": "Professor",
        "inkl.": "inklusive",
        "evtl.": "eventuell",
        "ggf.": "gegebenenfalls",
        "mio.": "Millionen",
        "mrd.": "Milliarden",
        "tel.": "Telefon",
        "vgl.": "vergleiche",
    },
    range_word="bis",
    money_link="",
    half_marks={
        "1/2": "ein halb",
        "1/3": "ein Drittel",
        "2/3": "zwei Drittel",
        "1/4": "ein Viertel",
        "3/4": "drei Viertel",
    },
    groups_by_space=True,
    readers=(
        *(read_address, read_phone, read_dated, read_list_number, read_time, read_money, read_unit, read_version),
        *(read_fraction, read_amount, read_abbreviation),
    ),
)
