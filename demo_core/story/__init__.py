"""One picture's story: its settings, what happens to it, the words for it, and the reel that a page plays."""

from demo_core.story.beside import both, second, whole
from demo_core.story.play import Bout, arena, attack, begin, defend, drifts, seen
from demo_core.story.run import Drifts, Moment, Reading, Run, Signals
from demo_core.story.settings import Settings

__all__ = [
    "Bout",
    "Drifts",
    "Moment",
    "Reading",
    "Run",
    "Settings",
    "Signals",
    "arena",
    "attack",
    "begin",
    "both",
    "defend",
    "drifts",
    "second",
    "seen",
    "whole",
]
