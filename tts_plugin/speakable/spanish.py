"""Spanish: numbers, dates, times, money, the commonest units and abbreviations."""

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
    *("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre"),
    "diciembre",
)
_ORDINAL = re.compile(r"([0-9]{1,4})\.?([ºªoa])")


def _date(locale: Locale, day: int, month: int, year: str) -> str:
    said = "primero" if day == 1 else locale.numbers.cardinal(str(day))
    said = f"{said} de {locale.months[month - 1]}"
    return f"{said} de {locale.numbers.cardinal(year)}" if year else said


def _time(locale: Locale, hours: str, minutes: str, seconds: str) -> str:
    count = locale.numbers.cardinal
    hour = str(int(hours))
    said = "una" if hour == "1" else count(hour).replace("veintiuno", "veintiuna")
    if minutes == "00" and not seconds:
        return f"{said} en punto"
    said = f"{said} y {count(str(int(minutes)))}"
    return f"{said} y {count(str(int(seconds)))} segundos" if seconds else said


def read_spanish_ordinal(window: Window, locale: Locale) -> Reading | None:
    """1º, 2ª."""
    match = _ORDINAL.fullmatch(window.core)
    if not match:
        return None
    said = locale.numbers.ordinal(match[1])
    return Reading(said[:-1] + "a" if match[2] in "ªa" else said)


def _units(**units: str) -> dict[str, Unit]:
    return {written: Unit(said, f"{said}s") for written, said in units.items()}


_MILLION = Unit("millón", "millones")

SPANISH = Locale(
    language="es",
    numbers=Numbers(
        "es", ",", ".\u202f\u00a0 ", "coma", "menos", "más", one=(("veintiuno", "veintiún"), ("uno", "un"))
    ),
    symbols={
        "+": "más",
        "-": "menos",
        "±": "más o menos",
        "×": "por",
        "÷": "dividido por",
        "=": "igual a",
        "<": "menor que",
        ">": "mayor que",
        "≤": "como máximo",
        "≥": "como mínimo",
        "≈": "unos",
        "≠": "distinto de",
        "&": "y",
        "@": "arroba",
        "%": "por ciento",
        "#": "número",
        "°": "grados",
        "§": "sección",
        "№": "número",
        "→": "a",
        "⇒": "a",
        "∞": "infinito",
        "√": "raíz de",
        "π": "pi",
        "©": "copyright",
        "Ω": "ohmios",
        "->": "a",
        "=>": "a",
        ">=": "como mínimo",
        "<=": "como máximo",
        "!=": "distinto de",
        "==": "igual a",
        "&&": "y",
        "¶": "párrafo",
        "~": "unos",
        "²": "al cuadrado",
        "³": "al cubo",
    },
    words={
        "slash": "barra",
        "over": "partido por",
        "and": "y",
        "date and time": "a las",
        "dot": "punto",
        "dash": "guion",
        "underscore": "guion bajo",
        "version point": "punto",
        "per": "por",
        "power": "elevado a",
        "out of": "de",
    },
    months=_MONTHS,
    month_names={**{name: n for n, name in enumerate(_MONTHS, 1)}, "setiembre": 9},
    date_order="dmy",
    date=_date,
    time=_time,
    currencies={
        **dict.fromkeys(("€", "EUR", "EURO", "EUROS"), Currency("euro", "euros", "céntimo", "céntimos")),
        **dict.fromkeys(("$", "USD", "US$", "DÓLARES", "DÓLAR"), Currency("dólar", "dólares", "centavo", "centavos")),
        **dict.fromkeys(("£", "GBP", "LIBRAS"), Currency("libra", "libras", "penique", "peniques", feminine=True)),
        **dict.fromkeys(("MXN", "PESOS"), Currency("peso", "pesos", "centavo", "centavos")),
        **dict.fromkeys(("¥", "JPY"), Currency("yen", "yenes")),
    },
    scales={**dict.fromkeys(("millón", "millones", "m"), _MILLION), "mil": Unit("mil", "mil")},
    scale_link="de",
    units={
        **_units(km="kilómetro", m="metro", cm="centímetro", mm="milímetro", kg="kilogramo", g="gramo", l="litro"),
        **_units(ml="mililitro", min="minuto", s="segundo", h="hora", ms="milisegundo", kW="kilovatio", V="voltio"),
        "%": Unit("por ciento", "por ciento"),
        "°C": Unit("grado Celsius", "grados Celsius"),
        "°": Unit("grado", "grados"),
        "km/h": Unit("kilómetro por hora", "kilómetros por hora"),
        "m²": Unit("metro cuadrado", "metros cuadrados"),
        "GB": Unit("gigabyte", "gigabytes"),
        "MB": Unit("megabyte", "megabytes"),
        "Hz": Unit("hercio", "hercios"),
        "kHz": Unit("kilohercio", "kilohercios"),
        "mg": Unit("miligramo", "miligramos"),
    },
    abbreviations={
        "p.ej.": "por ejemplo",
        "p.ej": "por ejemplo",
        "etc.": "etcétera",
        "sr.": "señor",
        "sra.": "señora",
        "srta.": "señorita",
        "dr.": "doctor",
        "dra.": "doctora",
        "aprox.": "aproximadamente",
        "núm.": "número",
        "ud.": "usted",
        "uds.": "ustedes",
        "tel.": "teléfono",
        "av.": "avenida",
        "nº": "número",
        "ee.uu.": "Estados Unidos",
    },
    range_word="a",
    money_link="con",
    half_marks={"1/2": "un medio", "1/3": "un tercio", "2/3": "dos tercios", "1/4": "un cuarto", "3/4": "tres cuartos"},
    groups_by_space=True,
    readers=(
        *(read_list_number, read_address, read_phone, read_date, read_time, read_money, read_unit, read_version),
        *(read_fraction, read_amount, read_spanish_ordinal, read_abbreviation),
    ),
)
