"""The independent reference of spec/SPEC.md: slow, plain, standard library only.

It is written from the SPEC alone, with the same names in the same order; rule ids stand in the
comments.
"""
