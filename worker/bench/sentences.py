"""What callers are told, in lengths as agents speak: the texts of the engine's load. Our own words."""

SENTENCES: tuple[str, ...] = (
    "Yes, of course.",
    "One moment, please.",
    "Thank you for waiting.",
    "How can I help you today?",
    "I have found your booking.",
    "That table is free at seven.",
    "Could you tell me the last four digits?",
    "The shop on the corner is open until nine.",
    "Your parcel left our house on Monday morning.",
    "I can move the appointment to Thursday, if you like.",
    "The next train leaves from platform four in ten minutes.",
    "There are two rooms left, one of them with a balcony.",
    "I am afraid that the kitchen closes a little earlier on Sundays.",
    "You will get a message as soon as the doctor has looked at it.",
    "The driver tried to reach you, but nobody opened the door, so he took it back.",
    "If you prefer, I can send you the form by letter, and you fill it in at home.",
    "Your contract runs until the end of next year, and you can end it three months before that.",
    "We deliver in the whole town, from ten in the morning until late in the evening, also on holidays.",
    "The light on the front should be green; if it is red, please pull the plug, wait a minute and put it in again.",
    "I have written down that the heating in the second bedroom does not work, and somebody will come between eight "
    "and twelve tomorrow.",
    "For a family of four I would take the apartment near the lake, because the beach is close, the shop is next door, "
    "and you can leave the car where it is for the whole week.",
)
