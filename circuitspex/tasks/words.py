"""The words that built-in tasks are made of; those that a tokenizer splits are left out when a task is built."""

from __future__ import annotations


def words(text: str) -> tuple[str, ...]:
    """The words of ``text``."""
    return tuple(text.split())


FEMALE_NAMES = words(
    """
    Mary Sarah Anna Emma Alice Kate Lisa Laura Julia Jane Rachel Amy Maria Susan Linda Karen Emily Helen Ruth Rose
    Grace Sophie Diana Claire Martha Lucy Jessica Nancy Barbara Elizabeth Margaret Catherine Victoria Olivia Hannah
    """
)

MALE_NAMES = words(
    """
    John Tom James David Michael Robert Peter Paul Mark Daniel Jack Adam Simon Andrew George Henry Thomas William
    Kevin Brian Steven Eric Frank Richard Joseph Charles Edward Matthew Anthony Martin Stephen Luke Ben Jason Arthur
    """
)

PLAIN_WORDS = words(
    """
    apple river stone window green music paper horse table cloud bread winter silver road garden fish letter glass
    forest engine yellow doctor island bridge market wheel candle orange mirror sugar tower valley ocean pencil cotton
    dragon basket hammer ladder needle pepper rocket shadow summer ticket tunnel violin blanket butter camera circle
    copper desert dinner farmer feather finger flower guitar honey jacket kitchen lemon magnet monkey mountain museum
    planet pocket rabbit ribbon saddle salmon school spider square stream string temple thunder tiger turtle village
    """
)
"""Everyday words that do not follow from one another."""

CAPITALS = dict(
    pair.split("/")
    for pair in words(
        """
        France/Paris Germany/Berlin Italy/Rome Spain/Madrid England/London Russia/Moscow Japan/Tokyo China/Beijing
        Egypt/Cairo Greece/Athens Austria/Vienna Poland/Warsaw Ireland/Dublin Portugal/Lisbon Norway/Oslo
        Sweden/Stockholm Denmark/Copenhagen Finland/Helsinki Belgium/Brussels Hungary/Budapest Turkey/Ankara
        Iran/Tehran Iraq/Baghdad Syria/Damascus Lebanon/Beirut Cuba/Havana Canada/Ottawa Australia/Canberra Peru/Lima
        Kenya/Nairobi Thailand/Bangkok Indonesia/Jakarta Vietnam/Hanoi Afghanistan/Kabul Pakistan/Islamabad
        Colombia/Bogota Chile/Santiago Scotland/Edinburgh Bulgaria/Sofia Romania/Bucharest Serbia/Belgrade
        Croatia/Zagreb Libya/Tripoli Nepal/Kathmandu Philippines/Manila Qatar/Doha Venezuela/Caracas Jamaica/Kingston
        Iceland/Reykjavik
        """
    )
)
"""Countries and their capitals."""
