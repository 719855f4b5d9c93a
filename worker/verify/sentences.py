"""What a voice is made to say: twenty English sentences that a recogniser can spell in one way only.

Between two words and two sentences long; questions, commas, an exclamation; every sound of the language. No number, no
abbreviation and no rare name: how those are read is a matter of the text's tests, not of the voice.
"""

from __future__ import annotations

ENGLISH = (
    "Good morning, how can I help you today?",
    "Thank you very much for waiting.",
    "The weather is going to be warm and sunny this afternoon.",
    "Could you please tell me where you would like to go?",
    "I have checked your order, and it will arrive on Thursday.",
    "She sells fresh vegetables at the market every morning.",
    "We walked along the river until it was too dark to see the path.",
    "If you press the green button, the door will open by itself.",
    "My brother plays the guitar, but he never sings in front of people.",
    "That is a very good question.",
    "Please leave your keys on the table next to the window.",
    "The children were laughing because the dog had stolen a sandwich.",
    "No problem, I can change that for you right away!",
    "He measured the garden twice before he began to build the fence.",
    "Would you rather pay by card, or shall I send you a bill?",
    "The museum opens at nine and closes when the last visitor has gone home.",
    "I thought the journey would be longer, yet we were there before lunch.",
    "A thick yellow fog covered the whole village. Nobody could see the church.",
    "Just choose whichever pair you enjoy, and we will send the shoes within a week.",
    "Is there anything else that I can do for you?",
)
