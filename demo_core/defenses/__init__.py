"""Defences: one file an idea, and DEFENSES, the table of them."""

from demo_core.ascent import Budget
from demo_core.counterattack import TAU, Gate
from demo_core.defenses.averages import log_mean, mean_of
from demo_core.defenses.doc import DOCConfig, doc
from demo_core.defenses.lowpass import CSRConfig, csr_purify, low_passed
from demo_core.defenses.mac import MACConfig, mac, mac_delta
from demo_core.defenses.own import OwnConfig, closer_looks, default, judging, pushed
from demo_core.defenses.own_shift import ShiftConfig
from demo_core.defenses.profile import Profile
from demo_core.defenses.published import ttc
from demo_core.defenses.random_views import augmented
from demo_core.defenses.shifts import AGCConfig, DBDConfig, agc_feature, dbd_feature
from demo_core.defenses.signals import (
    AGREEMENT,
    CERTIFIED,
    CORRUPTION,
    ENGAGED,
    LOW_PASS,
    MAC_VIEW,
    PADDING,
    RANK,
    SIGNALS,
    TAU_HAT,
    UNISON,
    VIEW_DRIFT,
)
from demo_core.defenses.smoothing import SmoothingConfig, certified, linf_within
from demo_core.defenses.subspace import TVSSConfig
from demo_core.defenses.table import CONTROL, DEFENSES, Defence, Defense, Signal, in_order, title_of
from demo_core.defenses.views import (
    LOOKS,
    VIEWS,
    look,
    shift,
    transformed,
    view_drift,
    view_features,
)

__all__ = [
    "mac_delta",
    "low_passed",
    "dbd_feature",
    "csr_purify",
    "agc_feature",
    "DBDConfig",
    "CSRConfig",
    "AGCConfig",
    "CERTIFIED",
    "RANK",
    "SmoothingConfig",
    "TVSSConfig",
    "certified",
    "linf_within",
    "PADDING",
    "LOW_PASS",
    "AGREEMENT",
    "CONTROL",
    "CORRUPTION",
    "DEFENSES",
    "ENGAGED",
    "LOOKS",
    "MAC_VIEW",
    "SIGNALS",
    "Signal",
    "TAU",
    "TAU_HAT",
    "UNISON",
    "VIEWS",
    "VIEW_DRIFT",
    "Budget",
    "DOCConfig",
    "Defence",
    "Defense",
    "Gate",
    "MACConfig",
    "OwnConfig",
    "Profile",
    "ShiftConfig",
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
