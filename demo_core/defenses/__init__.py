"""Defences: one file an idea, and DEFENSES, the table of them."""

from demo_core.counterattack import TAU
from demo_core.defenses.averages import log_mean, mean_of
from demo_core.defenses.own import closer_looks, default, judging, pushed
from demo_core.defenses.profile import ENGAGED, VIEW_DRIFT, DOCConfig, MACConfig, Profile
from demo_core.defenses.published import doc, mac, ttc
from demo_core.defenses.table import DEFENSES, MAC_VIEW, Defence, Defense, Rule, in_order, title_of
from demo_core.defenses.views import (
    LOOKS,
    VIEWS,
    augmented,
    look,
    shift,
    transformed,
    view_drift,
    view_features,
)

__all__ = [
    "DEFENSES",
    "ENGAGED",
    "LOOKS",
    "MAC_VIEW",
    "TAU",
    "VIEWS",
    "VIEW_DRIFT",
    "DOCConfig",
    "Defence",
    "Defense",
    "MACConfig",
    "Profile",
    "Rule",
    "augmented",
    "closer_looks",
    "default",
    "doc",
    "in_order",
    "judging",
    "log_mean",
    "look",
    "mac",
    "mean_of",
    "pushed",
    "shift",
    "title_of",
    "transformed",
    "ttc",
    "view_drift",
    "view_features",
]
