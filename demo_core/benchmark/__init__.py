"""Many pictures: one record for each picture, attack and defence; every table is recomputed from records.

Imports go one way: trials -> datasets -> piles -> records -> run -> published -> report -> __main__.
"""
