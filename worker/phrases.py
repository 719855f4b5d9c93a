"""What the agent says when something is wrong, per language: short sentences, known before they are needed.

`agent.yaml` may put others in their place. Languages that are not here speak English.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Phrase = Annotated[str, Field(min_length=1, max_length=200)]


class Phrases(BaseModel):
    """The sentences of one agent. Empty fields of `agent.yaml` are filled by its language."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    filler: Annotated[tuple[Phrase, ...], Field(max_length=6)] = ()  # said in turn while an answer is awaited
    apology: Phrase | None = None  # the answer did not come
    cut_off: Phrase | None = None  # a new agent takes over in the middle of a call
    goodbye: Phrase | None = None  # the longest time for one call is over
    unavailable: Phrase | None = None  # the call must end: nobody can go on with it
    cannot_hear: Phrase | None = None  # the recogniser is down; typing still works
    not_heard: Phrase | None = None  # the caller spoke and no words came of it
    hold: Phrase | None = None  # the caller is put through to a person


PHRASES: dict[str, Phrases] = {
    "en": Phrases(
        filler=("One moment, please.", "I am still working on it.", "Just a little longer, please."),
        apology="I am sorry, something went wrong on my side. Could you say that again, please?",
        cut_off="Sorry, I was cut off for a moment. I am here again. Please go on.",
        goodbye="We have reached the longest time for one call. Thank you, and goodbye.",
        unavailable="I am sorry, I have to end this call. Please call again in a moment. Goodbye.",
        cannot_hear="I am sorry, I cannot hear you at the moment. You can type to me instead.",
        not_heard="Sorry, I did not catch that. Could you say it again, please?",
        hold="Please hold, I am putting you through.",
    ),
    "de": Phrases(
        filler=("Einen Moment, bitte.", "Ich bin noch dabei.", "Es dauert noch einen Augenblick."),
        apology="Entschuldigung, bei mir ist etwas schiefgegangen. Können Sie das bitte noch einmal sagen?",
        cut_off="Entschuldigung, ich war kurz weg. Jetzt bin ich wieder da. Bitte sprechen Sie weiter.",
        goodbye="Wir haben die längste Dauer eines Gesprächs erreicht. Vielen Dank und auf Wiederhören.",
        unavailable="Es tut mir leid, ich muss das Gespräch beenden. Bitte rufen Sie gleich noch einmal an.",
        cannot_hear="Es tut mir leid, ich kann Sie im Moment nicht hören. Sie können mir schreiben.",
        not_heard="Entschuldigung, das habe ich nicht verstanden. Können Sie das bitte noch einmal sagen?",
        hold="Bitte bleiben Sie am Apparat, ich verbinde Sie.",
    ),
    "fr": Phrases(
        filler=("Un instant, s'il vous plaît.", "Je cherche encore.", "Encore un petit moment."),
        apology="Je suis désolée, il y a eu un problème de mon côté. Pouvez-vous répéter, s'il vous plaît ?",
        cut_off="Pardon, j'ai été coupée un moment. Je suis de nouveau là. Continuez, je vous en prie.",
        goodbye="Nous avons atteint la durée maximale d'un appel. Merci et au revoir.",
        unavailable="Je suis désolée, je dois mettre fin à cet appel. Rappelez dans un instant. Au revoir.",
        cannot_hear="Je suis désolée, je ne vous entends pas pour le moment. Vous pouvez m'écrire.",
        not_heard="Pardon, je n'ai pas compris. Pouvez-vous répéter, s'il vous plaît ?",
        hold="Ne quittez pas, je vous mets en relation.",
    ),
    "es": Phrases(
        filler=("Un momento, por favor.", "Todavía estoy en ello.", "Solo un poco más, por favor."),
        apology="Lo siento, algo ha fallado por mi parte. ¿Puede repetirlo, por favor?",
        cut_off="Perdón, se me cortó un momento. Ya estoy aquí otra vez. Continúe, por favor.",
        goodbye="Hemos llegado al tiempo máximo de una llamada. Gracias y hasta luego.",
        unavailable="Lo siento, tengo que terminar esta llamada. Vuelva a llamar en un momento. Hasta luego.",
        cannot_hear="Lo siento, ahora mismo no puedo oírle. Puede escribirme.",
        not_heard="Perdón, no le he entendido. ¿Puede repetirlo, por favor?",
        hold="No cuelgue, por favor, le paso la llamada.",
    ),
}


def phrases(language: str, own: Phrases | None = None) -> Phrases:
    """Every sentence of an agent that speaks `language`; `own` are those of its `agent.yaml`."""
    known = PHRASES.get(language.split("-")[0], PHRASES["en"])
    given = own.model_dump(exclude_defaults=True) if own else {}
    return known.model_copy(update=given)
