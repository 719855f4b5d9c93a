"""English (American): everything that this package reads."""

from __future__ import annotations

from tts_plugin.speakable.abbreviations import read_abbreviation, read_list_number
from tts_plugin.speakable.addresses import read_address
from tts_plugin.speakable.amounts import read_amount, read_fraction, read_maths, read_ordinal, read_unit
from tts_plugin.speakable.dates import read_date, read_decade, read_month, read_weekdays
from tts_plugin.speakable.locale import Currency, Locale, Unit
from tts_plugin.speakable.money import read_money
from tts_plugin.speakable.numbers import Numbers
from tts_plugin.speakable.phones import read_phone
from tts_plugin.speakable.times import read_half_day, read_time
from tts_plugin.speakable.versions import read_version

_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September", "October"),
    *("November", "December"),
)
_DOLLAR = Currency("dollar", "dollars", "cent", "cents")


def _dollar(country: str) -> Currency:
    return Currency(f"{country} dollar", f"{country} dollars", "cent", "cents")


_MANY = Unit("million", "million"), Unit("billion", "billion"), Unit("trillion", "trillion")
_THOUSAND = Unit("thousand", "thousand")


def _date(locale: Locale, day: int, month: int, year: str) -> str:
    said = f"{locale.months[month - 1]} {locale.numbers.ordinal(str(day))}"
    return f"{said}, {locale.numbers.year(year)}" if year else said


def _time(locale: Locale, hours: str, minutes: str, seconds: str) -> str:
    numbers = locale.numbers
    hour = numbers.cardinal(hours.lstrip("0") or "0")
    if seconds:
        counted = [_count(locale, *part) for part in ((hours, "hour"), (minutes, "minute"), (seconds, "second"))]
        return f"{counted[0]} {counted[1]} and {counted[2]}"
    if minutes == "00":
        return f"{hour} o'clock" if 1 <= int(hours) <= 12 else f"{hour} hundred hours"
    return f"{hour} {'oh ' if minutes[0] == '0' else ''}{numbers.cardinal(str(int(minutes)))}"


def _count(locale: Locale, digits: str, unit: str) -> str:
    number = int(digits)
    return f"{locale.numbers.cardinal(str(number))} {unit}{'' if number == 1 else 's'}"


def _units(*rows: tuple[str, str, str]) -> dict[str, Unit]:
    return {written: Unit(one, many) for all_written, one, many in rows for written in all_written.split()}


ENGLISH = Locale(
    language="en",
    numbers=Numbers("en", ".", ",", "point", "minus", "plus", years_by_hundreds=True),
    symbols={
        "²": "squared",
        "³": "cubed",
        "+": "plus",
        "-": "minus",
        "±": "plus or minus",
        "×": "times",
        "÷": "divided by",
        "=": "equals",
        "<": "less than",
        ">": "greater than",
        "≤": "at most",
        "≥": "at least",
        "≈": "about",
        "≠": "is not",
        "&": "and",
        "@": "at",
        "%": "percent",
        "#": "number",
        "°": "degrees",
        "§": "section",
        "№": "number",
        "→": "to",
        "⇒": "to",
        "∞": "infinity",
        "√": "square root of",
        "π": "pi",
        "©": "copyright",
        "Ω": "ohms",
        "->": "to",
        "=>": "to",
        ">=": "at least",
        "<=": "at most",
        "!=": "is not",
        "==": "equals",
        "&&": "and",
        "¶": "paragraph",
        "~": "about",
        "$": "dollar",
    },
    words={
        "slash": "slash",
        "over": "over",
        "and": "and",
        "date and time": "at",
        "dot": "dot",
        "dash": "dash",
        "underscore": "underscore",
        "version point": "point",
        "per": "per",
        "power": "to the power of",
        "out of": "out of",
    },
    months=_MONTHS,
    month_names={
        **{name.lower(): n for n, name in enumerate(_MONTHS, 1)},
        **{name[:3].lower(): n for n, name in enumerate(_MONTHS, 1)},
        "sept": 9,
    },
    date_order="mdy",
    date=_date,
    time=_time,
    currencies={
        "$": _DOLLAR,
        **dict.fromkeys(("US$", "USD"), _dollar("US")),
        **dict.fromkeys(("A$", "AUD"), _dollar("Australian")),
        **dict.fromkeys(("C$", "CAD"), _dollar("Canadian")),
        **dict.fromkeys(("€", "EUR"), Currency("euro", "euros", "cent", "cents")),
        **dict.fromkeys(("£", "GBP"), Currency("pound", "pounds", "penny", "pence")),
        **dict.fromkeys(("¥", "JPY"), Currency("yen", "yen")),
        **dict.fromkeys(("₹", "INR"), Currency("rupee", "rupees", "paisa", "paise")),
        **dict.fromkeys(("₿", "BTC"), Currency("bitcoin", "bitcoin")),
        "CHF": Currency("Swiss franc", "Swiss francs", "centime", "centimes"),
        "CNY": Currency("yuan", "yuan"),
        "MXN": Currency("Mexican peso", "Mexican pesos"),
        "₩": Currency("won", "won"),
        "₽": Currency("ruble", "rubles"),
        "₺": Currency("lira", "lira"),
        "¢": Currency("cent", "cents"),
    },
    scales={
        "million": _MANY[0],
        "billion": _MANY[1],
        "trillion": _MANY[2],
        "thousand": _THOUSAND,
        "m": _MANY[0],
        "mn": _MANY[0],
        "mm": _MANY[0],
        "b": _MANY[1],
        "bn": _MANY[1],
        "tn": _MANY[2],
        "k": _THOUSAND,
    },
    scale_link="",
    units=_units(
        *(("km kms", "kilometer", "kilometers"), ("m", "meter", "meters"), ("cm", "centimeter", "centimeters")),
        *(("mm", "millimeter", "millimeters"), ("nm", "nanometer", "nanometers"), ("μm", "micrometer", "micrometers")),
        *(("kg kgs", "kilogram", "kilograms"), ("g", "gram", "grams"), ("mg", "milligram", "milligrams")),
        *(("lb lbs", "pound", "pounds"), ("oz", "ounce", "ounces"), ("ft", "foot", "feet"), ("in", "inch", "inches")),
        *(("mi", "mile", "miles"), ("yd yds", "yard", "yards"), ("mph", "mile per hour", "miles per hour")),
        *(
            ("km/h kph kmh", "kilometer per hour", "kilometers per hour"),
            ("m/s", "meter per second", "meters per second"),
        ),
        *(("°C", "degree Celsius", "degrees Celsius"), ("°F", "degree Fahrenheit", "degrees Fahrenheit")),
        *(("°", "degree", "degrees"), ("%", "percent", "percent"), ("‰", "per mille", "per mille")),
        *(("Hz", "hertz", "hertz"), ("kHz KHz", "kilohertz", "kilohertz"), ("MHz", "megahertz", "megahertz")),
        *(("GHz", "gigahertz", "gigahertz"), ("KB kB", "kilobyte", "kilobytes")),
        *(("MB", "megabyte", "megabytes"), ("GB", "gigabyte", "gigabytes"), ("TB", "terabyte", "terabytes")),
        *(("KiB", "kibibyte", "kibibytes"), ("MiB", "mebibyte", "mebibytes"), ("GiB", "gibibyte", "gibibytes")),
        *(("kbps", "kilobit per second", "kilobits per second"), ("Mbps", "megabit per second", "megabits per second")),
        *(
            ("Gbps", "gigabit per second", "gigabits per second"),
            ("MB/s", "megabyte per second", "megabytes per second"),
        ),
        *(
            ("ms", "millisecond", "milliseconds"),
            ("s sec secs", "second", "seconds"),
            ("μs", "microsecond", "microseconds"),
        ),
        *(("min mins", "minute", "minutes"), ("h hr hrs", "hour", "hours"), ("W", "watt", "watts")),
        *(("ns", "nanosecond", "nanoseconds"), ("yr yrs", "year", "years"), ("mo", "month", "months")),
        *(("kW", "kilowatt", "kilowatts"), ("MW", "megawatt", "megawatts"), ("kWh", "kilowatt hour", "kilowatt hours")),
        *(("V", "volt", "volts"), ("mA", "milliamp", "milliamps"), ("mAh", "milliamp hour", "milliamp hours")),
        *(("L l", "liter", "liters"), ("ml mL", "milliliter", "milliliters"), ("cl", "centiliter", "centiliters")),
        *(("m² m2 sqm", "square meter", "square meters"), ("km² km2", "square kilometer", "square kilometers")),
        *(("ft² sqft", "square foot", "square feet"), ("cm²", "square centimeter", "square centimeters")),
        *(("m³ m3", "cubic meter", "cubic meters"), ("cm³", "cubic centimeter", "cubic centimeters")),
        *(("px", "pixel", "pixels"), ("fps", "frame per second", "frames per second"), ("dB", "decibel", "decibels")),
        *(("rpm", "revolution per minute", "revolutions per minute"), ("kcal", "kilocalorie", "kilocalories")),
        *(("cal", "calorie", "calories"), ("psi", "pound per square inch", "pounds per square inch")),
        *(("kPa", "kilopascal", "kilopascals"), ("hPa", "hectopascal", "hectopascals"), ("gal", "gallon", "gallons")),
        *(("tbsp", "tablespoon", "tablespoons"), ("tsp", "teaspoon", "teaspoons"), ("ha", "hectare", "hectares")),
        *(
            ("Ω", "ohm", "ohms"),
            ("kΩ", "kilohm", "kilohms"),
            ("K", "thousand", "thousand"),
            ("k", "thousand", "thousand"),
        ),
        *(("M", "million", "million"), ("bn", "billion", "billion"), ("c/s", "cycle per second", "cycles per second")),
    ),
    abbreviations={
        "e.g.": "for example",
        "e.g": "for example",
        "i.e.": "that is",
        "i.e": "that is",
        "etc.": "et cetera",
        "etc": "et cetera",
        "vs.": "versus",
        "vs": "versus",
        "approx.": "approximately",
        "a.k.a.": "also known as",
        "aka": "also known as",
        "w/": "with",
        "w/o": "without",
        "b/c": "because",
        "ca.": "circa",
        "cf.": "compare",
        "viz.": "namely",
        "inc.": "Incorporated",
        "ltd.": "Limited",
        "corp.": "Corporation",
        "co.": "Company",
        "dept.": "department",
        "jr.": "Junior",
        "sr.": "Senior",
        "tel.": "telephone",
        "avg.": "average",
        "max.": "maximum",
        "min.": "minimum",
        "misc.": "miscellaneous",
        "ph.d.": "PhD",
        "ph.d": "PhD",
        "n/a": "not applicable",
        "and/or": "and or",
        "c++": "C plus plus",
        "c#": "C sharp",
        "f#": "F sharp",
        "&c.": "et cetera",
        "o'c": "o'clock",
        "at&t": "A-T and T",
        "thx": "thanks",
        "mon.": "Monday",
        "tue.": "Tuesday",
        "tues.": "Tuesday",
        "thu.": "Thursday",
        "thurs.": "Thursday",
        "fri.": "Friday",
        "asst.": "assistant",
        "govt.": "government",
        "intl.": "international",
        "pls": "please",
    },
    range_word="to",
    money_link="and",
    readers=(
        *(
            read_list_number,
            read_address,
            read_phone,
            read_date,
            read_time,
            read_half_day,
            read_decade,
            read_month,
            read_weekdays,
        ),
        *(read_money, read_unit, read_version, read_fraction, read_amount, read_ordinal, read_maths, read_abbreviation),
    ),
)
