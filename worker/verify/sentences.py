"""What a voice is made to say: twenty sentences of its language that a recogniser can spell in one way only.

Between four words and two sentences long; questions, commas, an exclamation; every sound of the language. No number, no
abbreviation and no rare name: how those are read is a matter of the text's tests, not of the voice.
"""

from __future__ import annotations

COUNT = 20
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
GERMAN = (
    "Guten Morgen, wie kann ich Ihnen heute helfen?",
    "Vielen Dank, dass Sie gewartet haben.",
    "Am Nachmittag wird es warm und sonnig.",
    "Können Sie mir bitte sagen, wohin Sie fahren möchten?",
    "Ich habe Ihre Bestellung geprüft, sie kommt am Donnerstag an.",
    "Sie verkauft jeden Morgen frisches Gemüse auf dem Markt.",
    "Wir gingen am Fluss entlang, bis es zu dunkel war, um den Weg zu sehen.",
    "Wenn Sie den grünen Knopf drücken, öffnet sich die Tür von selbst.",
    "Mein Bruder spielt Gitarre, aber er singt nie vor anderen Leuten.",
    "Das ist eine sehr gute Frage.",
    "Bitte legen Sie Ihre Schlüssel auf den Tisch neben dem Fenster.",
    "Die Kinder lachten, weil der Hund ein Brot gestohlen hatte.",
    "Kein Problem, das kann ich sofort für Sie ändern!",
    "Er hat den Garten gemessen, bevor er den Zaun gebaut hat.",
    "Möchten Sie mit Karte zahlen, oder soll ich eine Rechnung schicken?",
    "Das Museum schließt, wenn der letzte Besucher nach Hause gegangen ist.",
    "Ich dachte, die Reise wäre länger, doch wir waren vor dem Mittagessen da.",
    "Dichter Nebel lag über dem ganzen Dorf. Niemand konnte die Kirche sehen.",
    "Suchen Sie sich einfach ein Paar aus, wir schicken die Schuhe noch diese Woche.",
    "Kann ich sonst noch etwas für Sie tun?",
)
FRENCH = (
    "Bonjour, comment puis-je vous aider aujourd'hui ?",
    "Merci beaucoup d'avoir attendu.",
    "Il va faire chaud et beau cet après-midi.",
    "Pouvez-vous me dire où vous voulez aller ?",
    "J'ai vérifié votre commande, elle arrivera jeudi.",
    "Elle vend des légumes frais au marché tous les matins.",
    "Nous avons marché le long de la rivière jusqu'à la nuit.",
    "Si vous appuyez sur le bouton vert, la porte s'ouvre toute seule.",
    "Mon frère joue de la guitare, mais il ne chante jamais en public.",
    "C'est une très bonne question.",
    "Laissez vos clés sur la table à côté de la fenêtre.",
    "Les enfants riaient parce que le chien avait volé un gâteau.",
    "Pas de problème, je peux changer cela tout de suite !",
    "Il a mesuré le jardin avant de construire la maison.",
    "Voulez-vous payer par carte, ou préférez-vous une facture ?",
    "Le musée ferme quand le dernier visiteur est rentré chez lui.",
    "Je pensais que le voyage serait plus long, mais nous sommes arrivés avant midi.",
    "Un brouillard épais couvrait le village. Personne ne voyait l'église.",
    "Choisissez simplement ce qui vous plaît, nous livrons cette semaine.",
    "Est-ce que je peux faire autre chose pour vous ?",
)
SPANISH = (
    "Buenos días, ¿en qué puedo ayudarle hoy?",
    "Muchas gracias por esperar.",
    "Esta tarde va a hacer calor y mucho sol.",
    "¿Puede decirme adónde quiere ir, por favor?",
    "He revisado su pedido y llegará el jueves.",
    "Ella vende verduras frescas en el mercado todas las mañanas.",
    "Caminamos junto al río hasta que ya no se veía el camino.",
    "Si pulsa el botón verde, la puerta se abre sola.",
    "Mi hermano toca la guitarra, pero nunca canta delante de la gente.",
    "Esa es una pregunta muy buena.",
    "Deje las llaves en la mesa que está al lado de la ventana.",
    "Los niños se reían porque el perro había robado un pastel.",
    "No hay problema, se lo puedo cambiar ahora mismo.",
    "Midió el jardín antes de empezar a construir la casa.",
    "¿Prefiere pagar con tarjeta o le envío una factura?",
    "El museo cierra cuando el último visitante se ha ido a casa.",
    "Pensé que el viaje sería más largo, pero llegamos antes de comer.",
    "Una niebla espesa cubría todo el pueblo. Nadie podía ver la iglesia.",
    "Elija los zapatos que más le gusten y se los enviamos esta semana.",
    "¿Puedo hacer algo más por usted?",
)
_SENTENCES = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH, "es": SPANISH}


def language_of(voice_language: str) -> str:
    """In which language a voice is judged: its own where there are sentences in it, else English."""
    own = voice_language.partition("-")[0].lower()
    return own if own in _SENTENCES else "en"


def sentences_in(language: str) -> tuple[str, ...]:
    return _SENTENCES[language]
