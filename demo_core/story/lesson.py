"""A sheet for a class of 45 minutes, and three challenges whose score is the address of a run. What it says
of its runs is what they show (tests/test_lesson.py)."""

from __future__ import annotations

from dataclasses import dataclass

from demo_core.story.seed_words import BUTTON

MINUTES = 45


@dataclass(frozen=True)
class Step:
    """One question to the class. scene: the preset that is looked at; minutes; do: what to click; expect:
    what is seen then; answer: what to make of it; tone: how the run of the scene ends (words.tone)."""

    question: str
    scene: str
    minutes: int
    do: str
    expect: str
    answer: str
    tone: str


STEPS = (
    Step(
        "How does CLIP name a picture?",
        "first",
        5,
        "Press “1 The picture”. Read the bars. Then press a label in the bars and look at “What CLIP"
        " compares”.",
        "“tabby cat” is far ahead of the other labels, and its strip of numbers agrees best with the"
        " picture’s.",
        "The picture and every label become lists of numbers, embeddings. CLIP picks the label whose list"
        " points"
        " most nearly the same way. It was never told which labels would be on offer: hence “zero-shot”.",
        "good",
    ),
    Step(
        "Can you see the attack?",
        "first",
        5,
        "Press “2 The attack”. Pull the divider over the picture. Choose ×10 beside “perturbation”.",
        "The two halves look alike; CLIP’s answer is another. Ten times enlarged, the change is coloured"
        " grain.",
        "The attacker asks the model itself, by its gradient, which way to push each pixel so that the answer"
        " becomes wrong. Here no pixel moves by more than 4 of 255 levels.",
        "good",
    ),
    Step(
        "How can CLIP notice?",
        "first",
        5,
        "Press “3 The test”. Compare both rows of “The test, seen”.",
        "Moved by one pixel, the clean picture’s embedding hardly changes; the attacked one’s jumps.",
        "The attack fits these very pixels and no others. The larger CLIPs of the paper betray an attack the"
        " other way round: a little noise moves an attacked picture too little. That is false stability.",
        "good",
    ),
    Step(
        "Can CLIP undo it?",
        "first",
        5,
        "Press “4 The counterattack” and watch the bars and the map.",
        "The right label is back, though the path does not lead back to where it began.",
        "The same frozen model takes a step of its own, away from where the attacker left the picture."
        " Nothing is"
        " trained, and nobody tells it the right label.",
        "good",
    ),
    Step(
        "What does the defence do to a picture that nobody attacked?",
        "control",
        5,
        "Press “3 The test”.",
        "The picture looks clean, and is left alone.",
        "A defence that harms clean pictures is worth little. Try the button “Clean control” on others.",
        "good",
    ),
    Step(
        "Where does it fail?",
        "failure",
        5,
        "Read the verdict.",
        "It fights back, and still ends at a wrong label.",
        "Leaving the wrong answer is not the same as finding the right one.",
        "bad",
    ),
    Step(
        "What if the attacker knows the defence?",
        "adaptive",
        10,
        "Open the tab Arena, tick “The attacker knows each defence” and run it.",
        "The picture passes the test and stays wrong. In the Arena many that stood before fall.",
        "A defence counts only against someone who knows it. Most published ones fell when they were"
        " attacked so"
        " (Athalye et al. 2018; Croce et al. 2022).",
        "bad",
    ),
    Step(
        "Was it luck?",
        "paper",
        5,
        f"Press “{BUTTON}” below the run, and read in how many the answer comes back.",
        "With each seed the right answer should come back. One picture still proves nothing.",
        "That is why tables count many pictures, with an interval; the README has them for every defence"
        " here.",
        "good",
    ),
)


@dataclass(frozen=True)
class Challenge:
    """A game whose score stands in the address that a run leaves: whoever is sent it sees the same run."""

    title: str
    scene: str
    task: str
    score: str


CHALLENGES = (
    Challenge(
        "Make it say “goldfish”",
        "targeted",
        "Lower the strength, eps, and change the steps until the attack only just succeeds.",
        "The smallest eps wins. It stands in the address as eps=…: send it to the next.",
    ),
    Challenge(
        "Attack the defence",
        "adaptive",
        "Find the weakest attack after which the defended answer is still wrong.",
        "The smallest eps wins; with the tick “The attacker knows the defence” it is smaller.",
    ),
    Challenge(
        "Find a photograph that the defence harms",
        "control",
        "Take photographs of your own, and press “Clean control” on each.",
        "One point for each whose right answer the defence changes. “Is CLIP’s first answer right?”"
        " counts: what"
        " was wrong before cannot be harmed.",
    ),
)
