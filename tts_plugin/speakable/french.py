"""French: numbers, dates, times, money, the commonest units and abbreviations."""

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
    *("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre"),
    "décembre",
)
_ORDINAL = re.compile(r"([0-9]{1,6})(?P<end>er|re|ère|e|ème|nd|nde)", re.I)


def _date(locale: Locale, day: int, month: int, year: str) -> str:
    said = locale.numbers.ordinal("1") if day == 1 else locale.numbers.cardinal(str(day))
    said = f"{said} {locale.months[month - 1]}"
    return f"{said} {locale.numbers.cardinal(year)}" if year else said


def _time(locale: Locale, hours: str, minutes: str, seconds: str) -> str:
    count = locale.numbers.cardinal
    hour = int(hours)
    said = f"{'une' if hour == 1 else count(str(hour)) + ('e' if hour == 21 else '')} heure{'s' if hour > 1 else ''}"
    if minutes != "00" or seconds:
        said += f" {count(str(int(minutes)))}"
    return f"{said} et {count(str(int(seconds)))} secondes" if seconds else said


def read_french_ordinal(window: Window, locale: Locale) -> Reading | None:
    """1er, 1re, 2e, 2ème."""
    match = _ORDINAL.fullmatch(window.core)
    if not match:
        return None
    if match[1] == "1":
        return Reading("première" if match["end"].lower() in ("re", "ère") else "premier")
    return Reading(locale.numbers.ordinal(match[1]))


def _units(**units: str) -> dict[str, Unit]:
    return {written: Unit(said, f"{said}s") for written, said in units.items()}


_MILLION, _BILLION = Unit("million", "millions"), Unit("milliard", "milliards")

FRENCH = Locale(
    language="fr",
    numbers=Numbers("fr", ",", ".\u202f\u00a0 ", "virgule", "moins", "plus"),
    symbols={
        "+": "plus",
        "-": "moins",
        "±": "plus ou moins",
        "×": "fois",
        "÷": "divisé par",
        "=": "égale",
        "<": "inférieur à",
        ">": "supérieur à",
        "≤": "au plus",
        "≥": "au moins",
        "≈": "environ",
        "≠": "différent de",
        "&": "et",
        "@": "arobase",
        "%": "pour cent",
        "#": "numéro",
        "°": "degrés",
        "§": "paragraphe",
        "№": "numéro",
        "→": "vers",
        "⇒": "vers",
        "∞": "infini",
        "√": "racine de",
        "π": "pi",
        "©": "copyright",
        "Ω": "ohms",
        "->": "vers",
        "=>": "vers",
        ">=": "au moins",
        "<=": "au plus",
        "!=": "différent de",
        "==": "égale",
        "&&": "et",
        "¶": "paragraphe",
        "~": "environ",
        "²": "au carré",
        "³": "au cube",
    },
    words={
        "slash": "barre oblique",
        "over": "sur",
        "and": "et",
        "date and time": "à",
        "dot": "point",
        "dash": "tiret",
        "underscore": "tiret bas",
        "version point": "point",
        "per": "par",
        "power": "puissance",
        "out of": "sur",
    },
    months=_MONTHS,
    month_names={
        **{name: n for n, name in enumerate(_MONTHS, 1)},
        "janv": 1,
        "févr": 2,
        "fevrier": 2,
        "aout": 8,
        "sept": 9,
        "oct": 10,
        "nov": 11,
        "déc": 12,
        "decembre": 12,
    },
    date_order="dmy",
    date=_date,
    time=_time,
    currencies={
        **dict.fromkeys(("€", "EUR", "EURO", "EUROS"), Currency("euro", "euros", "centime", "centimes")),
        **dict.fromkeys(("$", "USD", "US$", "DOLLAR", "DOLLARS"), Currency("dollar", "dollars", "cent", "cents")),
        **dict.fromkeys(("£", "GBP", "LIVRES"), Currency("livre", "livres", "penny", "pence", feminine=True)),
        **dict.fromkeys(("CHF", "FRANCS"), Currency("franc", "francs", "centime", "centimes")),
        **dict.fromkeys(("¥", "JPY"), Currency("yen", "yens")),
    },
    scales={
        **dict.fromkeys(("million", "millions", "m"), _MILLION),
        **dict.fromkeys(("milliard", "milliards", "md", "mds"), _BILLION),
        "mille": Unit("mille", "mille"),
    },
    scale_link="de",
    units={
        **_units(km="kilomètre", m="mètre", cm="centimètre", mm="millimètre", kg="kilogramme", g="gramme", l="litre"),
        **_units(ml="millilitre", min="minute", s="seconde", h="heure", ms="milliseconde", kW="kilowatt", V="volt"),
        "%": Unit("pour cent", "pour cent"),
        "°C": Unit("degré Celsius", "degrés Celsius"),
        "°": Unit("degré", "degrés"),
        "km/h": Unit("kilomètre heure", "kilomètres heure"),
        "m²": Unit("mètre carré", "mètres carrés"),
        "Go": Unit("gigaoctet", "gigaoctets"),
        "Mo": Unit("mégaoctet", "mégaoctets"),
        "Hz": Unit("hertz", "hertz"),
        "kHz": Unit("kilohertz", "kilohertz"),
        "mg": Unit("milligramme", "milligrammes"),
    },
    abbreviations={
        "p.ex.": "par exemple",
        "p.ex": "par exemple",
        "etc.": "et cetera",
        "env.": "environ",
        "mme": "Madame",
        "mlle": "Mademoiselle",
        "dr": "Docteur",
        "dr.": "Docteur",
        "m.": "Monsieur",
        "mm.": "Messieurs",
        "c.-à-d.": "c'est-à-dire",
        "c.-à-d": "c'est-à-dire",
        "n°": "numéro",
        "tél.": "téléphone",
        "av.": "avenue",
    },
    range_word="à",
    money_link="",
    half_marks={"1/2": "un demi", "1/3": "un tiers", "2/3": "deux tiers", "1/4": "un quart", "3/4": "trois quarts"},
    groups_by_space=True,
    readers=(
        *(read_list_number, read_address, read_phone, read_date, read_time, read_money, read_unit, read_version),
        *(read_fraction, read_amount, read_french_ordinal, read_abbreviation),
    ),
)
